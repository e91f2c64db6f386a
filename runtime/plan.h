// A compiled Run: kernels in a fixed order, and where their values go.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<Plan> plan,
//                    CompilePlan(signature, limit, known_feeds, variables, options));
//   plan->nodes.size();      // what will run
//   plan->has_control_flow;  // false: no tensor can be dead
//
// Immutable once compiled, without threads or state of a Run, so it is shared by concurrent Runs
// and tested by looking.
#ifndef ESPALIER_RUNTIME_PLAN_H_
#define ESPALIER_RUNTIME_PLAN_H_

#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "espalier/runtime/kernel.h"
#include "espalier/runtime/plan_graph.h"
#include "espalier/runtime/variable_store.h"

namespace espalier {

struct PlanNode {
  const Node* node = nullptr;
  KernelFunction kernel;
  std::vector<int> inputs;     // slots; feeds and presets come before the outputs of nodes
  std::vector<bool> last_use;  // of the input, in plan order: the value may be moved
  int first_output = 0;        // slots first_output … + number of outputs
  int num_outputs = 0;
  // For data-flow execution: nodes that wait for this one.
  std::vector<std::pair<int, int>> consumers;  // (node, output index), one for each input edge
  std::vector<int> control_consumers;          // die with this node
  std::vector<int> order_consumers;            // do not
  int num_waits = 0;                           // edges of all kinds that come in
  int outputs_frame = 0;                       // where its outputs are: of an Enter, its loop
  int local = 0;                               // its place among the nodes of its frame
  int data_waits = 0;                          // inputs that are neither fed nor preset
};

// How a loop runs; the first of a plan stands for the Run.
struct FramePlan {
  std::string name;
  int parent = -1;
  int64_t parallel_iterations = 1;
  int num_enters = 0;
  int num_slots = 0;                 // of the outputs that are in this frame
  std::vector<int> nodes;            // that run in it
  std::vector<int> order_consumers;  // nodes of the parent that wait for the loop to end
};

struct PlanFetch {
  int slot = 0;
  Output output;
  int producer = -1;  // node, or -1 for a feed or preset
};

struct Plan {
  std::vector<PlanNode> nodes;                 // in topological order
  int num_feeds = 0;                           // slots 0 … num_feeds - 1
  std::vector<std::pair<int, Value>> presets;  // constants and variables, by slot
  int num_slots = 0;
  std::vector<int> slot_uses;   // how many inputs and fetches read each slot
  std::vector<int> slot_local;  // the place of each slot in its frame; -1 for feeds and presets
  std::vector<FramePlan> frames;
  std::vector<PlanFetch> fetches;
  bool has_control_flow = false;
  std::string debug_string;  // the plan graph after the passes
};

// The name of a variable's storage in the session.
std::string VariableKey(const Node& variable);

struct CompileOptions {
  bool decide = true;  // the pass in decide.h; off gives the general plan
};

// The kernels of a session's stateful nodes, made once: what such a kernel holds, like the place in
// a random stream, goes on from plan to plan. Thread-safe.
class KernelCache {
 public:
  absl::StatusOr<KernelFunction> KernelOf(const Node& node);

 private:
  absl::Mutex mutex_;
  absl::flat_hash_map<const Node*, KernelFunction> stateful_ ABSL_GUARDED_BY(mutex_);
};

// The passes in their order, then kernels. Errors are those of the passes, and NOT_FOUND for a
// dtype without a kernel.
absl::StatusOr<std::unique_ptr<Plan>> CompilePlan(const RunSignature& signature, int node_limit,
                                                  const std::map<int, Tensor>& known_feeds,
                                                  VariableStore& variables, KernelCache& kernels,
                                                  const CompileOptions& options);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_PLAN_H_
