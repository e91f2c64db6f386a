#include "espalier/runtime/recursive_evaluator.h"

#include "espalier/runtime/executor.h"

namespace espalier {

absl::StatusOr<std::vector<Tensor>> RecursiveEvaluator::Run(const std::map<Output, Tensor>& feeds,
                                                            const std::vector<Output>& fetches,
                                                            const std::vector<Operation>& targets) {
  feeds_ = feeds;
  needed_.clear();
  results_.clear();
  for (const Output& fetch : fetches) {
    if (!feeds_.contains(fetch)) Need(fetch.node());
  }
  for (const Operation& target : targets) Need(target.node());
  for (const auto& [id, node] : needed_) RETURN_IF_ERROR(Evaluate(node));
  std::vector<Tensor> fetched;
  for (const Output& fetch : fetches) {
    const Value value = ValueOf(fetch);
    fetched.push_back(value.variable == nullptr ? value.tensor : value.variable->Read());
    if (!fetched.back().valid()) return absl::InvalidArgumentError("a fetch is dead");
  }
  return fetched;
}

void RecursiveEvaluator::Need(const Node* node) {
  if (!needed_.emplace(node->id(), node).second) return;
  for (const Output& input : node->inputs()) {
    if (!feeds_.contains(input)) Need(input.node());
  }
  for (const Node* control : node->control_inputs()) Need(control);
}

Value RecursiveEvaluator::ValueOf(const Output& output) {
  const auto fed = feeds_.find(output);
  if (fed != feeds_.end()) return {.tensor = fed->second};
  const Result& result = results_[output.node()];
  return result.dead ? Value() : result.outputs[output.index()];
}

absl::Status RecursiveEvaluator::Evaluate(const Node* node) {
  Result& result = results_[node];
  result.outputs.resize(node->num_outputs());
  if (node->traits().is_variable) {
    result.outputs[0].variable =
        variables_.FindOrCreate(node->name(), RemoveRef(node->output_dtype(0)));
    return absl::OkStatus();
  }
  std::vector<Value> inputs;
  int dead_inputs = 0;
  for (const Output& input : node->inputs()) {
    inputs.push_back(ValueOf(input));
    dead_inputs += inputs.back().present() ? 0 : 1;
  }
  const bool merge = node->traits().is_merge;
  result.dead = merge ? dead_inputs == node->num_inputs() : dead_inputs > 0;
  for (const Node* control : node->control_inputs()) {
    result.dead =
        result.dead || (results_[control].dead && !merge && !node->traits().is_control_trigger);
  }
  if (result.dead) return absl::OkStatus();
  PlanNode step;
  step.node = node;
  ASSIGN_OR_RETURN(step.kernel, node->schema()->kernel()(*node));
  const KernelEnvironment environment;
  return RunNode(step, absl::MakeSpan(inputs), absl::MakeSpan(result.outputs), environment);
}

}  // namespace espalier
