// Reverse mode over the nodes of one level: outside of all loops, or the body of one. A loop inside
// is a single step, whose own body a further Differentiator takes. For Gradients (gradients.h).
//
//   LoopStructures loops(graph);
//   ContextMirrors mirrors;
//   ASSIGN_OR_RETURN(std::vector<Output> g,
//                    Differentiator({scope, loops, mirrors}, ys, grad_ys, xs, stops).Run());
#ifndef ESPALIER_GRAPH_DIFFERENTIATOR_H_
#define ESPALIER_GRAPH_DIFFERENTIATOR_H_

#include <queue>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "espalier/graph/loop_gradient.h"

namespace espalier {

// What all levels of one call of Gradients share.
struct DifferentiationState {
  Scope scope;  // of the gradient nodes
  LoopStructures& loops;
  ContextMirrors& mirrors;
};

class Differentiator {
 public:
  // `grad_ys` has an entry for each of `ys`, empty for ones. `body` is the loop whose body this is;
  // null for the level that was asked for.
  Differentiator(DifferentiationState& state, const std::vector<Output>& ys,
                 const std::vector<Output>& grad_ys, const std::vector<Output>& xs,
                 const absl::flat_hash_set<Output>& stops, WhileContext* body = nullptr);

  // The gradient of each x; empty when no y depends on it.
  absl::StatusOr<std::vector<Output>> Run();

 private:
  // A node of this level, or the LoopCond of a loop in it.
  const Node* StepOf(const Node* node) const;
  // The loop that a step is; null for a node.
  const LoopStructure* LoopOf(const Node* step) const;
  absl::Span<const Output> InputsOf(const Node* step) const;
  std::vector<Output> OutputsOf(const Node* step) const;
  // True for what brings values into the iteration that this level is.
  bool IsDoor(const Node& node) const;

  // Adds the steps that `y` depends on along edges that carry a gradient, up to the doors.
  absl::Status ReachBack(const Output& y, std::vector<const Node*>& order,
                         absl::flat_hash_set<const Node*>& reached) const;
  absl::Status MarkBetween();
  void CountPending();
  absl::Status Seed();
  absl::StatusOr<Output> Total(const Output& output);
  void Send(const Output& input, const Output& gradient);
  absl::StatusOr<Scope> ScopeFor(const Node& node) const;
  absl::Status Differentiate(const Node& node);
  absl::Status DifferentiateLoop(const LoopStructure& loop);
  // Which variables of the loop take part, and which of its constants.
  struct LoopParticipants {
    std::vector<const LoopVariable*> variables;
    std::vector<const Node*> constants;
  };
  absl::StatusOr<LoopParticipants> ParticipantsOf(const LoopStructure& loop);

  Graph* graph_;
  DifferentiationState& state_;
  const std::vector<Output>& ys_;
  const std::vector<Output>& grad_ys_;
  const std::vector<Output>& xs_;
  const absl::flat_hash_set<Output>& stops_;
  WhileContext* body_;
  WhileContext* level_;
  absl::flat_hash_set<const Node*> between_;
  absl::flat_hash_set<Output> wanted_;  // the xs, and what depends on one
  absl::flat_hash_map<const Node*, int> pending_;
  absl::flat_hash_map<Output, std::vector<Output>> arrived_;
  std::queue<const Node*> ready_;
};

}  // namespace espalier

#endif  // ESPALIER_GRAPH_DIFFERENTIATOR_H_
