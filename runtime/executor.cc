// Tested by recursive_evaluator_test.cc.
#include "espalier/runtime/executor.h"

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace espalier {

absl::Status RunNode(const PlanNode& node, absl::Span<Value> inputs, absl::Span<Value> outputs,
                     const KernelEnvironment& environment) {
  for (int i = 0; i < static_cast<int>(inputs.size()); ++i) {
    Value& input = inputs[i];
    if (input.variable == nullptr || node.node->input_is_ref(i)) continue;
    if (node.node->input(i).dtype() == kResource) continue;  // the handle itself is the value
    // Ops that forward whatever comes (Switch, Merge, Enter, …) take a variable's value too.
    input.tensor = input.variable->Read();
    if (!input.tensor.valid()) {
      const std::string& key = input.variable->name();
      return AtNode(absl::FailedPreconditionError(absl::StrCat(
                        "Attempting to use uninitialized value ", key.substr(key.find('\n') + 1))),
                    *node.node);
    }
    input.variable = nullptr;
  }
  KernelContext context(*node.node, inputs, outputs, environment);
  absl::Status status = node.kernel(context);
  return status.ok() ? status : AtNode(status, *node.node);
}

absl::StatusOr<std::vector<Tensor>> CollectFetches(const Plan& plan, absl::Span<Value> slots) {
  std::vector<Tensor> fetched;
  fetched.reserve(plan.fetches.size());
  for (const PlanFetch& fetch : plan.fetches) {
    const Value& value = slots[fetch.slot];
    fetched.push_back(value.variable == nullptr ? value.tensor : value.variable->Read());
    if (fetched.back().valid()) continue;
    if (value.variable != nullptr) {
      return absl::FailedPreconditionError(absl::StrCat("fetch ", fetch.output.name(),
                                                        ": Attempting to use "
                                                        "uninitialized value ",
                                                        fetch.output.node()->name()));
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "fetch ", fetch.output.name(), " has no value in this Run: ",
        fetch.output.node()->Describe(), " is on the side of a Switch that was not taken"));
  }
  return fetched;
}

absl::Status ExecuteStraight(const Plan& plan, absl::Span<Value> slots,
                             const KernelEnvironment& environment, const RunLimits& limits) {
  const bool timed = limits.deadline != absl::InfiniteFuture();
  absl::InlinedVector<Value, 8> inputs;
  for (const PlanNode& node : plan.nodes) {
    if (timed && absl::Now() > limits.deadline)
      return absl::DeadlineExceededError("Run: the deadline has passed");
    inputs.clear();
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      Value& source = slots[node.inputs[k]];
      inputs.push_back(node.last_use[k] ? std::move(source) : source);
    }
    const absl::Span<Value> outputs = slots.subspan(node.first_output, node.num_outputs);
    RETURN_IF_ERROR(RunNode(node, absl::MakeSpan(inputs), outputs, environment));
    for (int o = 0; o < node.num_outputs; ++o) {
      if (plan.slot_uses[node.first_output + o] == 0) outputs[o] = Value();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Tensor>> Execute(const Plan& plan, absl::Span<const Tensor> feeds,
                                            const KernelEnvironment& environment, WorkQueue* queue,
                                            const RunLimits& limits) {
  std::vector<Value> slots(plan.num_slots);
  for (int i = 0; i < plan.num_feeds; ++i) slots[i].tensor = feeds[i];
  for (const auto& [slot, value] : plan.presets) slots[slot] = value;
  if (plan.has_control_flow) {
    RETURN_IF_ERROR(ExecuteControlFlow(plan, absl::MakeSpan(slots), environment, queue, limits));
  } else if (queue != nullptr) {
    RETURN_IF_ERROR(ExecuteDataFlow(plan, absl::MakeSpan(slots), environment, *queue, limits));
  } else {
    RETURN_IF_ERROR(ExecuteStraight(plan, absl::MakeSpan(slots), environment, limits));
  }
  return CollectFetches(plan, absl::MakeSpan(slots));
}

}  // namespace espalier
