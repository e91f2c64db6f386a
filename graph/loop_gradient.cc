// Tested by while_loop_test.cc and the conformance cases.
#include "espalier/graph/loop_gradient.h"

#include "absl/strings/str_cat.h"
#include "espalier/graph/control_flow_import.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
// The loop of a gradient.
class LoopMirror : public WhileContext {
 public:
  LoopMirror(ControlFlowContext* parent, std::string frame_name, LoopHistory* history)
      : WhileContext(parent, std::move(frame_name), history->forward()->parallel_iterations()),
        history_(history) {}

  // Null when the gradient is complete.
  LoopHistory* history() const { return history_; }
  void Forget() { history_ = nullptr; }

 protected:
  absl::StatusOr<Output> Recall(const Output& value) override {
    if (history_ == nullptr || value.node()->context() != history_->forward()) return Output();
    if (IsLoopConstant(*value.node())) return CaptureInto(this, value.node()->input(0));
    return history_->Recall(value, this);
  }

 private:
  LoopHistory* history_;
};

namespace {

// A branch in the loop of a gradient.
class BranchMirror : public CondContext {
 public:
  BranchMirror(ControlFlowContext* parent, const Output& pred, CondContext* forward)
      : CondContext(parent, pred, forward->branch()), forward_(forward) {}

 protected:
  absl::StatusOr<Output> Recall(const Output& value) override {
    const Node& node = *value.node();
    if (node.context() != forward_) return Output();
    // What came in through a Switch needs no stack of its own: it comes in here as well.
    if (node.traits().is_switch &&
        PredicateRoot(node.input(1)) == PredicateRoot(forward_->pred())) {
      return CaptureInto(this, node.input(0));
    }
    LoopHistory* history = HistoryOf(this);
    return history == nullptr ? Output() : history->Recall(value, this);
  }

 private:
  CondContext* forward_;
};

}  // namespace

LoopHistory* HistoryOf(ControlFlowContext* mirror) {
  for (; mirror != nullptr; mirror = mirror->parent()) {
    if (auto* loop = dynamic_cast<LoopMirror*>(mirror)) return loop->history();
  }
  return nullptr;
}

LoopStructures::LoopStructures(const Graph& graph) {
  absl::flat_hash_map<Output, LoopVariable> variables;  // by the output of the Merge
  for (const auto& node : graph.nodes()) {
    const OpTraits& traits = node->traits();
    if (traits.is_loop_cond && node->context() != nullptr) {
      WhileContext* context = node->context()->AsWhile();
      if (context != nullptr) loops_[context] = {.context = context, .condition = node.get()};
    } else if (traits.is_merge && node->num_inputs() == 2 &&
               node->input(0).node()->traits().is_enter && node->input(1).valid() &&
               node->input(1).node()->traits().is_next_iteration) {
      LoopVariable& variable = variables[node->output(0)];
      variable.merge = node.get();
      variable.enter = node->input(0).node();
    }
  }
  if (loops_.empty()) return;
  for (const auto& node : graph.nodes()) {
    const OpTraits& traits = node->traits();
    if (traits.is_switch && node->input(1).node()->traits().is_loop_cond) {
      const auto it = variables.find(node->input(0));
      if (it != variables.end()) it->second.split = node.get();
    } else if (traits.is_exit) {
      const Node* split = node->input(0).node();
      const auto it = split->traits().is_switch ? variables.find(split->input(0)) : variables.end();
      if (it != variables.end() && it->second.exit == nullptr) it->second.exit = node.get();
    } else if (traits.recalls) {
      for (WhileContext* loop = InnermostLoop(node->context()); loop != nullptr;
           loop = InnermostLoop(loop->parent())) {
        const auto it = loops_.find(loop);
        if (it != loops_.end()) it->second.recalls = true;
      }
    } else if (IsLoopConstant(*node)) {
      const auto it = loops_.find(InnermostLoop(node->context()));
      if (it == loops_.end()) continue;
      it->second.constants.push_back(node.get());
      it->second.inputs.push_back(node->input(0));
    }
  }
  // In the order of the graph, not of the hash table: the nodes that gradients add follow it.
  for (const auto& node : graph.nodes()) {
    const auto it = node->num_outputs() == 0 ? variables.end() : variables.find(node->output(0));
    if (it == variables.end() || it->second.split == nullptr) continue;
    const auto loop = loops_.find(InnermostLoop(node->context()));
    if (loop == loops_.end()) continue;
    loop->second.variables.push_back(it->second);
    loop->second.inputs.push_back(it->second.enter->input(0));
  }
}

