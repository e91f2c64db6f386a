// The working copy of a graph while a Run is compiled: what the passes change.
//
//   ASSIGN_OR_RETURN(PlanGraph plan, Prune(request));      // prune.h
//   OrderState(plan);                                      // order_state.h
//   RETURN_IF_ERROR(Decide(plan, feeds, environment));     // decide.h
//   puts(plan.DebugString().c_str());
//
// Nodes stand in one fixed topological order (data and control edges, back edges of loops cut; ties
// by creation), and keep their places; a pass removes one by setting `removed`.
#ifndef ESPALIER_RUNTIME_PLAN_GRAPH_H_
#define ESPALIER_RUNTIME_PLAN_GRAPH_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "espalier/graph/graph.h"

namespace espalier {

// Where an input comes from.
struct PlanSource {
  enum class Kind { kNode, kFeed, kConstant };
  Kind kind = Kind::kNode;
  int index = 0;   // of the node, the feed, or the constant
  int output = 0;  // of the node

  friend bool operator==(const PlanSource&, const PlanSource&) = default;
};

struct PlanGraphNode {
  const Node* node = nullptr;
  std::vector<PlanSource> inputs;
  std::vector<int> controls;      // nodes to wait for; their deadness is this node's
  std::vector<int> orders;        // nodes to wait for, dead or done
  std::vector<int> frame_orders;  // loops of the same frame to wait for
  bool removed = false;
  int frame = 0;          // where it runs
  int outputs_frame = 0;  // where its outputs are: another one for Enter and Exit
};

// A loop; the first of a plan stands for the Run.
struct PlanFrame {
  std::string name;
  int parent = -1;
  int depth = 0;
  int64_t parallel_iterations = 1;
  bool has_condition = false;
  std::vector<int> enters;
};

struct PlanGraph {
  std::vector<PlanGraphNode> nodes;
  std::vector<Tensor> constants;
  std::vector<std::string> constant_names;  // of the nodes that they were
  std::vector<PlanSource> fetches;
  std::vector<int> targets;
  std::vector<PlanFrame> frames = {PlanFrame()};

  // Removes what no fetch and no target needs any more.
  void RemoveUnneeded();
  // One line a node.
  std::string DebugString() const;
};

// What one Run asks for, by its parts of the graph.
struct RunSignature {
  std::vector<Output> feeds;
  std::vector<Output> fetches;
  std::vector<const Node*> targets;

  friend bool operator==(const RunSignature&, const RunSignature&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const RunSignature& s) {
    return H::combine(std::move(h), s.feeds, s.fetches, s.targets);
  }
};

// The nodes that the fetches and targets need, found backwards from them and stopping at feeds.
// INVALID_ARGUMENT for an empty request or a cycle that is no loop; UNIMPLEMENTED for an op that
// has no kernel here; FAILED_PRECONDITION for a node with an id of `node_limit` or more (made after
// the session took its graph).
absl::StatusOr<PlanGraph> Prune(const RunSignature& signature, int node_limit);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_PLAN_GRAPH_H_
