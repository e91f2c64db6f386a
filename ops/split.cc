// Split and SplitV. Tested by the registry test.
#include <numeric>

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

absl::StatusOr<int64_t> ScalarAxis(const Tensor& tensor, int rank) {
  ASSIGN_OR_RETURN(std::vector<int64_t> values, IntegerVector(tensor, "the axis"));
  if (values.size() != 1) return absl::InvalidArgumentError("the axis must be a scalar");
  return NormalizeAxis(values[0], rank);
}

// Parts of `sizes` along `axis`.
template <typename S>
absl::Status CutAlong(KernelContext& context, const Tensor& x, int axis,
                      const std::vector<int64_t>& sizes) {
  int64_t outer = 1, inner = 1;
  for (int d = 0; d < axis; ++d) outer *= x.dim(d);
  for (int d = axis + 1; d < x.rank(); ++d) inner *= x.dim(d);
  const int64_t row = x.dim(axis) * inner;
  int64_t start = 0;
  for (size_t k = 0; k < sizes.size(); ++k) {
    Shape shape = x.shape();
    shape.set_dim(axis, sizes[k]);
    ASSIGN_OR_RETURN(Tensor part, context.Allocate(x.dtype(), shape));
    const int64_t run = sizes[k] * inner;
    for (int64_t o = 0; o < outer; ++o) {
      std::copy_n(Storage<S>(x) + o * row + start, run, MutableStorage<S>(part) + o * run);
    }
    start += run;
    context.set_output(static_cast<int>(k), std::move(part));
  }
  return absl::OkStatus();
}

template <typename S>
absl::Status Split(KernelContext& context) {
  const Tensor& x = context.input(1);
  ASSIGN_OR_RETURN(int64_t axis, ScalarAxis(context.input(0), x.rank()));
  const int count = context.num_outputs();
  const int64_t size = x.dim(static_cast<int>(axis));
  if (size % count != 0) {
    return absl::InvalidArgumentError(absl::StrCat("dimension ", axis, " of ", x.shape().ToString(),
                                                   " does not divide into ", count, " parts"));
  }
  return CutAlong<S>(context, x, static_cast<int>(axis), std::vector<int64_t>(count, size / count));
}

// At most one size is -1: what is left.
absl::StatusOr<std::vector<int64_t>> ResolveSizes(std::vector<int64_t> sizes, int count,
                                                  int64_t total) {
  if (static_cast<int>(sizes.size()) != count) {
    return absl::InvalidArgumentError(
        absl::StrCat("size_splits must have ", count, " entries, received ", sizes.size()));
  }
  int64_t known = 0;
  int64_t* open = nullptr;
  for (int64_t& size : sizes) {
    if (size == -1 && open == nullptr) {
      open = &size;
    } else if (size < 0 || size > total - known) {
      return absl::InvalidArgumentError(
          absl::StrCat("the sizes of the parts do not fit the dimension ", total));
    } else {
      known += size;
    }
  }
  if (open != nullptr) {
    *open = total - known;
  } else if (known != total) {
    return absl::InvalidArgumentError(
        absl::StrCat("the sizes of the parts add up to ", known, ", the dimension is ", total));
  }
  return sizes;
}

template <typename S>
absl::Status SplitV(KernelContext& context) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(std::vector<int64_t> sizes, IntegerVector(context.input(1), "size_splits"));
  ASSIGN_OR_RETURN(int64_t axis, ScalarAxis(context.input(2), x.rank()));
  ASSIGN_OR_RETURN(sizes,
                   ResolveSizes(sizes, context.num_outputs(), x.dim(static_cast<int>(axis))));
  return CutAlong<S>(context, x, static_cast<int>(axis), sizes);
}

absl::Status SplitShape(InferenceContext& c) {
  const auto axis_value = c.constant_ints(0);
  if (!c.input(1).has_rank()) return absl::OkStatus();
  const int count = c.node().num_outputs();
  Shape shape = c.input(1);
  if (axis_value && axis_value->size() == 1) {
    ASSIGN_OR_RETURN(int64_t axis, NormalizeAxis((*axis_value)[0], shape.rank()));
    const int64_t size = shape.dim(static_cast<int>(axis));
    if (size >= 0 && size % count != 0) {
      return absl::InvalidArgumentError(absl::StrCat("dimension ", axis, " of ", shape.ToString(),
                                                     " does not divide into ", count, " parts"));
    }
    shape.set_dim(static_cast<int>(axis), size < 0 ? -1 : size / count);
  } else {
    shape = Shape::UnknownOfRank(shape.rank());
  }
  for (int k = 0; k < count; ++k) c.set_output(k, shape);
  return absl::OkStatus();
}

