// The optimizers beside GradientDescent, Momentum and Adam, with the slots, names and defaults of
// TensorFlow 1's.
//
//   Operation op = train::RmsProp(0.001, {.momentum = 0.9}).Minimize(s, loss);
#ifndef ESPALIER_TRAIN_OPTIMIZERS_H_
#define ESPALIER_TRAIN_OPTIMIZERS_H_

#include <utility>
#include <vector>

#include "espalier/train/optimizer.h"

namespace espalier::train {

struct RmsPropOptions {
  double decay = 0.9;
  double momentum = 0;
  double epsilon = 1e-10;
  bool centered = false;  // by the variance of the gradient rather than its mean square
};
// Hinton 2012. Slots "RMSProp" (of ones), when centered "RMSProp_1", and the momentum.
class RmsProp : public Optimizer {
 public:
  explicit RmsProp(LearningRate learning_rate, const RmsPropOptions& options = {})
      : Optimizer("RMSProp", std::move(learning_rate)), options_(options) {}

 protected:
  Operation Apply(const Scope& s, const GradientAndVariable& pair,
                  const std::vector<Output>& shared) const override;

 private:
  RmsPropOptions options_;
};

// Duchi et al. 2011. Slot "Adagrad".
class Adagrad : public Optimizer {
 public:
  explicit Adagrad(LearningRate learning_rate, double initial_accumulator = 0.1)
      : Optimizer("Adagrad", std::move(learning_rate)), initial_accumulator_(initial_accumulator) {}

 protected:
  Operation Apply(const Scope& s, const GradientAndVariable& pair,
                  const std::vector<Output>& shared) const override;

 private:
  double initial_accumulator_;
};

// Zeiler 2012. Slots "Adadelta" and "Adadelta_1".
class Adadelta : public Optimizer {
 public:
  explicit Adadelta(LearningRate learning_rate = 0.001, double rho = 0.95, double epsilon = 1e-8)
      : Optimizer("Adadelta", std::move(learning_rate)), rho_(rho), epsilon_(epsilon) {}

 protected:
  Operation Apply(const Scope& s, const GradientAndVariable& pair,
                  const std::vector<Output>& shared) const override;

 private:
  double rho_;
  double epsilon_;
};

struct FtrlOptions {
  double power = -0.5;  // of the learning rate's decay
  double initial_accumulator = 0.1;
  double l1 = 0;
  double l2 = 0;
};
// McMahan et al. 2013. Slots "Ftrl" and "Ftrl_1".
class Ftrl : public Optimizer {
 public:
  explicit Ftrl(LearningRate learning_rate, const FtrlOptions& options = {})
      : Optimizer("Ftrl", std::move(learning_rate)), options_(options) {}

 protected:
  Operation Apply(const Scope& s, const GradientAndVariable& pair,
                  const std::vector<Output>& shared) const override;

 private:
  FtrlOptions options_;
};

// A step, then shrinking towards 0 by l1 and l2 (Duchi & Singer 2009). No slots.
class ProximalGradientDescent : public Optimizer {
 public:
  explicit ProximalGradientDescent(LearningRate learning_rate, double l1 = 0, double l2 = 0)
      : Optimizer("ProximalGradientDescent", std::move(learning_rate)), l1_(l1), l2_(l2) {}

 protected:
  Operation Apply(const Scope& s, const GradientAndVariable& pair,
                  const std::vector<Output>& shared) const override;

 private:
  double l1_;
  double l2_;
};

// Adagrad's step, then the same shrinking. Slot "ProximalAdagrad".
class ProximalAdagrad : public Optimizer {
 public:
  explicit ProximalAdagrad(LearningRate learning_rate, double initial_accumulator = 0.1,
                           double l1 = 0, double l2 = 0)
      : Optimizer("ProximalAdagrad", std::move(learning_rate)),
        initial_accumulator_(initial_accumulator),
        l1_(l1),
        l2_(l2) {}

 protected:
  Operation Apply(const Scope& s, const GradientAndVariable& pair,
                  const std::vector<Output>& shared) const override;

 private:
  double initial_accumulator_;
  double l1_;
  double l2_;
};

}  // namespace espalier::train

#endif  // ESPALIER_TRAIN_OPTIMIZERS_H_
