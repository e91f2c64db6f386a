// Tested by while_loop_test.cc.
#include "espalier/graph/while_loop.h"

#include "absl/strings/str_cat.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
namespace {

// A loop while it is built.
class Builder {
 public:
  Builder(const At& at, const std::vector<Output>& initial, const WhileLoopOptions& options)
      : graph_(at.scope().graph()),
        outside_(at.Inside().NameScope(at.scope().next_name().empty() ? "while"
                                                                      : at.scope().next_name())),
        context_(graph_->AddContext(std::make_unique<WhileContext>(
            at.scope().context(), outside_.name_prefix() + "while_context",
            options.parallel_iterations))),
        // Control dependencies hold the Enters back; they cannot reach into a frame.
        border_(outside_.WithoutControlDependencies().WithRawContext(context_)),
        inside_(border_.WithContext(context_).WithOrigin(at.scope().origin(),
                                                         at.scope().inner_origin())),
        initial_(initial),
        invariants_(options.shape_invariants) {}

  absl::StatusOr<std::vector<Output>> Build(const LoopCondition& condition, const LoopBody& body) {
    RETURN_IF_ERROR(AddVariables());
    RETURN_IF_ERROR(AddCondition(condition));
    RETURN_IF_ERROR(AddBody(body));
    const Scope after = border_.WithRawContext(context_->parent());
    std::vector<Output> last;
    for (const Node* split : switches_)
      last.push_back(AddOpOutput(At(after), "Exit", {split->output(0)}));
    return last;
  }

 private:
  absl::Status AddVariables() {
    if (initial_.empty()) return absl::InvalidArgumentError("a loop needs at least one variable");
    if (!invariants_.empty() && invariants_.size() != initial_.size()) {
      return absl::InvalidArgumentError(absl::StrCat("shape_invariants has ", invariants_.size(),
                                                     " shapes for ", initial_.size(),
                                                     " variables"));
    }
    for (size_t i = 0; i < initial_.size(); ++i) {
      if (!initial_[i].valid())
        return absl::InvalidArgumentError(absl::StrCat("initial value ", i, " is an empty Output"));
      Output value = outside_(initial_[i]);
      if (!value.valid()) return graph_->status();
      if (IsRef(value.dtype())) value = AddOpOutput(At(outside_), "Identity", {value});
      const Shape& invariant = invariants_.empty() ? value.shape() : invariants_[i];
      if (!Includes(invariant, value.shape())) {
        return absl::InvalidArgumentError(
            absl::StrCat("the initial value ", i, " has shape ", value.shape().ToString(),
                         ", its invariant is ", invariant.ToString()));
      }
      const Scope door = outside_.WithRawContext(context_);
      const Node* enter = AddOp(At(door), "Enter", {value},
                                {{"frame_name", context_->frame_name()},
                                 {"parallel_iterations", context_->parallel_iterations()}});
      if (enter == nullptr) return graph_->status();
      if (!context_->pivot().valid()) context_->set_pivot(enter->output(0));
      ASSIGN_OR_RETURN(Node * merge, context_->AddMerge(enter));
      RETURN_IF_ERROR(graph_->SetShape(merge->output(0), invariant));
      merges_.push_back(merge);
      variables_.push_back(merge->output(0));
    }
    return absl::OkStatus();
  }

  // True when every shape that `shape` may be is one that `invariant` allows.
  static bool Includes(const Shape& invariant, const Shape& shape) {
    if (!invariant.has_rank()) return true;
    if (invariant.rank() != shape.rank()) return false;
    for (int d = 0; d < invariant.rank(); ++d) {
      if (invariant.dim(d) >= 0 && invariant.dim(d) != shape.dim(d)) return false;
    }
    return true;
  }

