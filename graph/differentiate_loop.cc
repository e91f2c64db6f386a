// Tested by while_loop_test.cc and the conformance cases.
//
// The chain rule, iteration by iteration: what arrives at the Exits is the gradient of the last
// iteration's results; each pass of the gradient's loop turns it into the gradient of what that
// iteration began with, and adds up what falls to the loop's constants.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "espalier/graph/differentiator.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
namespace {

// A variable of the gradient's loop.
class Carried {
 public:
  Carried(const Scope& scope, LoopHistory& history) : scope_(scope), history_(history) {}

  absl::Status Open(const Output& initial, const Shape& shape) {
    WhileContext* loop = history_.mirror();
    ASSIGN_OR_RETURN(const Output outside, CaptureInto(loop->parent(), initial));
    ASSIGN_OR_RETURN(const Node* enter, loop->AddEnter(outside, false));
    ASSIGN_OR_RETURN(merge_, loop->AddMerge(enter));
    RETURN_IF_ERROR(scope_.graph()->SetShape(merge_->output(0), shape));
    const Scope inside = scope_.WithRawContext(loop);
    split_ = AddOp(At(inside), "Switch", {merge_->output(0), history_.condition()});
    if (split_ == nullptr) return scope_.graph()->status();
    now_ = AddOpOutput(At(inside), "Identity", {split_->output(1)});
    return scope_.graph()->status();
  }

  const Output& now() const { return now_; }

  // The value after the last iteration.
  absl::StatusOr<Output> Close(const Output& next) {
    WhileContext* loop = history_.mirror();
    ASSIGN_OR_RETURN(const Output inside, CaptureInto(loop, next));
    const Output back = AddOpOutput(At(scope_.WithRawContext(loop)), "NextIteration", {inside});
    const Output last =
        AddOpOutput(At(scope_.WithRawContext(loop->parent())), "Exit", {split_->output(0)});
    RETURN_IF_ERROR(scope_.graph()->status());
    RETURN_IF_ERROR(scope_.graph()->SetBackEdge(merge_, 1, back));
    return last;
  }

 private:
  Scope scope_;
  LoopHistory& history_;
  Node* merge_ = nullptr;
  const Node* split_ = nullptr;
  Output now_;
};

Output ZerosLike(const Scope& scope, Output value, DType type) {
  // The handle of a variable stands for its value.
  if (value.dtype() == kResource)
    value = AddOpOutput(At(scope), "ReadVariableOp", {value}, {{"dtype", type}});
  return AddOpOutput(At(scope), "ZerosLike", {value});
}

}  // namespace

absl::StatusOr<Differentiator::LoopParticipants> Differentiator::ParticipantsOf(
    const LoopStructure& loop) {
  // Backwards: what the results that have a gradient depend on, over any number of iterations.
  const std::vector<Output> none;
  const Differentiator body(state_, none, none, none, stops_, loop.context);
  std::vector<const Node*> order;
  absl::flat_hash_set<const Node*> reached;
  absl::flat_hash_map<const Node*, const LoopVariable*> by_split;
  std::vector<const LoopVariable*> active;
  for (const LoopVariable& variable : loop.variables) {
    by_split[variable.split] = &variable;
    if (variable.exit != nullptr && arrived_.contains(variable.exit->output(0)) &&
        !stops_.contains(variable.exit->output(0))) {
      active.push_back(&variable);
    }
  }
  absl::flat_hash_set<const LoopVariable*> known(active.begin(), active.end());
  for (size_t i = 0, seen = 0; i < active.size(); ++i) {
    RETURN_IF_ERROR(body.ReachBack(active[i]->next(), order, reached));
    for (; seen < order.size(); ++seen) {
      const auto it = by_split.find(order[seen]);
      if (it == by_split.end() || !IsDifferentiable(it->second->now().dtype())) continue;
      if (known.insert(it->second).second) active.push_back(it->second);
    }
  }
  std::vector<Output> ys;
  for (const LoopVariable* variable : active) ys.push_back(variable->next());

  // Forwards: what depends on an x, over any number of iterations.
  LoopParticipants participants;
  std::vector<Output> xs;
  for (const Node* constant : loop.constants) {
    if (!wanted_.contains(constant->input(0)) || !reached.contains(constant)) continue;
    participants.constants.push_back(constant);
    xs.push_back(constant->output(0));
  }
  absl::flat_hash_set<const LoopVariable*> taken;
  for (const LoopVariable* variable : active) {
    if (wanted_.contains(variable->enter->input(0))) taken.insert(variable);
  }
  for (size_t before = taken.size() + 1; before != taken.size();) {
    before = taken.size();
    std::vector<Output> sources = xs;
    for (const LoopVariable* variable : active) {
      if (taken.contains(variable)) sources.push_back(variable->now());
    }
    Differentiator probe(state_, ys, none, sources, stops_, loop.context);
    RETURN_IF_ERROR(probe.MarkBetween());
    for (const LoopVariable* variable : active) {
      if (probe.wanted_.contains(variable->next())) taken.insert(variable);
    }
  }
  for (const LoopVariable* variable : active) {
    if (taken.contains(variable)) participants.variables.push_back(variable);
  }
  return participants;
}

