// StridedSlice with all masks, and StridedSliceGrad. Tested by the registry test.
#include "espalier/ops/strided_slice.h"

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

template <typename S>
absl::Status StridedSlice(KernelContext& context, const SliceMasks& masks) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(StridedSlicePlan plan, PlanFromInputs(context, x.shape(), 1, masks));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), plan.output));
  const auto [start, strides] = WalkSlice(x.shape(), plan);
  const S* in = Storage<S>(x);
  S* out = MutableStorage<S>(y);
  if (y.num_elements() > 0) {
    const int64_t first = start;
    ForEachStrided(context, plan.processed, strides,
                   [&](int64_t i, int64_t at) { out[i] = in[first + at]; });
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <typename S>
absl::Status StridedSliceGrad(KernelContext& context, const SliceMasks& masks) {
  const Tensor& dy = context.input(4);
  ASSIGN_OR_RETURN(Shape shape, ShapeFromTensor(context.input(0), "shape"));
  ASSIGN_OR_RETURN(StridedSlicePlan plan, PlanFromInputs(context, shape, 1, masks));
  if (!(dy.shape() == plan.output)) {
    return absl::InvalidArgumentError(absl::StrCat("dy must have the shape of the slice, ",
                                                   plan.output.ToString(), ", received ",
                                                   dy.shape().ToString()));
  }
  ASSIGN_OR_RETURN(Tensor dx, context.Allocate(dy.dtype(), shape));
  S* out = MutableStorage<S>(dx);
  std::fill_n(out, dx.num_elements(), S{});
  WriteSlice(context, shape, plan, dy, out);
  context.set_output(0, std::move(dx));
  return absl::OkStatus();
}

absl::Status StridedSliceShape(InferenceContext& c) {
  const SliceMasks masks = SliceMasksOf(c.node());
  for (int i = 1; i <= 3; ++i) RETURN_IF_ERROR(c.WithRank(i, 1));
  if (!c.input(0).has_rank()) return absl::OkStatus();
  const auto begin = c.constant_ints(1);
  const auto end = c.constant_ints(2);
  const auto strides = c.constant_ints(3);
  if (!begin || !end || !strides) return absl::OkStatus();
  ASSIGN_OR_RETURN(StridedSlicePlan plan,
                   MakeStridedSlicePlan(c.input(0), *begin, *end, *strides, masks));
  c.set_output(0, plan.output);
  return absl::OkStatus();
}

// Of a vector of integers, as in shape(x)[0].
std::optional<std::vector<int64_t>> SlicedValue(const Node& node, int depth) {
  const auto values = PartialIntegers(node.input(0), depth);
  if (!values || node.input(0).shape().rank() != 1) return std::nullopt;
  const auto begin = PartialIntegers(node.input(1), depth);
  const auto end = PartialIntegers(node.input(2), depth);
  const auto strides = PartialIntegers(node.input(3), depth);
  if (!begin || !end || !strides) return std::nullopt;
  const Shape shape = {static_cast<int64_t>(values->size())};
  const absl::StatusOr<StridedSlicePlan> plan =
      MakeStridedSlicePlan(shape, *begin, *end, *strides, SliceMasksOf(node));
  if (!plan.ok() || plan->begin.size() != 1) return std::nullopt;
  std::vector<int64_t> sliced;
  for (int64_t i = 0; i < plan->processed.dim(0); ++i)
    sliced.push_back((*values)[plan->begin[0] + i * plan->stride[0]]);
  return sliced;
}

AttrMap MaskAttrs(const Node& node) {
  AttrMap attrs;
  for (const char* name :
       {"begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"}) {
    attrs[name] = node.attr<int64_t>(name);
  }
  return attrs;
}

std::vector<Output> StridedSliceGradient(const GradientContext& g) {
  const Output shape = g.ShapeOf(g.x(0), RemoveRef(g.x(1).dtype()));
  return {g.Op("StridedSliceGrad", {shape, g.x(1), g.x(2), g.x(3), g.dy()}, MaskAttrs(g.node()))};
}

std::vector<Output> StridedSliceGradGradient(const GradientContext& g) {
  return {Output(), Output(), Output(), Output(),
          g.Op("StridedSlice", {g.dy(), g.x(1), g.x(2), g.x(3)}, MaskAttrs(g.node()))};
}

OpSchema& AddMasks(OpSchema& op) {
  return op.TypeAttr("T")
      .TypeAttr("Index", kIndexDTypes)
      .Attr("begin_mask", 0)
      .Attr("end_mask", 0)
      .Attr("ellipsis_mask", 0)
      .Attr("new_axis_mask", 0)
      .Attr("shrink_axis_mask", 0);
}

}  // namespace

