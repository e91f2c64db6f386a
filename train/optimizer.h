// Optimizers: gradients of a loss, and the nodes that apply them to variables.
//
//   Operation train = train::Adam(0.002).Minimize(
//       s.WithControlDependencies(graph.collection(kUpdateOps)), loss);
//
//   train::Momentum optimizer(0.1, 0.9);
//   std::vector<train::GradientAndVariable> pairs = optimizer.ComputeGradients(s, loss);
//   Operation apply = optimizer.ApplyGradients(s, pairs, {.global_step = step});
//
// An optimizer is a value without state; its slots are variables of the graph, named as TensorFlow
// names them ("conv2d/kernel/Adam", "conv2d/kernel/Adam_1", "beta1_power") and made outside the
// scope's control dependencies. Errors go to Graph::status(). More optimizers: optimizers.h; rates
// that change: learning_rate.h.
#ifndef ESPALIER_TRAIN_OPTIMIZER_H_
#define ESPALIER_TRAIN_OPTIMIZER_H_

#include <string>
#include <utility>
#include <vector>

#include "espalier/graph/scope.h"
#include "espalier/train/learning_rate.h"

namespace espalier::train {

struct GradientAndVariable {
  Output gradient;  // empty: the loss does not depend on the variable
  Output variable;
};

// The collection of the operations that Minimize and ApplyGradients return, as in TensorFlow.
inline constexpr char kTrainOp[] = "train_op";

struct MinimizeOptions {
  std::vector<Output> var_list = {};  // empty: kTrainableVariables
  Output global_step = {};            // a variable that grows by 1 with each step
  std::string name = {};              // of the operation; the optimizer's own name by default
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // ComputeGradients, then ApplyGradients. INVALID_ARGUMENT, with the reason, when no variable has
  // a gradient.
  Operation Minimize(const At& at, const Output& loss, const MinimizeOptions& options = {}) const;
  std::vector<GradientAndVariable> ComputeGradients(const At& at, const Output& loss,
                                                    const std::vector<Output>& var_list = {}) const;
  // One operation that runs every update (and moves the global step after them).
  Operation ApplyGradients(const At& at, const std::vector<GradientAndVariable>& pairs,
                           const MinimizeOptions& options = {}) const;

 protected:
  Optimizer(std::string name, LearningRate learning_rate)
      : name_(std::move(name)), learning_rate_(std::move(learning_rate)) {}

  // Makes what all variables share, before the first of them is updated.
  virtual std::vector<Output> Prepare(const Scope& s, const Output& first_variable) const {
    return {};
  }
  virtual Operation Apply(const Scope& s, const GradientAndVariable& pair,
                          const std::vector<Output>& shared) const = 0;
  // Runs after `updates`; empty when nothing is left to do.
  virtual std::vector<Operation> Finish(const Scope& s, const std::vector<Operation>& updates,
                                        const std::vector<Output>& shared) const {
    return {};
  }

  const std::string& name() const { return name_; }
  const LearningRate& learning_rate() const { return learning_rate_; }
  // A variable like `variable`, named "<variable>/<slot>", filled with `value`.
  static Output Slot(const Scope& s, const Output& variable, const std::string& slot,
                     double value = 0);

 private:
  std::string name_;
  LearningRate learning_rate_;
};

// var -= learning_rate * gradient.
class GradientDescent : public Optimizer {
 public:
  explicit GradientDescent(LearningRate learning_rate)
      : Optimizer("GradientDescent", std::move(learning_rate)) {}

 protected:
  Operation Apply(const Scope& s, const GradientAndVariable& pair,
                  const std::vector<Output>& shared) const override;
};

// accumulation = momentum * accumulation + gradient; var -= learning_rate * accumulation. Slot
// "Momentum".
class Momentum : public Optimizer {
 public:
  Momentum(LearningRate learning_rate, double momentum, bool use_nesterov = false)
      : Optimizer("Momentum", std::move(learning_rate)),
        momentum_(momentum),
        use_nesterov_(use_nesterov) {}

 protected:
  Operation Apply(const Scope& s, const GradientAndVariable& pair,
                  const std::vector<Output>& shared) const override;

 private:
  double momentum_;
  bool use_nesterov_;
};

// Kingma & Ba 2015, with TensorFlow's placement of epsilon. Slots "Adam" and "Adam_1", and the
// powers of the betas.
class Adam : public Optimizer {
 public:
  explicit Adam(LearningRate learning_rate = 0.001, double beta1 = 0.9, double beta2 = 0.999,
                double epsilon = 1e-8)
      : Optimizer("Adam", std::move(learning_rate)),
        beta1_(beta1),
        beta2_(beta2),
        epsilon_(epsilon) {}

 protected:
  std::vector<Output> Prepare(const Scope& s, const Output& first_variable) const override;
  Operation Apply(const Scope& s, const GradientAndVariable& pair,
                  const std::vector<Output>& shared) const override;
  std::vector<Operation> Finish(const Scope& s, const std::vector<Operation>& updates,
                                const std::vector<Output>& shared) const override;

 private:
  double beta1_;
  double beta2_;
  double epsilon_;
};

}  // namespace espalier::train

#endif  // ESPALIER_TRAIN_OPTIMIZER_H_
