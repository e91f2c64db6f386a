// Runs a Plan.
//
//   absl::StatusOr<std::vector<Tensor>> fetched =
//       Execute(plan, feeds, environment, /*queue=*/nullptr);
//
// Without a queue and without control flow the plan's nodes simply run one after the other in its
// order, which is the fastest way when the kernels themselves use the threads. With a queue, nodes
// run as their inputs arrive. The values are the same either way. Errors: the first that a kernel
// returned, or INVALID_ARGUMENT for a fetch that is dead.
#ifndef ESPALIER_RUNTIME_EXECUTOR_H_
#define ESPALIER_RUNTIME_EXECUTOR_H_

#include <atomic>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "espalier/runtime/plan.h"
#include "espalier/runtime/work_queue.h"

namespace espalier {

struct RunLimits {
  absl::Time deadline = absl::InfiniteFuture();  // DEADLINE_EXCEEDED after it, between two nodes
  int64_t max_loop_iterations = int64_t{1} << 40;
};

absl::StatusOr<std::vector<Tensor>> Execute(const Plan& plan, absl::Span<const Tensor> feeds,
                                            const KernelEnvironment& environment, WorkQueue* queue,
                                            const RunLimits& limits = {});

// --- For the executors.

// Reads what the kernel takes by value from variables, runs it, checks its outputs. `inputs` are
// consumed.
absl::Status RunNode(const PlanNode& node, absl::Span<Value> inputs, absl::Span<Value> outputs,
                     const KernelEnvironment& environment);
// The fetched tensors out of the slots; variables are read now, after all writes.
absl::StatusOr<std::vector<Tensor>> CollectFetches(const Plan& plan, absl::Span<Value> slots);

// The executors, one file each.
absl::Status ExecuteStraight(const Plan& plan, absl::Span<Value> slots,
                             const KernelEnvironment& environment, const RunLimits& limits);
absl::Status ExecuteDataFlow(const Plan& plan, absl::Span<Value> slots,
                             const KernelEnvironment& environment, WorkQueue& queue,
                             const RunLimits& limits);
absl::Status ExecuteControlFlow(const Plan& plan, absl::Span<Value> slots,
                                const KernelEnvironment& environment, WorkQueue* queue,
                                const RunLimits& limits);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_EXECUTOR_H_
