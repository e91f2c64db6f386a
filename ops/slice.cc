// Slice and Pad, each the other's gradient. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

// A size of -1 means "to the end".
absl::StatusOr<Shape> SlicedShape(const Shape& input, const std::vector<int64_t>& begin,
                                  const std::vector<int64_t>& size) {
  if (static_cast<int>(begin.size()) != input.rank() || begin.size() != size.size()) {
    return absl::InvalidArgumentError(absl::StrCat("begin and size must have ", input.rank(),
                                                   " entries, received ", begin.size(), " and ",
                                                   size.size()));
  }
  Shape shape;
  for (int i = 0; i < input.rank(); ++i) {
    const int64_t dim = input.dim(i);
    if (dim < 0) {
      shape.push_back(size[i] >= 0 ? size[i] : -1);
      continue;
    }
    const bool fits =
        begin[i] >= 0 && begin[i] <= dim && size[i] >= -1 && size[i] <= dim - begin[i];
    if (!fits) {
      return absl::InvalidArgumentError(absl::StrCat("begin ", begin[i], " and size ", size[i],
                                                     " are out of range in dimension ", i, " of ",
                                                     input.ToString()));
    }
    shape.push_back(size[i] == -1 ? dim - begin[i] : size[i]);
  }
  return shape;
}

template <typename S>
absl::Status Slice(KernelContext& context) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(std::vector<int64_t> begin, IntegerVector(context.input(1), "begin"));
  ASSIGN_OR_RETURN(std::vector<int64_t> size, IntegerVector(context.input(2), "size"));
  ASSIGN_OR_RETURN(Shape shape, SlicedShape(x.shape(), begin, size));
  const std::vector<int64_t> strides = StridesOf(x.shape());
  int64_t start = 0;
  for (int i = 0; i < x.rank(); ++i) start += begin[i] * strides[i];
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), shape));
  const S* in = Storage<S>(x) + start;
  S* out = MutableStorage<S>(y);
  ForEachStrided(context, shape, strides, [&](int64_t i, int64_t at) { out[i] = in[at]; });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::Status SliceShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(1, 1));
  RETURN_IF_ERROR(c.WithRank(2, 1));
  const auto begin = c.constant_ints(1);
  const auto size = c.constant_ints(2);
  if (c.input(0).has_rank() && begin && size) {
    ASSIGN_OR_RETURN(Shape shape, SlicedShape(c.input(0), *begin, *size));
    c.set_output(0, shape);
  } else if (c.input(0).has_rank()) {
    c.set_output(0, Shape::UnknownOfRank(c.input(0).rank()));
  }
  return absl::OkStatus();
}

absl::StatusOr<Shape> PaddedShape(const Shape& input, const Shape& paddings,
                                  const std::vector<int64_t>& values) {
  if (paddings.rank() != 2 || paddings.dim(0) != input.rank() || paddings.dim(1) != 2) {
    return absl::InvalidArgumentError(absl::StrCat("paddings must have shape [", input.rank(),
                                                   ",2], received ", paddings.ToString()));
  }
  Shape shape;
  for (int i = 0; i < input.rank(); ++i) {
    const int64_t before = values[2 * i];
    const int64_t after = values[2 * i + 1];
    int64_t size = 0;
    if (before < 0 || after < 0 || __builtin_add_overflow(before, after, &size) ||
        __builtin_add_overflow(size, std::max<int64_t>(input.dim(i), 0), &size)) {
      return absl::InvalidArgumentError(
          absl::StrCat("paddings ", before, ", ", after, " are negative or too large"));
    }
    shape.push_back(input.dim(i) < 0 ? -1 : size);
  }
  return shape;
}

absl::StatusOr<std::vector<int64_t>> PaddingValues(const Tensor& paddings) {
  ASSIGN_OR_RETURN(Tensor flat, paddings.Reshaped({paddings.num_elements()}));
  return IntegerVector(flat, "paddings");
}

