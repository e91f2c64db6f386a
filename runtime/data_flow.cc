// Data-flow execution of plans without control flow: pending counts, no dead tensors, no frames.
// Tested by recursive_evaluator_test.cc.
#include <memory>

#include "absl/time/clock.h"
#include "espalier/runtime/executor.h"

namespace espalier {
namespace {

class DataFlow {
 public:
  DataFlow(const Plan& plan, absl::Span<Value> slots, const KernelEnvironment& environment,
           WorkQueue& queue, const RunLimits& limits)
      : plan_(plan),
        slots_(slots),
        environment_(environment),
        queue_(queue),
        limits_(limits),
        pending_(new std::atomic<int>[plan.nodes.size()]),
        uses_(new std::atomic<int>[plan.num_slots]) {
    for (size_t i = 0; i < plan.nodes.size(); ++i) pending_[i] = plan.nodes[i].num_waits;
    for (int i = 0; i < plan.num_slots; ++i) uses_[i] = plan.slot_uses[i];
    // Presets belong to the plan: never moved out of.
    for (const auto& [slot, value] : plan.presets) uses_[slot] += 1;
  }

  absl::Status Run() {
    for (int i = 0; i < static_cast<int>(plan_.nodes.size()); ++i) {
      if (plan_.nodes[i].num_waits == 0) Schedule(i);
    }
    queue_.RunAll();
    absl::MutexLock lock(&mutex_);
    return status_;
  }

 private:
  void Schedule(int i) {
    queue_.Add([this, i] { Process(i); });
  }

  void Fail(const absl::Status& status) {
    failed_ = true;
    absl::MutexLock lock(&mutex_);
    if (status_.ok()) status_ = status;
  }

  // A slot is written before its consumers are scheduled and read by them only. The last of them
  // may move the value: it is the last when it finds the count at 1, for the others copy before
  // they count down.
  Value Take(int slot) {
    if (uses_[slot].load(std::memory_order_acquire) == 1) return std::move(slots_[slot]);
    Value copy = slots_[slot];
    if (uses_[slot].fetch_sub(1, std::memory_order_acq_rel) == 1) slots_[slot] = Value();
    return copy;
  }

  void Process(int i) {
    if (failed_) return;
    const PlanNode& node = plan_.nodes[i];
    if (absl::Now() > limits_.deadline)
      return Fail(absl::DeadlineExceededError("Run: the deadline has passed"));
    std::vector<Value> inputs;
    for (int slot : node.inputs) inputs.push_back(Take(slot));
    const absl::Span<Value> outputs = slots_.subspan(node.first_output, node.num_outputs);
    if (absl::Status status = RunNode(node, absl::MakeSpan(inputs), outputs, environment_);
        !status.ok()) {
      return Fail(status);
    }
    for (const auto& [consumer, output] : node.consumers) Arrive(consumer);
    for (int consumer : node.control_consumers) Arrive(consumer);
    for (int consumer : node.order_consumers) Arrive(consumer);
  }

  void Arrive(int i) {
    if (pending_[i].fetch_sub(1, std::memory_order_acq_rel) == 1) Schedule(i);
  }

  const Plan& plan_;
  absl::Span<Value> slots_;
  const KernelEnvironment& environment_;
  WorkQueue& queue_;
  const RunLimits& limits_;
  std::unique_ptr<std::atomic<int>[]> pending_;
  std::unique_ptr<std::atomic<int>[]> uses_;
  std::atomic<bool> failed_{false};
  absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::Status ExecuteDataFlow(const Plan& plan, absl::Span<Value> slots,
                             const KernelEnvironment& environment, WorkQueue& queue,
                             const RunLimits& limits) {
  return DataFlow(plan, slots, environment, queue, limits).Run();
}

}  // namespace espalier