const LoopStructure* LoopStructures::Find(const WhileContext* context) const {
  const auto it = loops_.find(context);
  return it == loops_.end() ? nullptr : &it->second;
}

absl::StatusOr<ControlFlowContext*> ContextMirrors::Of(ControlFlowContext* forward) {
  if (forward == nullptr || mirrors_.empty()) return forward;
  const auto it = mirrors_.find(forward);
  if (it != mirrors_.end()) return it->second;
  ASSIGN_OR_RETURN(ControlFlowContext * parent, Of(forward->parent()));
  if (parent == forward->parent()) return mirrors_[forward] = forward;
  CondContext* branch = forward->AsCond();
  if (branch == nullptr || !branch->pivot().valid()) {
    return absl::UnimplementedError("a loop is built in a way that its gradient does not know");
  }
  ASSIGN_OR_RETURN(const Output pred, CaptureInto(parent, branch->pred()));
  Graph* graph = pred.node()->graph();
  auto* mirror = graph->AddContext(std::make_unique<BranchMirror>(parent, pred, branch));
  mirror->set_pivot(parent->pivot());  // for the name of the next node
  NodeSpec spec;
  spec.op = "Switch";
  spec.inputs = {pred, pred};
  ASSIGN_OR_RETURN(const Node* split, AddBorderNode(mirror, parent, std::move(spec), "Switch"));
  NodeSpec pivot;
  pivot.op = "Identity";
  pivot.inputs = {split->output(branch->branch())};
  ASSIGN_OR_RETURN(const Node* alive, AddBorderNode(mirror, mirror, std::move(pivot), "pivot"));
  mirror->set_pivot(alive->output(0));
  return mirrors_[forward] = mirror;
}

void LoopHistory::Counter::Wait(const Node* node, const ControlFlowContext* counted) {
  waits.emplace_back(node);
  conditional = conditional || node->context() != counted;
}

absl::Status LoopHistory::Begin(ControlFlowContext* parent) {
  Graph* graph = scope_.graph();
  WhileContext* forward = loop_.context;
  // The forward counter starts when the loop around has started its own iteration.
  Scope before = scope_.WithRawContext(forward->parent());
  if (outer_ != nullptr) before = before.WithControlDependencies({outer_->forward_.now});
  const Output zero = ConstScalar(At(before), kInt32, 0);
  if (!zero.valid()) return graph->status();
  ASSIGN_OR_RETURN(const Node* enter, forward->AddEnter(zero, false));
  ASSIGN_OR_RETURN(forward_.merge, forward->AddMerge(enter));
  const Scope inside = scope_.WithRawContext(forward);
  const Node* split =
      AddOp(At(inside), "Switch", {forward_.merge->output(0), loop_.condition->output(0)});
  if (split == nullptr) return graph->status();
  forward_.now = AddOpOutput(At(inside.Named("forward_count")), "Identity", {split->output(1)});
  const Output count =
      AddOpOutput(At(scope_.WithRawContext(forward->parent())), "Exit", {split->output(0)});
  if (!count.valid()) return graph->status();
  ASSIGN_OR_RETURN(const Output iterations, CaptureInto(parent, count));

  mirror_ = graph->AddContext(
      std::make_unique<LoopMirror>(parent, scope_.name_prefix() + "while_context", this));
  const Scope back = scope_.WithRawContext(mirror_);
  const Node* back_enter = AddOp(At(back), "Enter", {iterations},
                                 {{"frame_name", mirror_->frame_name()},
                                  {"parallel_iterations", mirror_->parallel_iterations()}});
  if (back_enter == nullptr) return graph->status();
  mirror_->set_pivot(back_enter->output(0));
  ASSIGN_OR_RETURN(backward_.merge, mirror_->AddMerge(back_enter));
  const Output left = backward_.merge->output(0);
  mirror_->set_pivot(left);
  const Output again =
      AddOpOutput(At(back), "GreaterEqual", {left, ConstScalar(At(back), kInt32, 1)});
  condition_ = AddOpOutput(At(back), "LoopCond", {again});
  const Node* back_split = AddOp(At(back), "Switch", {left, condition_});
  if (back_split == nullptr) return graph->status();
  backward_.now =
      AddOpOutput(At(back.Named("backward_count")), "Identity", {back_split->output(1)});
  mirror_->set_pivot(backward_.now);
  const Output done =
      AddOpOutput(At(scope_.WithRawContext(parent)), "Exit", {back_split->output(0)});
  if (!done.valid()) return graph->status();
  if (outer_ != nullptr) {
    outer_->forward_.Wait(count.node(), outer_->forward());
    outer_->backward_.Wait(done.node(), outer_->mirror_);
  }
  return absl::OkStatus();
}

