// Reverse-mode automatic differentiation: gradients are nodes of the graph.
//
//   std::vector<Output> g = Gradients(s, {loss}, {w, b});   // d loss / d w, d loss / d b
//   std::vector<Output> h = Gradients(s, {g[0]}, {w});      // second order
//
// The gradient is that of the sum of all elements of all ys. An x that no y depends on gets an
// empty Output; ExplainNoGradient says where the path ends. Time and memory are linear in the
// number of nodes; only loops in loops recurse. Errors go to Graph::status(): UNIMPLEMENTED for an
// op on the way that has no gradient, INVALID_ARGUMENT for xs, ys or grad_ys that do not fit.
#ifndef ESPALIER_GRAPH_GRADIENTS_H_
#define ESPALIER_GRAPH_GRADIENTS_H_

#include <string>
#include <vector>

#include "espalier/graph/scope.h"

namespace espalier {

class ContextMirrors;  // loop_gradient.h

struct GradientsOptions {
  // The gradient that arrives at each y; ones when empty.
  std::vector<Output> grad_ys = {};
  // Tensors that count as constants.
  std::vector<Output> stop_gradients = {};
};

std::vector<Output> Gradients(const At& at, const std::vector<Output>& ys,
                              const std::vector<Output>& xs, const GradientsOptions& options = {});

// One sentence on why Gradients gives none for `x`: it is not connected to y, or where the path is
// cut.
std::string ExplainNoGradient(const Output& y, const Output& x);

// True for a node that declares itself not differentiable: no gradient passes.
bool CutsGradient(const Node& node);

// What a gradient function sees: the node, and the gradients that arrive at its outputs. Ops add
// nodes through `op`, in the branch of the forward node and with its source line.
class GradientContext {
 public:
  // `mirrors` may be null: then no loop is around.
  GradientContext(const Scope& scope, const Node& node, std::vector<Output> output_gradients,
                  ContextMirrors* mirrors = nullptr)
      : scope_(scope),
        node_(node),
        output_gradients_(std::move(output_gradients)),
        mirrors_(mirrors) {}

  const Scope& scope() const { return scope_; }
  const Node& node() const { return node_; }
  // Input i and output i of the forward node.
  Output x(int i) const { return node_.input(i); }
  Output y(int i) const { return node_.output(i); }
  // The gradient of output i; zeros are made when none arrives.
  Output dy(int i = 0) const;
  // The same, empty when none arrives.
  const Output& dy_or_empty(int i) const { return output_gradients_[i]; }

  // As operands of +, -, *, /.
  Expression operator()(const Output& output) const { return scope_(output, node_.line()); }
  // A node of any op; its output 0.
  Output Op(const char* op, const std::vector<Output>& inputs, AttrMap attrs = {}) const;
  const Node* OpNode(const char* op, const std::vector<Output>& inputs, AttrMap attrs = {}) const;
  // The shape of a tensor of the forward pass, int32 or int64.
  Output ShapeOf(const Output& tensor, DType type = kInt32) const;
  // Where the gradients of nodes of a context of the forward pass go.
  absl::StatusOr<ControlFlowContext*> PlaceOf(ControlFlowContext* forward) const;
  // A constant of the type of `like`, or integers.
  Output Scalar(const Output& like, double value) const;
  Output Int32s(const std::vector<int32_t>& values) const;

 private:
  Scope scope_;
  const Node& node_;
  std::vector<Output> output_gradients_;
  ContextMirrors* mirrors_;
};

// `gradient` summed over the axes in which `input` was broadcast, in the shape of `input`. The
// gradient of every broadcasting op ends in this.
Output SumToShapeOf(const GradientContext& g, const Output& gradient, const Output& input,
                    const Output& other);

}  // namespace espalier

#endif  // ESPALIER_GRAPH_GRADIENTS_H_