  absl::Status AddCondition(const LoopCondition& condition) {
    context_->set_pivot(variables_[0]);
    const Output wanted = condition(inside_, variables_);
    RETURN_IF_ERROR(graph_->status());
    if (!wanted.valid() || RemoveRef(wanted.dtype()) != kBool ||
        (wanted.shape().has_rank() && wanted.shape().rank() != 0)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the condition must return a scalar bool, received ",
          wanted.valid() ? absl::StrCat(wanted.name(), " of type ", DTypeName(wanted.dtype()),
                                        " and shape ", wanted.shape().ToString())
                         : "an empty Output"));
    }
    const Output again = AddOpOutput(At(inside_), "LoopCond", {wanted});
    if (!again.valid()) return graph_->status();
    for (const Output& variable : variables_) {
      const Node* split = AddOp(At(border_), "Switch", {variable, again});
      if (split == nullptr) return graph_->status();
      switches_.push_back(split);
    }
    return absl::OkStatus();
  }

  absl::Status AddBody(const LoopBody& body) {
    std::vector<Output> now;
    for (const Node* split : switches_)
      now.push_back(AddOpOutput(At(border_), "Identity", {split->output(1)}));
    context_->set_pivot(now[0]);
    const std::vector<Output> next = body(inside_, now);
    RETURN_IF_ERROR(graph_->status());
    if (next.size() != now.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the body must return ", now.size(), " values, received ", next.size()));
    }
    for (size_t i = 0; i < next.size(); ++i) {
      if (!next[i].valid()) {
        return absl::InvalidArgumentError(absl::StrCat("the body returns an empty Output as ", i));
      }
      if (RemoveRef(next[i].dtype()) != now[i].dtype() ||
          !Includes(now[i].shape(), next[i].shape())) {
        return absl::InvalidArgumentError(absl::StrCat(
            "variable ", i, " is ", DTypeName(now[i].dtype()), now[i].shape().ToString(),
            ", the body returns ", DTypeName(RemoveRef(next[i].dtype())),
            next[i].shape().ToString(), "; shape_invariants may allow for it"));
      }
      const Output value = inside_(next[i]);
      const Output back = AddOpOutput(At(border_), "NextIteration", {value});
      if (!back.valid()) return graph_->status();
      RETURN_IF_ERROR(graph_->SetBackEdge(merges_[i], 1, back));
    }
    return absl::OkStatus();
  }

  Graph* graph_;
  Scope outside_;
  WhileContext* context_;
  Scope border_;
  Scope inside_;
  const std::vector<Output>& initial_;
  const std::vector<Shape>& invariants_;
  std::vector<Node*> merges_;
  std::vector<Output> variables_;
  std::vector<const Node*> switches_;
};

}  // namespace

bool IsLoopConstant(const Node& node) {
  return node.traits().is_enter && node.attr<bool>("is_constant");
}

absl::StatusOr<const Node*> WhileContext::AddEnter(const Output& outer, bool is_constant) {
  NodeSpec spec;
  spec.op = IsRef(outer.dtype()) ? "RefEnter" : "Enter";
  spec.inputs = {outer};
  spec.attrs = {{"frame_name", frame_name_},
                {"is_constant", is_constant},
                {"parallel_iterations", parallel_iterations_}};
  return AddBorderNode(this, this, std::move(spec), "Enter");
}

absl::StatusOr<Node*> WhileContext::AddMerge(const Node* enter) {
  NodeSpec spec;
  spec.op = "Merge";
  spec.inputs = {enter->output(0), Output()};
  return AddBorderNode(this, this, std::move(spec), "Merge");
}

absl::StatusOr<Output> WhileContext::Enter(const Output& outer) {
  ASSIGN_OR_RETURN(const Node* enter, AddEnter(outer, true));
  return enter->output(0);
}

std::vector<Output> WhileLoop(const At& at, const std::vector<Output>& initial,
                              const LoopCondition& condition, const LoopBody& body,
                              const WhileLoopOptions& options) {
  if (!at.scope().graph()->status().ok()) return {};
  absl::StatusOr<std::vector<Output>> last = Builder(at, initial, options).Build(condition, body);
  if (last.ok()) return *std::move(last);
  at.scope().graph()->RecordError(absl::Status(
      last.status().code(),
      absl::StrCat("WhileLoop (made at ", at.line().ToString(), "): ", last.status().message())));
  return {};
}

}  // namespace espalier