absl::StatusOr<Output> LoopHistory::Recall(const Output& value, ControlFlowContext* mirror) {
  Graph* graph = scope_.graph();
  const Node& node = *value.node();
  if (node.op() == "Const")
    return AddOpOutput(At(scope_.WithContext(mirror)), "Const", {}, node.attrs());
  const DType type = RemoveRef(value.dtype());
  const Scope outside = scope_.WithContext(nullptr).WithoutControlDependencies();
  const Output stack = AddOpOutput(At(outside), "StackV2", {ConstScalar(At(outside), kInt32, -1)},
                                   {{"elem_type", type}});
  if (!stack.valid()) return graph->status();
  ASSIGN_OR_RETURN(const Output forward_stack, CaptureInto(node.context(), stack));
  ASSIGN_OR_RETURN(const Output backward_stack, CaptureInto(mirror, stack));
  const Node* push =
      AddOp(At(scope_.WithRawContext(node.context()).WithControlDependencies({forward_.now})),
            "StackPushV2", {forward_stack, value});
  const Node* pop =
      AddOp(At(scope_.WithRawContext(mirror).WithControlDependencies({backward_.now})),
            "StackPopV2", {backward_stack}, {{"elem_type", type}});
  if (push == nullptr || pop == nullptr) return graph->status();
  RETURN_IF_ERROR(graph->SetShape(pop->output(0), value.shape()));
  forward_.Wait(push, forward());
  backward_.Wait(pop, mirror_);
  return pop->output(0);
}

absl::Status LoopHistory::Close(Counter& counter, const char* op, WhileContext* context) {
  const Scope inside = scope_.WithRawContext(context);
  std::vector<Operation> waits = counter.waits;
  if (counter.conditional) {
    const Node* all = AddOp(At(inside.WithControlDependencies(waits)), "ControlTrigger", {});
    waits = {Operation(all)};
  }
  const Output next = AddOpOutput(At(inside.WithControlDependencies(waits)), op,
                                  {counter.now, ConstScalar(At(inside), kInt32, 1)});
  const Output back = AddOpOutput(At(inside), "NextIteration", {next});
  if (!back.valid()) return scope_.graph()->status();
  return scope_.graph()->SetBackEdge(counter.merge, 1, back);
}

WhileContext* LoopHistory::mirror() const { return mirror_; }

absl::Status LoopHistory::End() {
  mirror_->Forget();
  RETURN_IF_ERROR(Close(forward_, "AddV2", loop_.context));
  return Close(backward_, "Sub", mirror_);
}

}  // namespace espalier
