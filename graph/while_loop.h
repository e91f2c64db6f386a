// Loops, built as TensorFlow 1 builds them: Enter, Merge, Switch, NextIteration, Exit.
//
//   std::vector<Output> last = WhileLoop(s, {Const(s, 0), x},
//       [&](const Scope& s, const std::vector<Output>& v) { return Less(s, v[0], n); },
//       [&](const Scope& s, const std::vector<Output>& v) -> std::vector<Output> {
//         return {s(v[0]) + 1, Tanh(s, MatMul(s, v[1], w))};  // `w` from outside: brought in once
//       });
//   Output y = last[1];
//
// The condition is asked before every iteration, so the body may never run. Loops nest, contain
// branches and stand in them; their gradients are loops that run backwards over what the forward
// one has put on stacks (loop_gradient.h). Errors go to Graph::status(): no variables, a condition
// that is no scalar bool, a body that returns other numbers, types or shapes than it was given.
#ifndef ESPALIER_GRAPH_WHILE_LOOP_H_
#define ESPALIER_GRAPH_WHILE_LOOP_H_

#include <functional>
#include <string>
#include <vector>

#include "espalier/graph/control_flow_context.h"
#include "espalier/graph/scope.h"

namespace espalier {

// One loop.
class WhileContext : public ControlFlowContext {
 public:
  WhileContext(ControlFlowContext* parent, std::string frame_name, int64_t parallel_iterations)
      : ControlFlowContext(parent),
        frame_name_(std::move(frame_name)),
        parallel_iterations_(parallel_iterations) {}

  const std::string& frame_name() const { return frame_name_; }
  int64_t parallel_iterations() const { return parallel_iterations_; }
  WhileContext* AsWhile() override { return this; }
  // For import, which learns step by step how deep a loop lies.
  void MoveInto(ControlFlowContext* parent) { set_parent(parent); }

  // `outer`, a tensor of the parent, at the door of the loop. A constant one is the same in every
  // iteration.
  absl::StatusOr<const Node*> AddEnter(const Output& outer, bool is_constant);
  // The variable of the loop that `enter` starts; its back edge is open.
  absl::StatusOr<Node*> AddMerge(const Node* enter);

 protected:
  // Through a constant Enter.
  absl::StatusOr<Output> Enter(const Output& outer) override;

 private:
  std::string frame_name_;
  int64_t parallel_iterations_;
};

// True for what is the same in every iteration of a loop.
bool IsLoopConstant(const Node& node);

struct WhileLoopOptions {
  // For each variable the shape that it keeps; that of its initial value when empty.
  std::vector<Shape> shape_invariants = {};
  int64_t parallel_iterations = 10;
};

using LoopCondition = std::function<Output(const Scope&, const std::vector<Output>&)>;
using LoopBody = std::function<std::vector<Output>(const Scope&, const std::vector<Output>&)>;

// The variables after the last iteration; empty after an error.
std::vector<Output> WhileLoop(const At& at, const std::vector<Output>& initial,
                              const LoopCondition& condition, const LoopBody& body,
                              const WhileLoopOptions& options = {});

}  // namespace espalier

#endif  // ESPALIER_GRAPH_WHILE_LOOP_H_
