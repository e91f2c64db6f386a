// StridedSlice with all masks, and StridedSliceGrad. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

struct Masks {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t ellipsis = 0;
  int64_t new_axis = 0;
  int64_t shrink = 0;
};

Masks MasksOf(const Node& node) {
  return {node.attr<int64_t>("begin_mask"), node.attr<int64_t>("end_mask"),
          node.attr<int64_t>("ellipsis_mask"), node.attr<int64_t>("new_axis_mask"),
          node.attr<int64_t>("shrink_axis_mask")};
}

bool Bit(int64_t mask, size_t i) { return i < 63 && ((mask >> i) & 1) != 0; }

// The slice, dimension by dimension of the input.
struct StridedSlicePlan {
  Shape processed;  // of the slice before axes are dropped or added; -1 where unknown
  Shape output;
  std::vector<int64_t> begin;
  std::vector<int64_t> stride;
};

// One dimension. Python's rules: negative counts from the end, out of range is cut.
struct DimSlice {
  int64_t begin = 0;
  int64_t stride = 1;
  int64_t size = -1;
};

absl::StatusOr<DimSlice> SliceDim(int64_t dim, int64_t begin, int64_t end, int64_t stride,
                                  bool no_begin, bool no_end, bool shrink, size_t spec) {
  if (stride == 0)
    return absl::InvalidArgumentError(absl::StrCat("strides[", spec, "] must not be 0"));
  if (shrink && stride < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("strides[", spec, "] must be positive where the axis is shrunk"));
  }
  DimSlice slice;
  slice.stride = stride;
  if (shrink) {
    slice.size = 1;
    if (dim < 0) return slice;
    slice.begin = begin < 0 ? begin + dim : begin;
    if (slice.begin < 0 || slice.begin >= dim) {
      return absl::InvalidArgumentError(absl::StrCat("slice index ", begin, " of dimension ", spec,
                                                     " is out of bounds for size ", dim));
    }
    return slice;
  }
  if (dim < 0) return slice;
  const int64_t low = stride > 0 ? 0 : -1;
  const int64_t high = stride > 0 ? dim : dim - 1;
  const auto canonical = [&](int64_t x, bool open, bool is_begin) {
    if (open) return (stride > 0) == is_begin ? low : high;
    return std::clamp(x < 0 ? x + dim : x, low, high);
  };
  slice.begin = canonical(begin, no_begin, true);
  const int64_t stop = canonical(end, no_end, false);
  const int64_t length = stop - slice.begin;
  const bool empty = length == 0 || (length < 0) != (stride < 0);
  // stride may be the smallest integer: no negation, no product.
  slice.size = empty ? 0 : length / stride + (length % stride != 0 ? 1 : 0);
  return slice;
}

absl::StatusOr<StridedSlicePlan> MakePlan(const Shape& input, const std::vector<int64_t>& begin,
                                          const std::vector<int64_t>& end,
                                          const std::vector<int64_t>& strides, const Masks& masks) {
  if (begin.size() != end.size() || begin.size() != strides.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("begin, end and strides must have the same length, received ", begin.size(),
                     ", ", end.size(), " and ", strides.size()));
  }
  const size_t specs = begin.size();
  if (specs > 32)
    return absl::InvalidArgumentError(
        absl::StrCat(specs, " slice entries; at most 32 are supported"));
  int ellipses = 0;
  int used = 0;  // input dimensions that entries name
  for (size_t i = 0; i < specs; ++i) {
    if (Bit(masks.ellipsis, i)) {
      ++ellipses;
    } else if (!Bit(masks.new_axis, i)) {
      ++used;
    }
  }
  if (ellipses > 1) return absl::InvalidArgumentError("several ellipses in one slice");
  if (used > input.rank()) {
    return absl::InvalidArgumentError(
        absl::StrCat("index of ", used, " dimensions into shape ", input.ToString()));
  }
  StridedSlicePlan plan;
  int dim = 0;
  const auto whole = [&](int count) {
    for (int k = 0; k < count; ++k, ++dim) {
      plan.begin.push_back(0);
      plan.stride.push_back(1);
      plan.processed.push_back(input.dim(dim));
      plan.output.push_back(input.dim(dim));
    }
  };
  for (size_t i = 0; i < specs; ++i) {
    if (Bit(masks.ellipsis, i)) {
      whole(input.rank() - used);
      continue;
    }
    if (Bit(masks.new_axis, i)) {
      plan.output.push_back(1);
      continue;
    }
    const bool shrink = Bit(masks.shrink, i);
    ASSIGN_OR_RETURN(DimSlice slice, SliceDim(input.dim(dim), begin[i], end[i], strides[i],
                                              Bit(masks.begin, i), Bit(masks.end, i), shrink, i));
    plan.begin.push_back(slice.begin);
    plan.stride.push_back(slice.stride);
    plan.processed.push_back(slice.size);
    if (!shrink) plan.output.push_back(slice.size);
    ++dim;
  }
  whole(input.rank() - dim);
  return plan;
}

