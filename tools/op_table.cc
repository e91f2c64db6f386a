// Tested by op_table_test.cc.
#include "espalier/tools/op_table.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "espalier/graph/gradients.h"
#include "espalier/tools/example_graph.h"

namespace espalier {
namespace {

// Whether the gradient of the gradient can be built for this example; nothing when it has none.
std::optional<std::string> SecondOrderOf(const OpSchema& op, const OpExample& example) {
  ExampleGraph graph(op, example, /*in_double=*/false);
  if (!graph.graph.status().ok()) return std::nullopt;
  std::vector<Output> xs, ys;
  for (const Output& input : graph.inputs) {
    if (IsDifferentiable(input.dtype())) xs.push_back(input);
  }
  for (int i = 0; i < graph.node->num_outputs(); ++i) {
    if (IsDifferentiable(graph.node->output_dtype(i))) ys.push_back(graph.node->output(i));
  }
  if (xs.empty() || ys.empty()) return std::nullopt;
  const Scope s = graph.graph.root();
  std::vector<Output> first = Gradients(s, ys, xs);
  std::erase_if(first, [](const Output& g) { return !g.valid(); });
  if (first.empty()) return "zero";
  Gradients(s, first, xs);
  return graph.graph.status().ok() ? "yes" : "no";
}

// By the first example that says; those that differentiate smoothly come first.
std::string SecondOrder(const OpSchema& op) {
  for (const bool smooth : {true, false}) {
    for (const OpExample& example : op.examples()) {
      if (example.check_gradient != smooth) continue;
      if (const auto answer = SecondOrderOf(op, example)) return *answer;
    }
  }
  return "untested";
}

std::string Cell(const std::string& text) { return absl::StrReplaceAll(text, {{"|", "\\|"}}); }

}  // namespace

std::string OpTable(const OpRegistry& registry) {
  std::string rows;
  int count = 0, differentiable = 0;
  for (const OpSchema* op : registry.ops()) {
    ++count;
    std::string gradient = "yes", second = "";
    if (op->gradient() != nullptr) {
      ++differentiable;
      second = SecondOrder(*op);
    } else if (!op->not_differentiable().empty()) {
      gradient = "none: " + op->not_differentiable();
    } else {
      gradient = "missing: " + op->gradient_missing();
    }
    absl::StrAppend(&rows, "| ", op->name(), " | ", Cell(op->doc()), " | ", Cell(gradient), " | ",
                    second, " |\n");
  }
  return absl::StrCat(
      "# Ops\n\nWritten by `bazel run -c opt //tools:write_op_table > docs/ops.md`; a test keeps "
      "it "
      "true. ",
      count, " ops, ", differentiable,
      " with a gradient. \"none\" is a constant for gradients, as in TensorFlow; \"missing\" is an "
      "error on the way of one.\nSecond order: whether the gradient of the gradient can be built "
      "(zero: it does not depend on the inputs; untested: no example says).\n\n| op | what it does "
      "| "
      "gradient | second order |\n|---|---|---|---|\n",
      rows);
}

}  // namespace espalier
