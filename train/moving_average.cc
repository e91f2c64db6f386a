// Tested by optimizers_test.cc.
#include "espalier/train/moving_average.h"

#include "absl/strings/str_cat.h"
#include "espalier/graph/variable.h"
#include "espalier/ops/ops.h"

namespace espalier::train {

Operation ExponentialMovingAverage::Apply(const At& at, const std::vector<Output>& variables) {
  Graph* graph = at.scope().graph();
  const Scope outside = at.Inside();
  const Scope s = outside.NameScope("ExponentialMovingAverage");
  std::vector<Operation> updates;
  for (const Output& variable : variables) {
    if (!variable.valid() || !IsRef(variable.dtype()) ||
        !graph->initializers().contains(variable.node())) {
      graph->RecordError(absl::InvalidArgumentError(absl::StrCat(
          "ExponentialMovingAverage (made at ", at.line().ToString(),
          "): ", variable.valid() ? variable.name() : "an empty Output", " is no variable")));
      return Operation();
    }
    // The value that the variable's own initializer assigns.
    const Output initial = graph->initializers().at(variable.node())->input(1);
    const Scope root = Scope(graph).WithOrigin(s.origin(), s.inner_origin());
    const Output average =
        Variable(At(root.Named(variable.node()->name() + "/ExponentialMovingAverage")), initial,
                 {.trainable = false});
    averages_[variable] = average;
    const DType type = RemoveRef(variable.dtype());
    Expression decay = s(ConstScalar(At(s), type, decay_));
    if (num_updates_.valid()) {
      const Expression n = s(Cast(At(s), num_updates_, type));
      decay = s(Minimum(At(s), decay, (n + 1) / (n + 10)));
    }
    updates.push_back(AssignSub(At(s), average, (1 - decay) * (s(average) - s(variable))));
  }
  return NoOp(At(s.Named("update").WithControlDependencies(updates)));
}

Output ExponentialMovingAverage::Average(const Output& variable) const {
  const auto found = averages_.find(variable);
  return found == averages_.end() ? Output() : found->second;
}

}  // namespace espalier::train
