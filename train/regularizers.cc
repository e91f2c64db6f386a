// Tested by regularizers_test.cc.
#include "espalier/train/regularizers.h"

#include "espalier/layers/nn.h"
#include "espalier/ops/ops.h"

namespace espalier::train {

Regularizer L1(double scale) {
  return [scale](const Scope& s, const Output& w) -> Output {
    return s(ReduceSum(At(s), Abs(At(s), w))) * scale;
  };
}

Regularizer L2(double scale) {
  return [scale](const Scope& s, const Output& w) -> Output { return s(L2Loss(At(s), w)) * scale; };
}

void AddRegularization(const At& at, const std::vector<Output>& variables,
                       const Regularizer& regularizer) {
  for (const Output& variable : variables) {
    const Scope s = at.Inside().NameScope("regularizer");
    const Output penalty = regularizer(s, variable);
    if (penalty.valid()) s.graph()->AddToCollection(kRegularizationLosses, penalty);
  }
}

Output TotalLoss(const At& at, const Output& loss) {
  std::vector<Output> parts = {loss};
  for (const Output& penalty : at.scope().graph()->collection_outputs(kRegularizationLosses))
    parts.push_back(penalty);
  const Scope s = at.Inside();
  return AddN(At(s.next_name().empty() ? s.Named("total_loss") : s), parts);
}

}  // namespace espalier::train