template <typename S>
absl::Status Pad(KernelContext& context) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(std::vector<int64_t> values, PaddingValues(context.input(1)));
  ASSIGN_OR_RETURN(Shape shape, PaddedShape(x.shape(), context.input(1).shape(), values));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), shape));
  S* out = MutableStorage<S>(y);
  S filler{};
  if (context.num_inputs() > 2) {
    if (context.input(2).num_elements() != 1)
      return absl::InvalidArgumentError("the padding value must be a scalar");
    filler = *Storage<S>(context.input(2));
  }
  std::fill_n(out, y.num_elements(), filler);
  const std::vector<int64_t> strides = StridesOf(shape);
  int64_t start = 0;
  for (int i = 0; i < x.rank(); ++i) start += values[2 * i] * strides[i];
  const S* in = Storage<S>(x);
  ForEachStrided(context, x.shape(), strides,
                 [&](int64_t i, int64_t at) { out[start + at] = in[i]; });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::Status PadShape(InferenceContext& c) {
  if (!c.input(0).has_rank()) return absl::OkStatus();
  const auto values = c.constant_ints(1);
  if (!values) {
    c.set_output(0, Shape::UnknownOfRank(c.input(0).rank()));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(Shape shape, PaddedShape(c.input(0), c.input(1), *values));
  c.set_output(0, shape);
  return absl::OkStatus();
}

// Pads the gradient with what the slice left out before and behind.
std::vector<Output> SliceGradient(const GradientContext& g) {
  const DType type = RemoveRef(g.x(1).dtype());
  const Output shape = g.ShapeOf(g.x(0), type);
  const Output size = g.Op("Shape", {g.dy()}, {{"out_type", type}});
  const Output behind = g(shape) - g(size) - g(g.x(1));
  return {g.Op("Pad", {g.dy(), g.Op("Pack", {g.x(1), behind}, {{"axis", 1}})}), Output(), Output()};
}

std::vector<Output> PadGradient(const GradientContext& g) {
  const Output shape = g.ShapeOf(g.x(0), RemoveRef(g.x(1).dtype()));
  // Column 0 of the paddings: a dot product with (1, 0), which any integer type has.
  const Output zero = g.Scalar(g.x(1), 0);
  const Output one = g.Scalar(g.x(1), 1);
  const Output column = g.Op("Pack", {one, zero}, {{"axis", 0}});
  const Output before = g.Op("Sum", {g(g.x(1)) * g(column), g.Int32s({1})}, {{"keep_dims", false}});
  std::vector<Output> gradients = {g.Op("Slice", {g.dy(), before, shape}), Output()};
  if (g.node().num_inputs() > 2) {
    const auto total = [&](const Output& t) {
      return g.Op("Sum", {g.Op("Reshape", {t, g.Int32s({-1})}), g.Int32s({0})},
                  {{"keep_dims", false}});
    };
    gradients.push_back(g(total(g.dy())) - g(total(gradients[0])));
  }
  return gradients;
}

OpSchema& AddPad(OpRegistry& registry, const char* name, const char* doc) {
  return registry.Add(name).Doc(doc).In("input", "T").In("paddings", "Tpaddings");
}

}  // namespace

void RegisterSlice(OpRegistry& registry) {
  const Tensor m = F({2, 3}, {1, 2, 3, 4, 5, 6});
  registry.Add("Slice")
      .Doc("The part that starts at begin and has size (-1: to the end).")
      .In("input", "T")
      .In("begin", "Index")
      .In("size", "Index")
      .Out("output", "T")
      .TypeAttr("T")
      .TypeAttr("Index", kIndexDTypes)
      .Shape(SliceShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchStorage(RemoveRef(node.input(0).dtype()),
                               []<typename S>() -> KernelFunction { return Slice<S>; });
      })
      .Gradient(SliceGradient)
      .Example({.name = "column",
                .inputs = {m, I({2}, {0, 1}), I({2}, {-1, 1})},
                .expected = {F({2, 1}, {2, 5})},
                .constant_inputs = {1, 2}})
      .Example({.name = "vector",
                .inputs = {F({3}, {1, 2, 3}), L({1}, {1}), L({1}, {2})},
                .expected = {F({2}, {2, 3})}})
      .Example({.name = "empty",
                .inputs = {F({3}, {1, 2, 3}), I({1}, {3}), I({1}, {-1})},
                .expected = {F({0}, {})},
                .check_gradient = false});
  const auto kernel = [](const Node& node) -> absl::StatusOr<KernelFunction> {
    return DispatchStorage(RemoveRef(node.input(0).dtype()),
                           []<typename S>() -> KernelFunction { return Pad<S>; });
  };
  AddPad(registry, "Pad", "The input with paddings[d] zeros before and behind in dimension d.")
      .Out("output", "T")
      .TypeAttr("T")
      .TypeAttr("Tpaddings", kIndexDTypes, kInt32)
      .Shape(PadShape)
      .Kernel(kernel)
      .Gradient(PadGradient)
      .Example({.name = "vector",
                .inputs = {F({2}, {1, 2}), I({1, 2}, {1, 2})},
                .expected = {F({5}, {0, 1, 2, 0, 0})},
                .constant_inputs = {1}})
      .Example({.name = "matrix",
                .inputs = {F({1, 2}, {1, 2}), L({2, 2}, {1, 0, 0, 1})},
                .expected = {F({2, 3}, {0, 0, 0, 1, 2, 0})}})
      .Example({.name = "empty",
                .inputs = {F({0}, {}), I({1, 2}, {1, 0})},
                .expected = {F({1}, {0})},
                .check_gradient = false});
  AddPad(registry, "PadV2", "Pad with a value of one's own.")
      .In("constant_values", "T")
      .Out("output", "T")
      .TypeAttr("T")
      .TypeAttr("Tpaddings", kIndexDTypes, kInt32)
      .Shape(PadShape)
      .Kernel(kernel)
      .Gradient(PadGradient)
      .Example({.name = "vector",
                .inputs = {F({2}, {1, 2}), I({1, 2}, {1, 1}), F({}, {9})},
                .expected = {F({4}, {9, 1, 2, 9})},
                .constant_inputs = {1}})
      .Example({.name = "integers",
                .inputs = {I({1}, {1}), I({1, 2}, {0, 1}), I({}, {-1})},
                .expected = {I({2}, {1, -1})}})
      .Example({.name = "empty",
                .inputs = {F({0}, {}), I({1, 2}, {1, 0}), F({}, {9})},
                .expected = {F({1}, {9})},
                .check_gradient = false});
}

}  // namespace espalier
