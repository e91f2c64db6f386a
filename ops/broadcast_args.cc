// BroadcastArgs. Tested by the registry test.
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

absl::StatusOr<KernelFunction> Make(const Node&) {
  return KernelFunction([](KernelContext& context) -> absl::Status {
    ASSIGN_OR_RETURN(const Shape a, ShapeFromTensor(context.input(0), "s0"));
    ASSIGN_OR_RETURN(const Shape b, ShapeFromTensor(context.input(1), "s1"));
    ASSIGN_OR_RETURN(const Shape both, Shape::Broadcast(a, b));
    context.set_output(0, AsIndices(both.as_list(), context.input(0).dtype()));
    return absl::OkStatus();
  });
}

absl::Status VectorShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(0, 1));
  RETURN_IF_ERROR(c.WithRank(1, 1));
  const int64_t a = c.dim(0, 0), b = c.dim(1, 0);
  c.set_output(0, {a < 0 || b < 0 ? -1 : std::max(a, b)});
  return absl::OkStatus();
}

std::optional<std::vector<int64_t>> KnownShape(const Node& node, int depth) {
  const auto a = PartialIntegers(node.input(0), depth);
  const auto b = PartialIntegers(node.input(1), depth);
  if (!a || !b) return std::nullopt;
  const absl::StatusOr<Shape> both = Shape::Broadcast(Shape(*a), Shape(*b));
  return both.ok() ? std::optional(both->as_list()) : std::nullopt;
}

}  // namespace

void RegisterBroadcastArgs(OpRegistry& registry) {
  registry.Add("BroadcastArgs")
      .Doc("The shape that tensors of shapes s0 and s1 broadcast to.")
      .In("s0", "T")
      .In("s1", "T")
      .Out("r0", "T")
      .TypeAttr("T", kIndexDTypes, kInt32)
      .Shape(VectorShape)
      .PartialValue(KnownShape)
      .Kernel(Make)
      .NotDifferentiable("it works on shapes")
      .Example({.name = "both ways",
                .inputs = {I({2}, {3, 1}), I({3}, {2, 1, 4})},
                .expected = {I({3}, {2, 3, 4})}})
      .Example({.name = "int64", .inputs = {L({1}, {1}), L({1}, {5})}, .expected = {L({1}, {5})}})
      .Example({.name = "scalars", .inputs = {I({0}, {}), I({0}, {})}, .expected = {I({0}, {})}});
}

}  // namespace espalier