absl::StatusOr<StridedSlicePlan> PlanFromInputs(const KernelContext& context, const Shape& input,
                                                int first, const Masks& masks) {
  ASSIGN_OR_RETURN(std::vector<int64_t> begin, IntegerVector(context.input(first), "begin"));
  ASSIGN_OR_RETURN(std::vector<int64_t> end, IntegerVector(context.input(first + 1), "end"));
  ASSIGN_OR_RETURN(std::vector<int64_t> strides,
                   IntegerVector(context.input(first + 2), "strides"));
  return MakePlan(input, begin, end, strides, masks);
}

// Offset of the first element, and the step in each dimension, in elements of the sliced tensor.
std::pair<int64_t, std::vector<int64_t>> Walk(const Shape& sliced, const StridedSlicePlan& plan) {
  std::vector<int64_t> strides = StridesOf(sliced);
  int64_t start = 0;
  for (int i = 0; i < sliced.rank(); ++i) {
    start += plan.begin[i] * strides[i];
    // A dimension of one element takes no step, however far its stride would go.
    strides[i] = plan.processed.dim(i) <= 1 ? 0 : strides[i] * plan.stride[i];
  }
  return {start, strides};
}

template <typename S>
absl::Status StridedSlice(KernelContext& context, const Masks& masks) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(StridedSlicePlan plan, PlanFromInputs(context, x.shape(), 1, masks));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), plan.output));
  const auto [start, strides] = Walk(x.shape(), plan);
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
absl::Status StridedSliceGrad(KernelContext& context, const Masks& masks) {
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
  const auto [start, strides] = Walk(shape, plan);
  const S* in = Storage<S>(dy);
  if (dy.num_elements() > 0) {
    const int64_t first = start;
    ForEachStrided(context, plan.processed, strides,
                   [&](int64_t i, int64_t at) { out[first + at] = in[i]; });
  }
  context.set_output(0, std::move(dx));
  return absl::OkStatus();
}

absl::Status StridedSliceShape(InferenceContext& c) {
  const Masks masks = MasksOf(c.node());
  for (int i = 1; i <= 3; ++i) RETURN_IF_ERROR(c.WithRank(i, 1));
  if (!c.input(0).has_rank()) return absl::OkStatus();
  const auto begin = c.constant_ints(1);
  const auto end = c.constant_ints(2);
  const auto strides = c.constant_ints(3);
  if (!begin || !end || !strides) return absl::OkStatus();
  ASSIGN_OR_RETURN(StridedSlicePlan plan, MakePlan(c.input(0), *begin, *end, *strides, masks));
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
      MakePlan(shape, *begin, *end, *strides, MasksOf(node));
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
  const Output shape = g.Op("Shape", {g.x(0)}, {{"out_type", RemoveRef(g.x(1).dtype())}});
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
        const Masks masks = MasksOf(node);
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
        const Masks masks = MasksOf(node);
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
