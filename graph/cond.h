// Conditional execution, built as TensorFlow 1 builds it: Switch, Merge and pivots.
//
//   Output y = Cond(s, is_training,
//       [&](const Scope& s) { return Relu(s, x); },  // its nodes go where it is told
//       [&](const Scope& s) { return Output(s(x) * 0.5f); });
//
// `pred` is a scalar bool. A tensor from outside that a branch uses is captured through a Switch, a
// variable through a RefSwitch, so it reaches only the side that is taken; what was made outside is
// computed either way. Branches nest. Errors go to Graph::status(): a predicate that is no scalar
// bool, branches that return different numbers or types of outputs, a tensor made inside another
// branch.
#ifndef ESPALIER_GRAPH_COND_H_
#define ESPALIER_GRAPH_COND_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "espalier/graph/control_flow_context.h"
#include "espalier/graph/scope.h"

namespace espalier {

// One branch of one Cond.
class CondContext : public ControlFlowContext {
 public:
  CondContext(ControlFlowContext* parent, const Output& pred, int branch)
      : ControlFlowContext(parent), pred_(pred), branch_(branch) {}

  // The predicate, a tensor of the parent.
  const Output& pred() const { return pred_; }
  // 1 for the side of true.
  int branch() const { return branch_; }
  CondContext* AsCond() override { return this; }

 protected:
  // Through a Switch, a variable through a RefSwitch.
  absl::StatusOr<Output> Enter(const Output& outer) override;

 private:
  Output pred_;
  int branch_;
};

using BranchFunction = std::function<Output(const Scope&)>;
using BranchesFunction = std::function<std::vector<Output>(const Scope&)>;

Output Cond(const At& at, const Output& pred, const BranchFunction& if_true,
            const BranchFunction& if_false);
// Several outputs, the same number and types on both sides.
std::vector<Output> CondN(const At& at, const Output& pred, const BranchesFunction& if_true,
                          const BranchesFunction& if_false);
// No outputs: runs the operation of the side that is taken.
Operation CondOperation(const At& at, const Output& pred,
                        const std::function<Operation(const Scope&)>& if_true,
                        const std::function<Operation(const Scope&)>& if_false);

// The branch of the first predicate that holds, that of `otherwise` when none does: Conds in Conds.
//   Output y = Case(s, {{small, f}, {large, g}}, h);
Output Case(const At& at, const std::vector<std::pair<Output, BranchFunction>>& cases,
            const BranchFunction& otherwise);

}  // namespace espalier

#endif  // ESPALIER_GRAPH_COND_H_