void RegisterStridedSlice(OpRegistry& registry) {
  const Tensor m = F({2, 3}, {1, 2, 3, 4, 5, 6});
  OpSchema& slice =
      registry.Add("StridedSlice")
          .Doc(
              "Python's slicing: begin:end:stride for each dimension, with masks for omitted ends, "
              "ellipsis, new axes and dropped axes.")
          .In("input", "T")
          .In("begin", "Index")
          .In("end", "Index")
          .In("strides", "Index")
          .Out("output", "T");
  AddMasks(slice)
      .Shape(StridedSliceShape)
      .PartialValue(SlicedValue)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        const SliceMasks masks = SliceMasksOf(node);
        return DispatchStorage(
            RemoveRef(node.input(0).dtype()), [masks]<typename S>() -> KernelFunction {
              return [masks](KernelContext& context) { return StridedSlice<S>(context, masks); };
            });
      })
      .Gradient(StridedSliceGradient)
      .Example({.name = "column",
                .inputs = {m, I({2}, {0, 1}), I({2}, {2, 2}), I({2}, {1, 1})},
                .attrs = {{"shrink_axis_mask", 2}},
                .expected = {F({2}, {2, 5})},
                .constant_inputs = {1, 2, 3}})
      .Example({.name = "backwards",
                .inputs = {F({4}, {1, 2, 3, 4}), I({1}, {-1}), I({1}, {0}), I({1}, {-2})},
                .expected = {F({2}, {4, 2})}})
      .Example({.name = "new axis and ellipsis",
                .inputs = {m, I({3}, {0, 0, 1}), I({3}, {0, 0, 3}), I({3}, {1, 1, 1})},
                .attrs = {{"new_axis_mask", 1}, {"ellipsis_mask", 2}, {"end_mask", 4}},
                .expected = {F({1, 2, 2}, {2, 3, 5, 6})}})
      .Example({.name = "empty",
                .inputs = {m, L({1}, {2}), L({1}, {1}), L({1}, {1})},
                .expected = {F({0, 3}, {})},
                .check_gradient = false});
  OpSchema& gradient = registry.Add("StridedSliceGrad")
                           .Doc("Zeros of a shape with dy in the place of the slice.")
                           .In("shape", "Index")
                           .In("begin", "Index")
                           .In("end", "Index")
                           .In("strides", "Index")
                           .In("dy", "T")
                           .Out("output", "T");
  AddMasks(gradient)
      .Shape([](InferenceContext& c) -> absl::Status {
        ASSIGN_OR_RETURN(Shape shape, c.ShapeFromInput(0));
        c.set_output(0, shape);
        return absl::OkStatus();
      })
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        const SliceMasks masks = SliceMasksOf(node);
        return DispatchStorage(
            RemoveRef(node.input(4).dtype()), [masks]<typename S>() -> KernelFunction {
              return
                  [masks](KernelContext& context) { return StridedSliceGrad<S>(context, masks); };
            });
      })
      .Gradient(StridedSliceGradGradient)
      .Example({.name = "column",
                .inputs = {I({2}, {2, 3}), I({2}, {0, 1}), I({2}, {2, 2}), I({2}, {1, 1}),
                           F({2}, {7, 8})},
                .attrs = {{"shrink_axis_mask", 2}},
                .expected = {F({2, 3}, {0, 7, 0, 0, 8, 0})},
                .constant_inputs = {0, 1, 2, 3}})
      .Example({.name = "steps",
                .inputs = {I({1}, {4}), I({1}, {0}), I({1}, {4}), I({1}, {2}), F({2}, {7, 8})},
                .expected = {F({4}, {7, 0, 8, 0})}})
      .Example({.name = "empty",
                .inputs = {L({1}, {2}), L({1}, {2}), L({1}, {2}), L({1}, {1}), F({0}, {})},
                .expected = {F({2}, {0, 0})},
                .check_gradient = false});
}

}  // namespace espalier