absl::Status SplitVShape(InferenceContext& c) {
  const auto sizes = c.constant_ints(1);
  const auto axis_value = c.constant_ints(2);
  if (!c.input(0).has_rank()) return absl::OkStatus();
  const int count = c.node().num_outputs();
  std::vector<int64_t> parts(count, -1);
  Shape shape = Shape::UnknownOfRank(c.input(0).rank());
  int axis = -1;
  if (axis_value && axis_value->size() == 1) {
    ASSIGN_OR_RETURN(int64_t normal, NormalizeAxis((*axis_value)[0], c.input(0).rank()));
    axis = static_cast<int>(normal);
    shape = c.input(0);
    if (sizes && shape.dim(axis) >= 0) {
      ASSIGN_OR_RETURN(parts, ResolveSizes(*sizes, count, shape.dim(axis)));
    } else if (sizes && static_cast<int>(sizes->size()) == count) {
      parts = *sizes;
    }
  }
  for (int k = 0; k < count; ++k) {
    if (axis >= 0) shape.set_dim(axis, parts[k]);
    c.set_output(k, shape);
  }
  return absl::OkStatus();
}

// The parts' gradients, side by side again.
Output Joined(const GradientContext& g, const Output& axis) {
  std::vector<Output> parts;
  const int count = g.node().num_outputs();
  for (int k = 0; k < count; ++k) parts.push_back(g.dy(k));
  parts.push_back(axis);
  return g.Op("ConcatV2", parts, {{"N", count}});
}

}  // namespace

void RegisterSplit(OpRegistry& registry) {
  const Tensor m = F({2, 3}, {1, 2, 3, 4, 5, 6});
  registry.Add("Split")
      .Doc("num_split equal parts along an axis.")
      .In("split_dim", kInt32)
      .In("value", "T")
      .OutList("output", "num_split", "T")
      .RequiredAttr("num_split", AttrKind::kInt)
      .Minimum(1)
      .TypeAttr("T")
      .Shape(SplitShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchStorage(RemoveRef(node.input(1).dtype()),
                               []<typename S>() -> KernelFunction { return Split<S>; });
      })
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {Output(), Joined(g, g.x(0))};
      })
      .Example({.name = "columns",
                .inputs = {I({}, {1}), m},
                .attrs = {{"num_split", 3}},
                .expected = {F({2, 1}, {1, 4}), F({2, 1}, {2, 5}), F({2, 1}, {3, 6})},
                .constant_inputs = {0}})
      .Example({.name = "rows",
                .inputs = {I({}, {-2}), m},
                .attrs = {{"num_split", 2}},
                .expected = {F({1, 3}, {1, 2, 3}), F({1, 3}, {4, 5, 6})}})
      .Example({.name = "empty",
                .inputs = {I({}, {0}), F({0}, {})},
                .attrs = {{"num_split", 2}},
                .expected = {F({0}, {}), F({0}, {})}});
  registry.Add("SplitV")
      .Doc("Parts of given sizes along an axis; one size may be -1: what is left.")
      .In("value", "T")
      .In("size_splits", "Tlen")
      .In("split_dim", kInt32)
      .OutList("output", "num_split", "T")
      .RequiredAttr("num_split", AttrKind::kInt)
      .Minimum(1)
      .TypeAttr("T")
      .TypeAttr("Tlen", {kInt32, kInt64, kInt8}, kInt64)
      .Shape(SplitVShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchStorage(RemoveRef(node.input(0).dtype()),
                               []<typename S>() -> KernelFunction { return SplitV<S>; });
      })
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {Joined(g, g.x(2)), Output(), Output()};
      })
      .Example({.name = "columns",
                .inputs = {m, L({2}, {1, -1}), I({}, {1})},
                .attrs = {{"num_split", 2}},
                .expected = {F({2, 1}, {1, 4}), F({2, 2}, {2, 3, 5, 6})},
                .constant_inputs = {1, 2}})
      .Example({.name = "rows",
                .inputs = {m, I({2}, {2, 0}), I({}, {0})},
                .attrs = {{"num_split", 2}},
                .expected = {m, F({0, 3}, {})}})
      .Example({.name = "empty",
                .inputs = {F({0}, {}), I({1}, {0}), I({}, {0})},
                .attrs = {{"num_split", 1}},
                .expected = {F({0}, {})}});
}

}  // namespace espalier
