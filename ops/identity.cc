// Ops that pass their input on: Identity, IdentityN, RefIdentity, Snapshot, StopGradient,
// PreventGradient, EnsureShape, CheckNumerics. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/runtime/kernel.h"

namespace espalier {
namespace {

absl::StatusOr<KernelFunction> MakeForward(const Node&) {
  return KernelFunction([](KernelContext& context) {
    context.ForwardValue(0, 0);
    return absl::OkStatus();
  });
}

std::vector<Output> PassGradient(const GradientContext& g) { return {g.dy()}; }

absl::StatusOr<KernelFunction> MakeForwardAll(const Node&) {
  return KernelFunction([](KernelContext& context) {
    for (int i = 0; i < context.num_inputs(); ++i) context.ForwardValue(i, i);
    return absl::OkStatus();
  });
}

absl::Status UnchangedShapes(InferenceContext& c) {
  for (int i = 0; i < c.num_inputs(); ++i) c.set_output(i, c.input(i));
  return absl::OkStatus();
}

std::vector<Output> PassGradients(const GradientContext& g) {
  std::vector<Output> gradients;
  for (int i = 0; i < g.node().num_outputs(); ++i) gradients.push_back(g.dy_or_empty(i));
  return gradients;
}

absl::Status EnsuredShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(Shape merged, Shape::Merge(c.input(0), c.node().attr<Shape>("shape")));
  c.set_output(0, merged);
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeEnsureShape(const Node& node) {
  return KernelFunction([shape = node.attr<Shape>("shape")](KernelContext& context) {
    if (!Shape::Compatible(shape, context.input(0).shape())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "expected shape ", shape.ToString(), ", received ", context.input(0).shape().ToString()));
    }
    context.ForwardValue(0, 0);
    return absl::OkStatus();
  });
}

OpSchema& Add(OpRegistry& registry, const char* name, const char* doc) {
  return registry.Add(name)
      .Doc(doc)
      .In("input", "T")
      .Out("output", "T")
      .TypeAttr("T")
      .Traits({.passes_through = true})
      .Shape(UnchangedShape)
      .Kernel(MakeForward)
      .Example({.name = "vector",
                .inputs = {F({2}, {1, 2})},
                .expected = {F({2}, {1, 2})},
                .check_gradient = false})
      .Example({.name = "strings", .inputs = {Tensor("text")}, .expected = {Tensor("text")}})
      .Example({.name = "empty", .inputs = {F({0}, {})}, .expected = {F({0}, {})}});
}

}  // namespace

void RegisterIdentity(OpRegistry& registry) {
  Add(registry, "Identity", "Its input.")
      .PartialValue(
          [](const Node& node, int depth) { return PartialIntegers(node.input(0), depth); })
      .Gradient(PassGradient)
      .Example(
          {.name = "gradient passes", .inputs = {F({2}, {3, 4})}, .expected = {F({2}, {3, 4})}});
  Add(registry, "StopGradient", "Its input, as a constant for gradients.")
      .NotDifferentiable("it is made to stop gradients");
  Add(registry, "Snapshot", "Its input.").Gradient(PassGradient);
  Add(registry, "DeepCopy", "Its input: a copy that nothing else writes.")
      .NotDifferentiable("TensorFlow has no gradient for it");
  Add(registry, "GuaranteeConst", "Its input, which the graph's maker promises never to change.")
      .NotDifferentiable("its input is promised to be constant");
  registry.Add("IdentityN")
      .Doc("Its inputs, each as it is.")
      .InTypes("input", "T")
      .OutTypes("output", "T")
      .RequiredAttr("T", AttrKind::kTypeList)
      .Shape(UnchangedShapes)
      .Kernel(MakeForwardAll)
      .Gradient(PassGradients)
      .Example({.name = "two types",
                .inputs = {F({2}, {1, 2}), I({}, {3})},
                .expected = {F({2}, {1, 2}), I({}, {3})}})
      .Example({.name = "one", .inputs = {F({1}, {1})}, .expected = {F({1}, {1})}})
      .Example({.name = "empty",
                .inputs = {F({0}, {}), F({}, {2})},
                .expected = {F({0}, {}), F({}, {2})}});
  registry.Add("PreventGradient")
      .Doc("Its input; asking for a gradient through it is an error with attr message.")
      .In("input", "T")
      .Out("output", "T")
      .TypeAttr("T")
      .Attr("message", "")
      .Traits({.passes_through = true})
      .Shape(UnchangedShape)
      .Kernel(MakeForward)
      .GradientMissing("it is made to refuse gradients; its attr message says why")
      .Example({.name = "vector",
                .inputs = {F({2}, {1, 2})},
                .expected = {F({2}, {1, 2})},
                .check_gradient = false})
      .Example({.name = "scalar", .inputs = {I({}, {1})}, .expected = {I({}, {1})}})
      .Example({.name = "empty", .inputs = {I({0}, {})}, .expected = {I({0}, {})}});
  registry.Add("EnsureShape")
      .Doc("Its input, which must have attr shape (-1 fits any size), else INVALID_ARGUMENT.")
      .In("input", "T")
      .Out("output", "T")
      .RequiredAttr("shape", AttrKind::kShape)
      .TypeAttr("T")
      .Shape(EnsuredShape)
      .Kernel(MakeEnsureShape)
      .Gradient(PassGradient)
      .Example({.name = "matrix",
                .inputs = {F({2, 1}, {1, 2})},
                .attrs = {{"shape", Shape{-1, 1}}},
                .expected = {F({2, 1}, {1, 2})}})
      .Example({.name = "any",
                .inputs = {F({}, {1})},
                .attrs = {{"shape", Shape::Unknown()}},
                .expected = {F({}, {1})}})
      .Example({.name = "empty",
                .inputs = {F({0}, {})},
                .attrs = {{"shape", Shape{0}}},
                .expected = {F({0}, {})}});
  registry.Add("RefIdentity")
      .Doc("The same variable.")
      .RefIn("input", "T")
      .RefOut("output", "T")
      .TypeAttr("T")
      .Traits({.forwards_ref = true, .initializes = true})
      .Shape(UnchangedShape)
      .Kernel(MakeForward)
      .Gradient(PassGradient)
      .Example({.name = "vector",
                .inputs = {F({2}, {1, 2})},
                .expected = {F({2}, {1, 2})},
                .check_gradient = false});
}

}  // namespace espalier
