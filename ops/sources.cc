// Nodes without a computation of their own: Const, Placeholder, PlaceholderWithDefault, NoOp.
// Tested by the registry test and runtime/order_state_test.cc.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/runtime/kernel.h"

namespace espalier {
namespace {

absl::Status ConstShape(InferenceContext& c) {
  const auto& value = c.node().attr<Tensor>("value");
  if (value.dtype() != c.node().attr<DType>("dtype")) {
    return absl::InvalidArgumentError(absl::StrCat("attr value must be ",
                                                   DTypeName(c.node().attr<DType>("dtype")),
                                                   ", received ", DTypeName(value.dtype())));
  }
  c.set_output(0, value.shape());
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeConst(const Node& node) {
  return KernelFunction([value = node.attr<Tensor>("value")](KernelContext& context) {
    context.set_output(0, value);
    return absl::OkStatus();
  });
}

absl::Status PlaceholderShape(InferenceContext& c) {
  c.set_output(0, c.node().attr<Shape>("shape"));
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakePlaceholder(const Node& node) {
  return KernelFunction([&node](KernelContext&) {
    return absl::InvalidArgumentError(absl::StrCat(
        "You must feed a value for placeholder '", node.name(), "' with dtype ",
        DTypeName(node.attr<DType>("dtype")), " and shape ", node.attr<Shape>("shape").ToString()));
  });
}

std::vector<Output> PassGradient(const GradientContext& g) { return {g.dy()}; }

absl::StatusOr<KernelFunction> MakeDefault(const Node& node) {
  return KernelFunction([shape = node.attr<Shape>("shape")](KernelContext& context) {
    if (!Shape::Compatible(shape, context.input(0).shape())) {
      return absl::InvalidArgumentError(absl::StrCat("attr shape is ", shape.ToString(),
                                                     ", the default has shape ",
                                                     context.input(0).shape().ToString()));
    }
    context.ForwardValue(0, 0);
    return absl::OkStatus();
  });
}

}  // namespace

void RegisterSources(OpRegistry& registry) {
  registry.Add("Const")
      .Doc("The tensor in attr value.")
      .Out("output", "dtype")
      .RequiredAttr("value", AttrKind::kTensor)
      .TypeAttr("dtype")
      .Traits({.is_constant = true})
      .Shape(ConstShape)
      .Kernel(MakeConst)
      .NotDifferentiable("it has no inputs")
      .Example({.name = "vector",
                .attrs = {{"value", F({2}, {1, 2})}, {"dtype", kFloat}},
                .expected = {F({2}, {1, 2})}})
      .Example({.name = "string",
                .attrs = {{"value", Tensor("text")}, {"dtype", kString}},
                .expected = {Tensor("text")}})
      .Example({.name = "empty",
                .attrs = {{"value", I({0}, {})}, {"dtype", kInt32}},
                .expected = {I({0}, {})}});
  registry.Add("Placeholder")
      .Doc("A tensor to feed. Running it unfed is INVALID_ARGUMENT.")
      .Out("output", "dtype")
      .TypeAttr("dtype")
      .Attr("shape", Shape::Unknown())
      .Positional()
      .Traits({.stateful = true, .is_placeholder = true})
      .Shape(PlaceholderShape)
      .Kernel(MakePlaceholder)
      .NotDifferentiable("it has no inputs")
      .NoExample("it has no value unless fed");
  registry.Add("PlaceholderWithDefault")
      .Doc("A tensor that may be fed; else the input.")
      .In("input", "dtype")
      .Out("output", "dtype")
      .TypeAttr("dtype")
      .Attr("shape", Shape::Unknown())
      .Positional()
      .Traits({.is_placeholder = true})
      .Shape([](InferenceContext& c) -> absl::Status {
        ASSIGN_OR_RETURN(Shape merged, Shape::Merge(c.input(0), c.node().attr<Shape>("shape")));
        c.set_output(0, c.node().attr<Shape>("shape"));
        return absl::OkStatus();
      })
      .Kernel(MakeDefault)
      .Gradient(PassGradient)
      .Example({.name = "vector",
                .inputs = {F({2}, {1, 2})},
                .attrs = {{"shape", Shape{-1}}},
                .expected = {F({2}, {1, 2})}})
      .Example({.name = "bool", .inputs = {B({}, {true})}, .expected = {B({}, {true})}})
      .Example({.name = "empty", .inputs = {F({0}, {})}, .expected = {F({0}, {})}});
  registry.Add("NoOp")
      .Doc("Does nothing; for control dependencies.")
      .Shape(NoOutputs)
      .Kernel([](const Node&) -> absl::StatusOr<KernelFunction> {
        return KernelFunction([](KernelContext&) { return absl::OkStatus(); });
      })
      .NotDifferentiable("it has no inputs")
      .Example({.name = "nothing"});
}

}  // namespace espalier
