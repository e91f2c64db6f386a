// Moving averages of variables, to evaluate with instead of the variables themselves.
//
//   train::ExponentialMovingAverage averages(0.999);
//   Operation update = averages.Apply(s.WithControlDependencies({train}), variables);
//   Output smooth = averages.Average(w);
#ifndef ESPALIER_TRAIN_MOVING_AVERAGE_H_
#define ESPALIER_TRAIN_MOVING_AVERAGE_H_

#include <vector>

#include "absl/container/flat_hash_map.h"
#include "espalier/graph/scope.h"

namespace espalier::train {

// Each average is a variable named "<variable>/ExponentialMovingAverage" that begins at the
// variable's initial value.
class ExponentialMovingAverage {
 public:
  // With `num_updates`, an integer scalar, averages move faster at first: the decay is at most
  // (1 + n) / (10 + n).
  explicit ExponentialMovingAverage(double decay, const Output& num_updates = {})
      : decay_(decay), num_updates_(num_updates) {}

  // average = decay * average + (1 - decay) * variable, for each variable. INVALID_ARGUMENT in
  // Graph::status() for what is no variable.
  Operation Apply(const At& at, const std::vector<Output>& variables);

  // The average of a variable that Apply was given; else an empty Output.
  Output Average(const Output& variable) const;

 private:
  double decay_;
  Output num_updates_;
  absl::flat_hash_map<Output, Output> averages_;
};

}  // namespace espalier::train

#endif  // ESPALIER_TRAIN_MOVING_AVERAGE_H_
