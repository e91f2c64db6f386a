// Tested by cond_test.cc.
#include "espalier/graph/cond.h"

#include "absl/strings/str_cat.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
namespace {

// One side of a Cond while it is built.
struct Branch {
  CondContext* context = nullptr;
  std::vector<Output> outputs;
};

absl::Status CheckPredicate(const Output& pred) {
  if (!pred.valid()) return absl::InvalidArgumentError("the predicate is an empty Output");
  if (RemoveRef(pred.dtype()) != kBool) {
    return absl::InvalidArgumentError(absl::StrCat("the predicate must be a scalar bool, received ",
                                                   pred.name(), " of type ",
                                                   DTypeName(pred.dtype())));
  }
  if (pred.shape().has_rank() && pred.shape().rank() != 0) {
    return absl::InvalidArgumentError(absl::StrCat("the predicate must be a scalar bool, received ",
                                                   pred.name(), " of shape ",
                                                   pred.shape().ToString()));
  }
  return absl::OkStatus();
}

absl::Status CheckBranches(const Branch& on_true, const Branch& on_false) {
  if (on_true.outputs.size() != on_false.outputs.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the branch of true returns ", on_true.outputs.size(),
                     " outputs, that of false ", on_false.outputs.size()));
  }
  for (size_t i = 0; i < on_true.outputs.size(); ++i) {
    const Output& a = on_true.outputs[i];
    const Output& b = on_false.outputs[i];
    if (RemoveRef(a.dtype()) != RemoveRef(b.dtype())) {
      return absl::InvalidArgumentError(absl::StrCat("output ", i, " is ", DTypeName(a.dtype()),
                                                     " in the branch of true, ",
                                                     DTypeName(b.dtype()), " in that of false"));
    }
  }
  return absl::OkStatus();
}

// `alive` is the output of the Cond's own Switch that is alive on this side.
Branch BuildBranch(const Scope& frame, const Scope& branches, const Output& pred,
                   const Output& alive, int side, const BranchesFunction& function) {
  Branch branch;
  branch.context =
      frame.graph()->AddContext(std::make_unique<CondContext>(frame.context(), pred, side));
  const Scope pivot_scope =
      frame.WithRawContext(branch.context).Named(side == 1 ? "switch_t" : "switch_f");
  branch.context->set_pivot(AddOpOutput(At(pivot_scope), "Identity", {alive}));
  const Scope inside = branches.WithContext(branch.context);
  for (const Output& output : function(inside)) {
    // The Identity belongs to the branch even when the output was made outside it.
    branch.outputs.push_back(output.valid() ? AddOpOutput(At(inside), "Identity", {output})
                                            : Output());
  }
  return branch;
}

}  // namespace

absl::StatusOr<Output> CondContext::Enter(const Output& outer) {
  NodeSpec spec;
  spec.op = IsRef(outer.dtype()) ? "RefSwitch" : "Switch";
  spec.inputs = {outer, pred_};
  ASSIGN_OR_RETURN(const Node* node, AddBorderNode(this, this, std::move(spec), "Switch"));
  return node->output(branch_);
}

std::vector<Output> CondN(const At& at, const Output& pred, const BranchesFunction& if_true,
                          const BranchesFunction& if_false) {
  Graph* graph = at.scope().graph();
  const auto fail = [&](const absl::Status& status) {
    graph->RecordError(absl::Status(
        status.code(),
        absl::StrCat("Cond (made at ", at.line().ToString(), "): ", status.message())));
    return std::vector<Output>();
  };
  if (absl::Status status = CheckPredicate(pred); !status.ok()) return fail(status);
  const Scope outside =
      at.Inside().NameScope(at.scope().next_name().empty() ? "cond" : at.scope().next_name());
  const Output condition = outside(pred);
  const Node* split = AddOp(At(outside), "Switch", {condition, condition});
  if (split == nullptr) return {};
  const Output pred_id = AddOpOutput(At(outside.Named("pred_id")), "Identity", {condition});
  // The nodes of a branch keep their own lines: only the frame of the Cond is "made" at the call.
  const Scope branches = outside.WithOrigin(at.scope().origin(), at.scope().inner_origin());
  const Branch on_true = BuildBranch(outside, branches, pred_id, split->output(1), 1, if_true);
  const Branch on_false = BuildBranch(outside, branches, pred_id, split->output(0), 0, if_false);
  if (!graph->status().ok()) return std::vector<Output>(on_true.outputs.size());
  if (absl::Status status = CheckBranches(on_true, on_false); !status.ok()) return fail(status);
  std::vector<Output> merged;
  for (size_t i = 0; i < on_true.outputs.size(); ++i) {
    merged.push_back(AddOpOutput(At(outside.WithRawContext(at.scope().context())), "Merge",
                                 {on_false.outputs[i], on_true.outputs[i]}));
  }
  return merged;
}

Output Cond(const At& at, const Output& pred, const BranchFunction& if_true,
            const BranchFunction& if_false) {
  const std::vector<Output> merged = CondN(
      at, pred, [&](const Scope& s) { return std::vector<Output>{if_true(s)}; },
      [&](const Scope& s) { return std::vector<Output>{if_false(s)}; });
  return merged.empty() ? Output() : merged[0];
}

namespace {

Output CaseFrom(const At& at, const std::vector<std::pair<Output, BranchFunction>>& cases,
                size_t first, const BranchFunction& otherwise) {
  if (first == cases.size()) return otherwise(at.scope());
  const auto& [pred, branch] = cases[first];
  return Cond(at, pred, branch, [&](const Scope& s) {
    return CaseFrom(At(s, at.line()), cases, first + 1, otherwise);
  });
}

}  // namespace

Output Case(const At& at, const std::vector<std::pair<Output, BranchFunction>>& cases,
            const BranchFunction& otherwise) {
  // Beyond this the Conds are nested deeper than anyone reads them.
  constexpr size_t kMostCases = 1000;
  if (cases.empty() || cases.size() > kMostCases) {
    at.scope().graph()->RecordError(absl::InvalidArgumentError(
        absl::StrCat("Case (made at ", at.line().ToString(), "): expected 1 to ", kMostCases,
                     " cases, received ", cases.size())));
    return Output();
  }
  const std::string name = at.scope().next_name().empty() ? "case" : at.scope().next_name();
  return CaseFrom(At(at.Inside().NameScope(name), at.line()), cases, 0, otherwise);
}

Operation CondOperation(const At& at, const Output& pred,
                        const std::function<Operation(const Scope&)>& if_true,
                        const std::function<Operation(const Scope&)>& if_false) {
  const auto wrap = [](const std::function<Operation(const Scope&)>& branch) {
    return [&branch](const Scope& s) {
      const Operation operation = branch(s);
      return Output(AddOpOutput(At(s.WithControlDependencies({operation})), "Identity",
                                {s.context()->pivot()}));
    };
  };
  return Cond(at, pred, wrap(if_true), wrap(if_false));
}

}  // namespace espalier
