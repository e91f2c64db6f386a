// Tested by gradients_test.cc and while_loop_test.cc.
//
// The executor's algorithm run backwards: each node between ys and xs waits until the gradients of
// all its consumers have arrived, then its own gradient function runs. An explicit queue, so a
// chain of 100,000 nodes needs no stack; only loops in loops recurse.
#include "espalier/graph/differentiator.h"

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
namespace {

// Gradients reach a resource variable through its handle.
bool CarriesGradient(DType type) { return IsDifferentiable(type) || type == kResource; }

}  // namespace

Differentiator::Differentiator(DifferentiationState& state, const std::vector<Output>& ys,
                               const std::vector<Output>& grad_ys, const std::vector<Output>& xs,
                               const absl::flat_hash_set<Output>& stops, WhileContext* body)
    : graph_(state.scope.graph()),
      state_(state),
      ys_(ys),
      grad_ys_(grad_ys),
      xs_(xs),
      stops_(stops),
      body_(body),
      level_(body != nullptr ? body
             : ys.empty()    ? nullptr
                             : InnermostLoop(ys[0].node()->context())) {}

absl::StatusOr<std::vector<Output>> Differentiator::Run() {
  RETURN_IF_ERROR(MarkBetween());
  CountPending();
  RETURN_IF_ERROR(Seed());
  while (!ready_.empty()) {
    const Node* step = ready_.front();
    ready_.pop();
    const LoopStructure* loop = LoopOf(step);
    RETURN_IF_ERROR(loop != nullptr ? DifferentiateLoop(*loop) : Differentiate(*step));
    for (const Output& input : InputsOf(step)) {
      const Node* source = StepOf(input.node());
      if (--pending_[source] == 0 && between_.contains(source)) ready_.push(source);
    }
  }
  std::vector<Output> gradients;
  for (const Output& x : xs_) {
    ASSIGN_OR_RETURN(const Output total, Total(x));
    gradients.push_back(total);
  }
  return gradients;
}

const Node* Differentiator::StepOf(const Node* node) const {
  if (state_.loops.empty()) return node;
  WhileContext* loop =
      InnermostLoop(node->traits().is_exit ? node->input(0).node()->context() : node->context());
  while (loop != nullptr && loop != level_ && InnermostLoop(loop->parent()) != level_)
    loop = InnermostLoop(loop->parent());
  if (loop == nullptr || loop == level_) return node;
  const LoopStructure* structure = state_.loops.Find(loop);
  return structure == nullptr ? node : structure->condition;
}

const LoopStructure* Differentiator::LoopOf(const Node* step) const {
  return step->traits().is_loop_cond ? state_.loops.Find(InnermostLoop(step->context())) : nullptr;
}

absl::Span<const Output> Differentiator::InputsOf(const Node* step) const {
  const LoopStructure* loop = LoopOf(step);
  return loop == nullptr ? step->inputs() : loop->inputs;
}

std::vector<Output> Differentiator::OutputsOf(const Node* step) const {
  std::vector<Output> outputs;
  if (const LoopStructure* loop = LoopOf(step)) {
    for (const LoopVariable& variable : loop->variables) {
      if (variable.exit != nullptr) outputs.push_back(variable.exit->output(0));
    }
  } else {
    for (int i = 0; i < step->num_outputs(); ++i) outputs.push_back(step->output(i));
  }
  return outputs;
}

bool Differentiator::IsDoor(const Node& node) const {
  if (level_ == nullptr || node.context() != level_) return false;
  const OpTraits& traits = node.traits();
  // Where Gradients was called within an iteration, what the loop finds the same in all of them is
  // as good as what it is outside.
  if (traits.is_enter) return body_ != nullptr || !IsLoopConstant(node);
  if (traits.is_merge) return node.input(0).node()->traits().is_enter;
  return traits.is_switch && node.input(1).node()->traits().is_loop_cond;
}

absl::Status Differentiator::ReachBack(const Output& y, std::vector<const Node*>& order,
                                       absl::flat_hash_set<const Node*>& reached) const {
  size_t i = order.size();
  const auto reach = [&](const Node* node) {
    const Node* step = StepOf(node);
    if (reached.insert(step).second) order.push_back(step);
  };
  for (reach(y.node()); i < order.size(); ++i) {
    const Node& step = *order[i];
    const LoopStructure* loop = LoopOf(&step);
    if (step.traits().recalls || (loop != nullptr && loop->recalls)) {
      return absl::UnimplementedError(
          absl::StrCat(step.Describe(), ": second-order gradients of loops are not built"));
    }
    if (IsDoor(step) || (CutsGradient(step) && loop == nullptr)) continue;
    for (const Output& input : InputsOf(&step)) {
      if (CarriesGradient(input.dtype()) && !stops_.contains(input)) reach(input.node());
    }
  }
  return absl::OkStatus();
}

