// The gradient of a loop is a loop: it runs as often as the forward one has run, last iteration
// first, over the gradient of the body. For Differentiator (differentiator.h).
//
// The forward loop gains a counter. What the gradient of an iteration needs to know of the forward
// iteration is pushed on a stack there and popped here; what is the same in every iteration is
// brought in from outside instead. Pushes and pops are ordered by the two counters, so that no
// iteration overtakes another, and the inner loops of an outer one share a stack.
//
// Every context of the forward loop has a mirror here: the loop itself, and each branch in it,
// which is taken when the forward one was. A value of the forward context that the mirror captures
// is recalled.
#ifndef ESPALIER_GRAPH_LOOP_GRADIENT_H_
#define ESPALIER_GRAPH_LOOP_GRADIENT_H_

#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "espalier/graph/cond.h"
#include "espalier/graph/while_loop.h"

namespace espalier {

// A variable of a loop. `exit` is null when nobody asks for its last value.
struct LoopVariable {
  const Node* enter = nullptr;
  const Node* merge = nullptr;
  const Node* split = nullptr;  // its Switch
  const Node* exit = nullptr;

  Output now() const { return split->output(1); }
  Output next() const { return merge->input(1).node()->input(0); }
};

struct LoopStructure {
  WhileContext* context = nullptr;
  const Node* condition = nullptr;  // the LoopCond
  std::vector<LoopVariable> variables;
  std::vector<const Node*> constants;  // constant Enters
  bool recalls = false;                // it is the gradient of another loop
  // What flows in.
  std::vector<Output> inputs;
};

// The loops of a graph as they are now.
class LoopStructures {
 public:
  explicit LoopStructures(const Graph& graph);

  bool empty() const { return loops_.empty(); }
  // Null for a loop that is not built as TensorFlow builds them.
  const LoopStructure* Find(const WhileContext* context) const;

 private:
  absl::flat_hash_map<const WhileContext*, LoopStructure> loops_;
};

// From contexts to where the gradients of their nodes go. Outside of differentiated loops that is
// the context itself.
class ContextMirrors {
 public:
  void Add(ControlFlowContext* forward, ControlFlowContext* mirror) { mirrors_[forward] = mirror; }
  absl::StatusOr<ControlFlowContext*> Of(ControlFlowContext* forward);

 private:
  absl::flat_hash_map<ControlFlowContext*, ControlFlowContext*> mirrors_;
};

class LoopMirror;

// Carries values of the iterations of a loop to those of its gradient.
class LoopHistory {
 public:
  // `scope` gives names and lines. `outer` is the history of the loop around, or null.
  LoopHistory(const Scope& scope, const LoopStructure& loop, LoopHistory* outer)
      : scope_(scope), loop_(loop), outer_(outer) {}

  // Adds the counters, and with them the loop of the gradient, which lies in `parent`.
  absl::Status Begin(ControlFlowContext* parent);
  // Whether an iteration of the gradient is left to run.
  const Output& condition() const { return condition_; }
  // `value`, of a context of the forward loop, in `mirror`, that context's mirror.
  absl::StatusOr<Output> Recall(const Output& value, ControlFlowContext* mirror);
  // Closes the counters behind everything that was recalled. Nothing can be recalled after it.
  absl::Status End();

  WhileContext* mirror() const;
  const WhileContext* forward() const { return loop_.context; }

 private:
  // A counter, and what has to happen before its next step.
  struct Counter {
    Node* merge = nullptr;
    Output now;
    std::vector<Operation> waits;
    bool conditional = false;  // some of `waits` may be dead

    void Wait(const Node* node, const ControlFlowContext* counted);
  };
  absl::Status Close(Counter& counter, const char* op, WhileContext* context);

  Scope scope_;
  const LoopStructure& loop_;
  LoopHistory* outer_;
  LoopMirror* mirror_ = nullptr;
  Output condition_;
  Counter forward_;
  Counter backward_;
};

// The history of the innermost loop under differentiation whose mirror `mirror` is or lies in; null
// when there is none.
LoopHistory* HistoryOf(ControlFlowContext* mirror);

}  // namespace espalier

#endif  // ESPALIER_GRAPH_LOOP_GRADIENT_H_
