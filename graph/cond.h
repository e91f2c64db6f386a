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
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "espalier/graph/scope.h"

namespace espalier {

// One branch of one Cond. Owned by the Graph.
class CondContext {
 public:
  CondContext(CondContext* parent, const Output& pred, int branch)
      : parent_(parent),
        depth_(parent == nullptr ? 1 : parent->depth_ + 1),
        pred_(pred),
        branch_(branch) {}

  // The branch around the Cond; null outside.
  CondContext* parent() const { return parent_; }
  // How many branches deep this one is, itself included.
  int depth() const { return depth_; }
  // The predicate, a tensor of the parent.
  const Output& pred() const { return pred_; }
  // Alive exactly when the branch is taken.
  const Output& pivot() const { return pivot_; }
  void set_pivot(const Output& pivot) { pivot_ = pivot; }
  // 1 for the side of true.
  int branch() const { return branch_; }

 private:
  friend absl::StatusOr<Output> CaptureInto(CondContext* context, const Output& output);
  CondContext* parent_;
  int depth_;
  Output pred_;
  Output pivot_;
  int branch_;
  absl::flat_hash_map<Output, Output> captured_;
};

// `output` as a tensor of `context`: itself when it lives there or above all branches, else its
// Switch, one for each level between. INVALID_ARGUMENT for a tensor of a branch that does not
// enclose `context`.
absl::StatusOr<Output> CaptureInto(CondContext* context, const Output& output);

// True when a tensor of `outer` may be used in `inner`. Null is outside all branches.
bool Encloses(const CondContext* outer, const CondContext* inner);

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

}  // namespace espalier

#endif  // ESPALIER_GRAPH_COND_H_
