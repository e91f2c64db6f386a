// Where a node lives: in a branch of a Cond (cond.h), in a loop (while_loop.h), or outside (null).
//
//   ASSIGN_OR_RETURN(Output inside, CaptureInto(scope.context(), x));   // x, as this context sees
//   it
//
// Contexts nest. What lives in one shares its fate: it is dead when the branch is not taken, and
// new in every iteration. Owned by the Graph; as thread-safe as the Graph.
#ifndef ESPALIER_GRAPH_CONTROL_FLOW_CONTEXT_H_
#define ESPALIER_GRAPH_CONTROL_FLOW_CONTEXT_H_

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "espalier/graph/graph.h"

namespace espalier {

class CondContext;
class WhileContext;

class ControlFlowContext {
 public:
  explicit ControlFlowContext(ControlFlowContext* parent) : parent_(parent) {}
  virtual ~ControlFlowContext() = default;
  ControlFlowContext(const ControlFlowContext&) = delete;  // nodes point at it
  ControlFlowContext& operator=(const ControlFlowContext&) = delete;

  // The context around this one; null when there is none.
  ControlFlowContext* parent() const { return parent_; }
  // How many contexts deep this one is, itself included.
  int depth() const;
  // Alive exactly when this context runs.
  const Output& pivot() const { return pivot_; }
  void set_pivot(const Output& pivot) { pivot_ = pivot; }

  // Itself as what it is, or null.
  virtual CondContext* AsCond() { return nullptr; }
  virtual WhileContext* AsWhile() { return nullptr; }

 protected:
  // `outer`, a tensor that the parent sees, brought in.
  virtual absl::StatusOr<Output> Enter(const Output& outer) = 0;
  // A value of another context that only this one remembers; empty when it does not. For the
  // gradients of loops, see loop_gradient.h.
  virtual absl::StatusOr<Output> Recall(const Output& /*value*/) { return Output(); }
  void set_parent(ControlFlowContext* parent) { parent_ = parent; }

 private:
  friend absl::StatusOr<Output> CaptureInto(ControlFlowContext* context, const Output& output);

  ControlFlowContext* parent_;
  Output pivot_;
  absl::flat_hash_map<Output, Output> captured_;
};

// `output` as a tensor of `context`: itself when it lives there, else what the contexts between
// make of it, a Switch for each branch and an Enter for each loop. INVALID_ARGUMENT for a tensor of
// a context that does not enclose `context`.
absl::StatusOr<Output> CaptureInto(ControlFlowContext* context, const Output& output);

// True when a tensor of `outer` may be used in `inner`. Null encloses everything.
bool Encloses(const ControlFlowContext* outer, const ControlFlowContext* inner);

// The innermost loop that `context` is or lies in; null when there is none.
WhileContext* InnermostLoop(ControlFlowContext* context);

// For the nodes that stand on the border of a context, made in the middle of building it.
absl::StatusOr<Node*> AddBorderNode(ControlFlowContext* context, ControlFlowContext* node_context,
                                    NodeSpec spec, const char* name);

}  // namespace espalier

#endif  // ESPALIER_GRAPH_CONTROL_FLOW_CONTEXT_H_
