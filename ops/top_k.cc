// TopK and TopKV2. Tested by the registry test.
#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

// Larger values first, of equal values the lower index first.
template <typename T>
absl::Status TopK(KernelContext& context) {
  const Tensor& x = context.input(0);
  int64_t k = context.node().attr<int64_t>("k");
  if (context.num_inputs() > 1) {
    ASSIGN_OR_RETURN(std::vector<int64_t> values, IntegerVector(context.input(1), "k"));
    if (values.size() != 1) return absl::InvalidArgumentError("k must be a scalar");
    k = values[0];
  }
  if (x.rank() < 1 || k < 0 || k > x.dim(x.rank() - 1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the input must have at least k = ", k, " columns, received shape ", x.shape().ToString()));
  }
  const int64_t n = x.dim(x.rank() - 1);
  Shape shape = x.shape();
  shape.set_dim(x.rank() - 1, k);
  ASSIGN_OR_RETURN(Tensor values, context.Allocate(DTypeOf<T>, shape));
  std::vector<int64_t> places(values.num_elements());
  std::vector<int32_t> order(n);
  for (int64_t row = 0; k > 0 && row < x.num_elements() / n; ++row) {
    const T* in = x.data<T>() + row * n;
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + k, order.end(), [in](int32_t a, int32_t b) {
      return in[a] > in[b] || (!(in[b] > in[a]) && a < b);
    });
    for (int64_t i = 0; i < k; ++i) {
      values.mutable_data<T>()[row * k + i] = in[order[i]];
      places[row * k + i] = order[i];
    }
  }
  ASSIGN_OR_RETURN(Tensor indices,
                   AsIndices(places, context.node().output_dtype(1)).Reshaped(shape));
  context.set_output(0, std::move(values));
  context.set_output(1, std::move(indices));
  return absl::OkStatus();
}

absl::Status TopKShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRankAtLeast(0, 1));
  if (!c.input(0).has_rank()) return absl::OkStatus();
  int64_t k = c.num_inputs() > 1 ? -1 : c.node().attr<int64_t>("k");
  if (c.num_inputs() > 1) {
    if (const auto constant = c.constant_ints(1)) {
      if (constant->size() != 1) return absl::InvalidArgumentError("k must be a scalar");
      k = (*constant)[0];
    }
  }
  Shape shape = c.input(0);
  const int last = shape.rank() - 1;
  if (k > shape.dim(last) && shape.dim(last) >= 0) {
    return absl::InvalidArgumentError(absl::StrCat("the input must have at least k = ", k,
                                                   " columns, received shape ", shape.ToString()));
  }
  shape.set_dim(last, k < 0 ? -1 : k);
  c.set_output(0, shape);
  c.set_output(1, shape);
  return absl::OkStatus();
}

// Rows laid end to end: the gradient of output [row, i] goes to row * n + indices[row, i].
std::vector<Output> TopKGradient(const GradientContext& g) {
  const Output shape = g.ShapeOf(g.x(0));
  const Output minus_one = g.Int32s({-1});
  const Output n = g.Op(
      "Reshape",
      {g.Op("StridedSlice", {shape, minus_one, g.Int32s({0}), g.Int32s({1})}, {{"end_mask", 1}}),
       g.Int32s({})});
  const Output k_shape = g.ShapeOf(g.y(1));
  const Output k = g.Op(
      "Reshape",
      {g.Op("StridedSlice", {k_shape, minus_one, g.Int32s({0}), g.Int32s({1})}, {{"end_mask", 1}}),
       g.Int32s({1})});
  const Output size = g.Op("Size", {g.x(0)});
  const Output one = g.Scalar(size, 1);
  const Output rows = g.Op("FloorDiv", {size, g.Op("Maximum", {n, one})});
  const Output starts = g(g.Op("Range", {g.Scalar(size, 0), rows, one})) * g(n);
  const Output row_shape =
      g.Op("ConcatV2", {g.Op("Reshape", {rows, g.Int32s({1})}), k, g.Scalar(size, 0)}, {{"N", 2}});
  const Output places =
      g(g.Op("Reshape", {g.Op("Cast", {g.y(1)}, {{"DstT", kInt32}}), row_shape})) +
      g(g.Op("ExpandDims", {starts, g.Scalar(size, -1)}));
  const Output flat = g.Op(
      "ScatterNd", {g.Op("ExpandDims", {g.Op("Reshape", {places, minus_one}), g.Scalar(size, -1)}),
                    g.Op("Reshape", {g.dy(0), minus_one}), g.Op("Reshape", {size, g.Int32s({1})})});
  return {g.Op("Reshape", {flat, shape}), Output()};
}

}  // namespace

void RegisterTopK(OpRegistry& registry) {
  for (const bool second : {false, true}) {
    OpSchema& op = registry.Add(second ? "TopKV2" : "TopK")
                       .Doc("The k largest along the last axis, largest first, and their indices.")
                       .In("input", "T");
    if (second) op.In("k", "Tk");
    op.Out("values", "T");
    if (second) {
      op.Out("indices", "index_type");
    } else {
      op.Out("indices", kInt32);
    }
    if (!second) op.RequiredAttr("k", AttrKind::kInt).Minimum(0);
    op.Attr("sorted", true).TypeAttr("T", kArithmeticDTypes);
    if (second) op.TypeAttr("index_type", kIndexDTypes, kInt32);
    if (second) op.TypeAttr("Tk", {kInt16, kInt32, kInt64}, kInt32);
    const auto example = [&](const char* name, Tensor x, int32_t k, std::vector<Tensor> expected) {
      OpExample e = {.name = name, .inputs = {std::move(x)}, .expected = std::move(expected)};
      if (second) {
        e.inputs.push_back(I({}, {k}));
      } else {
        e.attrs = {{"k", k}};
      }
      op.Example(std::move(e));
    };
    op.Shape(TopKShape)
        .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
          return DispatchType(ArithmeticTypes(), RemoveRef(node.input(0).dtype()),
                              []<typename T>() -> KernelFunction { return TopK<T>; });
        })
        .Gradient(TopKGradient);
    example("rows", F({2, 3}, {1, 3, 2, 9, 7, 8}), 2,
            {F({2, 2}, {3, 2, 9, 8}), I({2, 2}, {1, 2, 0, 2})});
    example("equal values", I({3}, {5, 5, 1}), 2, {I({2}, {5, 5}), I({2}, {0, 1})});
    example("empty", F({0, 2}, {}), 1, {F({0, 1}, {}), I({0, 1}, {})});
  }
}

}  // namespace espalier
