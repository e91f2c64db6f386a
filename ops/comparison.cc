// Equal, Less, … with broadcasting. Tested by the registry test.
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

struct IsEqual {
  bool operator()(auto x, auto y) const { return x == y; }
};
struct IsNotEqual {
  bool operator()(auto x, auto y) const { return x != y; }
};
struct IsLess {
  bool operator()(auto x, auto y) const { return x < y; }
};
struct IsLessEqual {
  bool operator()(auto x, auto y) const { return x <= y; }
};
struct IsGreater {
  bool operator()(auto x, auto y) const { return x > y; }
};
struct IsGreaterEqual {
  bool operator()(auto x, auto y) const { return x >= y; }
};

template <typename Functor>
OpSchema& Add(OpRegistry& registry, const char* name, const char* doc, bool commutative) {
  const auto is = [](float x, float y) { return Functor()(x, y); };
  return registry.Add(name)
      .Doc(doc)
      .In("x", "T")
      .In("y", "T")
      .Out("z", kBool)
      .TypeAttr("T", kComparableDTypes)
      .Traits({.elementwise = true, .commutative = commutative})
      .Shape(BroadcastShape)
      .Kernel(BinaryKernel<Functor>(ComparableTypes()))
      .NotDifferentiable("its output is bool")
      .Example({.name = "vector",
                .inputs = {F({3}, {1, 2, 3}), F({3}, {2, 2, 2})},
                .expected = {B({3}, {is(1, 2), is(2, 2), is(3, 2)})}})
      .Example({.name = "broadcast",
                .inputs = {I({2, 1}, {1, 2}), I({2}, {1, 2})},
                .expected = {B({2, 2}, {is(1, 1), is(1, 2), is(2, 1), is(2, 2)})}})
      .Example({.name = "empty", .inputs = {L({0}, {}), L({1}, {3})}, .expected = {B({0}, {})}});
}

// incompatible_shape_error = false asks for a plain "false" instead of an error.
template <typename Functor>
KernelFactory EqualityKernel(bool on_mismatch) {
  return [on_mismatch](const Node& node) -> absl::StatusOr<KernelFunction> {
    ASSIGN_OR_RETURN(KernelFunction compare, BinaryKernel<Functor>(ComparableTypes())(node));
    if (compare == nullptr || node.attr<bool>("incompatible_shape_error")) return compare;
    return KernelFunction([compare, on_mismatch](KernelContext& context) -> absl::Status {
      if (Shape::Broadcast(context.input(0).shape(), context.input(1).shape()).ok())
        return compare(context);
      context.set_output(0, Tensor(on_mismatch));
      return absl::OkStatus();
    });
  };
}

absl::Status EqualityShape(InferenceContext& c) {
  if (c.node().attr<bool>("incompatible_shape_error")) return BroadcastShape(c);
  const absl::StatusOr<Shape> shape = Shape::Broadcast(c.input(0), c.input(1));
  if (shape.ok() && c.input(0).IsFullyKnown() && c.input(1).IsFullyKnown()) c.set_output(0, *shape);
  return absl::OkStatus();
}

}  // namespace

void RegisterComparison(OpRegistry& registry) {
  Add<IsEqual>(registry, "Equal", "x == y with broadcasting.", true)
      .Attr("incompatible_shape_error", true)
      .Shape(EqualityShape)
      .Kernel(EqualityKernel<IsEqual>(false));
  Add<IsNotEqual>(registry, "NotEqual", "x != y with broadcasting.", true)
      .Attr("incompatible_shape_error", true)
      .Shape(EqualityShape)
      .Kernel(EqualityKernel<IsNotEqual>(true));
  Add<IsLess>(registry, "Less", "x < y with broadcasting.", false);
  Add<IsLessEqual>(registry, "LessEqual", "x <= y with broadcasting.", false);
  Add<IsGreater>(registry, "Greater", "x > y with broadcasting.", false);
  Add<IsGreaterEqual>(registry, "GreaterEqual", "x >= y with broadcasting.", false);
}

}  // namespace espalier
