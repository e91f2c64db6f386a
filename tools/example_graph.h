// An op's example as a graph that runs.
//
//   ExampleGraph example(*BuiltinOps().Find("Relu"), op.examples()[0], /*in_double=*/false);
//   Session(example.graph).Run(example.feeds, {.fetch = {example.node->output(0)}});
//
// Placeholders for its inputs, variables for its ref inputs, constants where the example asks for
// them. Check graph.status() before use.
#ifndef ESPALIER_TOOLS_EXAMPLE_GRAPH_H_
#define ESPALIER_TOOLS_EXAMPLE_GRAPH_H_

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "espalier/graph/scope.h"
#include "espalier/graph/variable.h"
#include "espalier/runtime/session.h"

namespace espalier {

inline Tensor ToDouble(const Tensor& t) {
  if (t.dtype() != kFloat) return t;
  std::vector<double> values(t.flat<float>().begin(), t.flat<float>().end());
  return Tensor::FromVector<double>(t.shape(), values);
}

struct ExampleGraph {
  Graph graph;
  std::vector<Output> inputs;
  std::vector<Feed> feeds;
  const Node* node = nullptr;

  ExampleGraph(const OpSchema& op, const OpExample& example, bool in_double) {
    const Scope s = graph.root();
    AttrMap attrs = example.attrs;
    if (in_double) {
      for (auto& [name, value] : attrs) {
        if (value == AttrValue(kFloat)) value = kDouble;
      }
    }
    for (size_t i = 0; i < example.inputs.size(); ++i) {
      const Tensor value = in_double ? ToDouble(example.inputs[i]) : example.inputs[i];
      const bool fixed = std::find(example.constant_inputs.begin(), example.constant_inputs.end(),
                                   static_cast<int>(i)) != example.constant_inputs.end();
      if (IsRefInput(op, i)) {
        inputs.push_back(Variable(s.Named(absl::StrCat("variable", i)), value));
      } else if (fixed) {
        inputs.push_back(Const(s, value));
      } else {
        inputs.push_back(AddOpOutput(s, "Placeholder", {},
                                     {{"dtype", value.dtype()}, {"shape", value.shape()}}));
        feeds.push_back({inputs.back(), value});
      }
    }
    node = AddOp(s.Named("subject"), op.name(), inputs, attrs);
  }

  static bool IsRefInput(const OpSchema& op, size_t i) {
    return i < op.inputs().size() && op.inputs()[i].is_ref;
  }
};

}  // namespace espalier

#endif  // ESPALIER_TOOLS_EXAMPLE_GRAPH_H_
