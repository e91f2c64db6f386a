// Tested by optimizers_test.cc. Op names are those of the classes: their builders are meant.
#include "espalier/train/optimizers.h"

#include "espalier/ops/ops.h"

namespace espalier::train {
namespace {

// Scalars of a variable's type.
class Scalars {
 public:
  Scalars(const Scope& s, const Output& variable) : s_(s), type_(variable.dtype()) {}
  Output operator()(double value) const { return ConstScalar(At(s_), RemoveRef(type_), value); }
  Output operator()(const LearningRate& rate) const { return rate.As(s_, type_); }

 private:
  const Scope& s_;
  DType type_;
};

}  // namespace

Operation RmsProp::Apply(const Scope& s, const GradientAndVariable& pair,
                         const std::vector<Output>&) const {
  const Scalars scalar(s, pair.variable);
  const Output mean_square = Slot(s, pair.variable, name(), 1);
  const Output mean = options_.centered ? Slot(s, pair.variable, name()) : Output();
  const Output momentum = Slot(s, pair.variable, name());
  const Output rate = scalar(learning_rate()), decay = scalar(options_.decay);
  const Output factor = scalar(options_.momentum), epsilon = scalar(options_.epsilon);
  if (options_.centered) {
    return ApplyCenteredRMSProp(At(s), pair.variable, mean, mean_square, momentum, rate, decay,
                                factor, epsilon, pair.gradient);
  }
  return ApplyRMSProp(At(s), pair.variable, mean_square, momentum, rate, decay, factor, epsilon,
                      pair.gradient);
}

Operation Adagrad::Apply(const Scope& s, const GradientAndVariable& pair,
                         const std::vector<Output>&) const {
  const Scalars scalar(s, pair.variable);
  return ApplyAdagrad(At(s), pair.variable, Slot(s, pair.variable, name(), initial_accumulator_),
                      scalar(learning_rate()), pair.gradient);
}

Operation Adadelta::Apply(const Scope& s, const GradientAndVariable& pair,
                          const std::vector<Output>&) const {
  const Scalars scalar(s, pair.variable);
  const Output accumulated = Slot(s, pair.variable, name());
  const Output updates = Slot(s, pair.variable, name());  // the second of the name: "Adadelta_1"
  return ApplyAdadelta(At(s), pair.variable, accumulated, updates, scalar(learning_rate()),
                       scalar(rho_), scalar(epsilon_), pair.gradient);
}

Operation Ftrl::Apply(const Scope& s, const GradientAndVariable& pair,
                      const std::vector<Output>&) const {
  const Scalars scalar(s, pair.variable);
  const Output accumulated = Slot(s, pair.variable, name(), options_.initial_accumulator);
  const Output linear = Slot(s, pair.variable, name());  // the second of the name: "Ftrl_1"
  return ApplyFtrl(At(s), pair.variable, accumulated, linear, pair.gradient,
                   scalar(learning_rate()), scalar(options_.l1), scalar(options_.l2),
                   scalar(options_.power));
}

Operation ProximalGradientDescent::Apply(const Scope& s, const GradientAndVariable& pair,
                                         const std::vector<Output>&) const {
  const Scalars scalar(s, pair.variable);
  return ApplyProximalGradientDescent(At(s), pair.variable, scalar(learning_rate()), scalar(l1_),
                                      scalar(l2_), pair.gradient);
}

Operation ProximalAdagrad::Apply(const Scope& s, const GradientAndVariable& pair,
                                 const std::vector<Output>&) const {
  const Scalars scalar(s, pair.variable);
  return ApplyProximalAdagrad(At(s), pair.variable,
                              Slot(s, pair.variable, name(), initial_accumulator_),
                              scalar(learning_rate()), scalar(l1_), scalar(l2_), pair.gradient);
}

}  // namespace espalier::train
