// Learning rates: a number, or a tensor that changes as training goes on.
//
//   Output rate = train::ExponentialDecay(s, 0.1, step, {.steps = 1000, .rate = 0.96});
//   Operation op = train::Momentum(rate, 0.9).Minimize(s, loss, {.global_step = step});
//
// A schedule is a float scalar made of ordinary nodes from `global_step`, an integer scalar; the
// formulas are those of TensorFlow's tf.train functions of these names. Errors go to
// Graph::status().
#ifndef ESPALIER_TRAIN_LEARNING_RATE_H_
#define ESPALIER_TRAIN_LEARNING_RATE_H_

#include <variant>
#include <vector>

#include "espalier/graph/scope.h"

namespace espalier::train {

// A number or a scalar tensor, wherever an optimizer takes a rate.
class LearningRate {
 public:
  LearningRate(double rate) : rate_(rate) {}  // NOLINT(google-explicit-constructor)
  LearningRate(Output rate) : rate_(rate) {}  // NOLINT(google-explicit-constructor)
  // As a scalar of `type`, cast when it is a tensor of another.
  Output As(const Scope& s, DType type) const;

 private:
  std::variant<double, Output> rate_;
};

struct DecayOptions {
  double steps = 1;        // that one decay takes
  double rate = 1;         // what one decay multiplies by, or adds
  bool staircase = false;  // whole decays only
};

// learning_rate * rate^(step / steps).
Output ExponentialDecay(const At& at, const LearningRate& learning_rate, const Output& global_step,
                        const DecayOptions& options);
// learning_rate * e^(-rate * step / steps).
Output NaturalExponentialDecay(const At& at, const LearningRate& learning_rate,
                               const Output& global_step, const DecayOptions& options);
// learning_rate / (1 + rate * step / steps).
Output InverseTimeDecay(const At& at, const LearningRate& learning_rate, const Output& global_step,
                        const DecayOptions& options);

struct PolynomialDecayOptions {
  double steps = 1;
  double end_learning_rate = 0.0001;
  double power = 1;
  bool cycle = false;  // begins again, over a longer time, after `steps`
};
// (learning_rate - end)(1 - min(step, steps) / steps)^power + end.
Output PolynomialDecay(const At& at, const LearningRate& learning_rate, const Output& global_step,
                       const PolynomialDecayOptions& options);

// learning_rate ((1 - alpha)(1 + cos(π min(step, steps) / steps)) / 2 + alpha).
Output CosineDecay(const At& at, const LearningRate& learning_rate, const Output& global_step,
                   double steps, double alpha = 0);

// values[i] while step <= boundaries[i], the last value after all. INVALID_ARGUMENT unless there is
// one value more than boundaries.
Output PiecewiseConstant(const At& at, const Output& global_step,
                         const std::vector<int64_t>& boundaries, const std::vector<double>& values);

}  // namespace espalier::train

#endif  // ESPALIER_TRAIN_LEARNING_RATE_H_