absl::Status Differentiator::DifferentiateLoop(const LoopStructure& loop) {
  // A gradient that leaves by another door than those of the known variables would be lost.
  for (const auto& [output, parts] : arrived_) {
    const Node& exit = *output.node();
    if (!exit.traits().is_exit || InnermostLoop(exit.input(0).node()->context()) != loop.context)
      continue;
    const bool known = std::any_of(loop.variables.begin(), loop.variables.end(),
                                   [&](const LoopVariable& v) { return v.exit == &exit; });
    if (!known) {
      return absl::UnimplementedError(
          absl::StrCat(exit.Describe(),
                       ": the gradient needs a loop of Enter, Merge, Switch, NextIteration and "
                       "one Exit for each variable"));
    }
  }
  ASSIGN_OR_RETURN(const LoopParticipants participants, ParticipantsOf(loop));
  if (participants.variables.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(ControlFlowContext * place, state_.mirrors.Of(loop.context->parent()));
  const SourceLine& line = loop.condition->line();
  const Scope scope = state_.scope.WithOrigin(line.known() ? line : state_.scope.origin())
                          .NameScope(loop.context->frame_name() + "_grad");
  const Scope outside = scope.WithContext(place);
  LoopHistory history(scope, loop, HistoryOf(place));
  RETURN_IF_ERROR(history.Begin(place));
  state_.mirrors.Add(loop.context, history.mirror());

  std::vector<Carried> carried;
  std::vector<Output> ys, grad_ys, xs;
  for (const LoopVariable* variable : participants.variables) {
    Output last = variable->exit == nullptr ? Output() : variable->exit->output(0);
    Output initial;
    if (last.valid() && !stops_.contains(last)) {
      ASSIGN_OR_RETURN(initial, Total(last));
    }
    if (!initial.valid()) {
      if (!last.valid()) {
        last = AddOpOutput(At(scope.WithRawContext(loop.context->parent())), "Exit",
                           {variable->split->output(0)});
      }
      initial = ZerosLike(outside, last, last.dtype());
    }
    RETURN_IF_ERROR(graph_->status());
    carried.emplace_back(scope, history);
    RETURN_IF_ERROR(carried.back().Open(initial, variable->merge->output_shape(0)));
    ys.push_back(variable->next());
    grad_ys.push_back(carried.back().now());
    xs.push_back(variable->now());
  }
  for (const Node* constant : participants.constants) xs.push_back(constant->output(0));
  ASSIGN_OR_RETURN(const std::vector<Output> gradients,
                   Differentiator(state_, ys, grad_ys, xs, stops_, loop.context).Run());

  const Scope inside = scope.WithContext(history.mirror());
  for (size_t i = 0; i < carried.size(); ++i) {
    const LoopVariable& variable = *participants.variables[i];
    Output next = gradients[i];
    if (!next.valid()) {
      // The iteration begins anew, whatever it began with.
      const Output shape = AddOpOutput(At(scope.WithContext(loop.context)), "Shape", {xs[i]});
      next = AddOpOutput(At(inside), "Fill", {shape, ConstScalar(At(inside), xs[i].dtype(), 0)});
      RETURN_IF_ERROR(graph_->status());
    }
    ASSIGN_OR_RETURN(const Output first, carried[i].Close(next));
    Send(variable.enter->input(0), first);
  }
  for (size_t i = 0; i < participants.constants.size(); ++i) {
    const Output& part = gradients[carried.size() + i];
    if (!part.valid()) continue;
    const Output& source = participants.constants[i]->input(0);
    Carried sum(scope, history);
    RETURN_IF_ERROR(sum.Open(ZerosLike(outside, source, part.dtype()),
                             source.dtype() == kResource ? part.shape() : source.shape()));
    const Output next = AddOpOutput(At(inside), "AddV2", {sum.now(), part});
    RETURN_IF_ERROR(graph_->status());
    ASSIGN_OR_RETURN(const Output total, sum.Close(next));
    Send(source, total);
  }
  return history.End();
}

}  // namespace espalier