// between_: steps that some y depends on and that depend on some x.
absl::Status Differentiator::MarkBetween() {
  std::vector<const Node*> backward;
  absl::flat_hash_set<const Node*> reached;
  for (const Output& y : ys_) RETURN_IF_ERROR(ReachBack(y, backward, reached));
  // Consumers among the reached steps, to walk forward from the xs.
  absl::flat_hash_map<Output, std::vector<const Node*>> consumers;
  for (const Node* step : backward) {
    if (IsDoor(*step)) continue;
    for (const Output& input : InputsOf(step)) consumers[input].push_back(step);
  }
  std::vector<const Node*> forward;
  const auto follow = [&](const Output& from) {
    if (stops_.contains(from) || !CarriesGradient(from.dtype())) return;
    wanted_.insert(from);
    const auto it = consumers.find(from);
    if (it == consumers.end()) return;
    for (const Node* step : it->second) {
      if (CutsGradient(*step) && LoopOf(step) == nullptr) continue;
      if (between_.insert(step).second) forward.push_back(step);
    }
  };
  for (const Output& x : xs_) follow(x);
  for (size_t i = 0; i < forward.size(); ++i) {
    for (const Output& output : OutputsOf(forward[i])) follow(output);
  }
  return absl::OkStatus();
}

// How many uses of each step's outputs, by steps between, will send a gradient.
void Differentiator::CountPending() {
  for (const Node* step : between_) {
    pending_.try_emplace(step, 0);
    for (const Output& input : InputsOf(step)) ++pending_[StepOf(input.node())];
  }
}

absl::Status Differentiator::Seed() {
  absl::flat_hash_set<const Node*> y_steps;
  for (size_t i = 0; i < ys_.size(); ++i) {
    const Output& y = ys_[i];
    Output gradient = grad_ys_.empty() ? Output() : grad_ys_[i];
    if (!gradient.valid()) {
      ASSIGN_OR_RETURN(ControlFlowContext * place, state_.mirrors.Of(y.node()->context()));
      const Scope scope = state_.scope.WithContext(place).Named("grad_ys_" + std::to_string(i));
      gradient = AddOpOutput(At(scope), "OnesLike", {y});
    }
    arrived_[y].push_back(gradient);
    y_steps.insert(StepOf(y.node()));
  }
  for (const Output& y : ys_) {
    const Node* step = StepOf(y.node());
    const auto pending = pending_.find(step);
    if (between_.contains(step) && pending->second == 0 && y_steps.erase(step) > 0)
      ready_.push(step);
  }
  return absl::OkStatus();
}

// The sum of what has arrived at `output`; kept, so that it is built once.
absl::StatusOr<Output> Differentiator::Total(const Output& output) {
  const auto it = arrived_.find(output);
  if (it == arrived_.end()) return Output();
  if (it->second.size() > 1) {
    ASSIGN_OR_RETURN(const Scope scope, ScopeFor(*output.node()));
    it->second = {AddOpOutput(At(scope), "AddN", it->second)};
  }
  return it->second[0];
}

void Differentiator::Send(const Output& input, const Output& gradient) {
  if (gradient.valid() && CarriesGradient(input.dtype())) arrived_[input].push_back(gradient);
}

// Where the gradient nodes of `node` go: the mirror of its context, at its line.
absl::StatusOr<Scope> Differentiator::ScopeFor(const Node& node) const {
  ASSIGN_OR_RETURN(ControlFlowContext * place, state_.mirrors.Of(node.context()));
  const SourceLine& line = node.line().known() ? node.line() : state_.scope.origin();
  return state_.scope.WithOrigin(line, node.inner_line()).WithContext(place);
}

absl::Status Differentiator::Differentiate(const Node& node) {
  std::vector<Output> output_gradients;
  bool any = false;
  for (int i = 0; i < node.num_outputs(); ++i) {
    Output total;
    if (!stops_.contains(node.output(i))) {
      ASSIGN_OR_RETURN(total, Total(node.output(i)));
    }
    any = any || total.valid();
    output_gradients.push_back(total);
  }
  if (!any) return absl::OkStatus();
  const OpSchema* schema = node.schema();
  if (schema == nullptr || schema->gradient() == nullptr) {
    if (schema != nullptr && CutsGradient(node)) return absl::OkStatus();
    return absl::UnimplementedError(absl::StrCat(
        node.Describe(), ": no gradient is known",
        schema == nullptr ? " (unknown op)" : absl::StrCat(": ", schema->gradient_missing())));
  }
  ASSIGN_OR_RETURN(const Scope scope, ScopeFor(node));
  std::vector<Output> input_gradients = schema->gradient()(GradientContext(
      scope.NameScope(node.name() + "_grad"), node, std::move(output_gradients), &state_.mirrors));
  RETURN_IF_ERROR(graph_->status());
  input_gradients.resize(node.num_inputs());
  for (int i = 0; i < node.num_inputs(); ++i) Send(node.input(i), input_gradients[i]);
  return absl::OkStatus();
}

}  // namespace espalier
