// Gather, GatherV2 and GatherNd: rows of a tensor by index. Tested by the registry test.
#include "espalier/ops/gather.h"

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

template <typename S>
absl::Status Gather(KernelContext& context, int64_t batch_dims) {
  int64_t axis = batch_dims < 0 ? 0 : batch_dims;
  if (context.num_inputs() > 2) {
    ASSIGN_OR_RETURN(std::vector<int64_t> values, IntegerVector(context.input(2), "the axis"));
    if (values.size() != 1) return absl::InvalidArgumentError("the axis must be a scalar");
    axis = values[0];
  }
  return GatherSlices<S>(context, context.input(0), context.input(1), axis, batch_dims);
}

absl::Status GatherShape(InferenceContext& c) {
  int64_t axis = 0;
  const int64_t batch_dims = c.node().attr<int64_t>("batch_dims");
  if (c.num_inputs() > 2) {
    const auto constant = c.constant_ints(2);
    if (!constant || constant->size() != 1) {
      if (c.input(0).has_rank() && c.input(1).has_rank() && batch_dims >= 0 &&
          batch_dims <= c.input(1).rank()) {
        c.set_output(0, Shape::UnknownOfRank(static_cast<int>(c.input(0).rank() +
                                                              c.input(1).rank() - 1 - batch_dims)));
      }
      return absl::OkStatus();
    }
    axis = (*constant)[0];
  }
  RETURN_IF_ERROR(c.WithRankAtLeast(0, 1));
  if (!c.input(0).has_rank() || !c.input(1).has_rank()) return absl::OkStatus();
  ASSIGN_OR_RETURN(GatherLayout layout, LayOutGather(c.input(0), c.input(1), axis, batch_dims));
  c.set_output(0, layout.output);
  return absl::OkStatus();
}

// Elements of a vector whose place the graph knows: how dimensions are computed from shapes.
std::optional<std::vector<int64_t>> GatheredIntegers(const Node& node, int depth) {
  if (node.input(0).shape().rank() != 1) return std::nullopt;
  const auto params = PartialIntegers(node.input(0), depth);
  const auto indices = PartialIntegers(node.input(1), depth);
  if (!params || !indices) return std::nullopt;
  std::vector<int64_t> picked;
  for (const int64_t i : *indices) {
    const bool inside = i >= 0 && i < static_cast<int64_t>(params->size());
    picked.push_back(inside ? (*params)[i] : -1);
  }
  return picked;
}

Output Flat(const GradientContext& g, const Output& x) {
  return g.Op("Reshape", {x, g.Int32s({-1})});
}

// Rows add up where they were taken from. The axis is brought to the front first: the gradient
// [outer…, indices…, inner…] becomes [indices…, outer…, inner…].
std::vector<Output> GatherGradient(const GradientContext& g) {
  const Output shape = g.ShapeOf(g.x(0), kInt32);
  const int64_t batch_dims = g.node().attr<int64_t>("batch_dims");
  std::optional<int64_t> axis = 0;
  if (g.node().num_inputs() > 2) {
    const std::optional<Tensor> constant = ConstantValue(g.x(2));
    axis = constant ? std::optional(Indices(*constant)[0]) : std::nullopt;
  }
  const int rank = g.x(0).shape().rank();
  const int index_rank = g.x(1).shape().rank();
  const auto result = [&](const Output& gradient) -> std::vector<Output> {
    return {gradient, Output(), Output()};
  };
  const auto add_rows = [&](const Output& rows, const Output& indices, const Output& count) {
    return g.Op("UnsortedSegmentSum", {rows, indices, count});
  };
  if (axis && *axis == 0 && batch_dims == 0) {
    return result(AddedRows(g, shape, g.x(1)));
  }
  if (!axis || rank < 0 || index_rank < 0) {
    g.scope().graph()->RecordError(absl::UnimplementedError(absl::StrCat(
        g.node().Describe(), ": the gradient needs an axis and ranks that the graph fixes")));
    return {};
  }
  const int64_t a = *axis < 0 ? *axis + rank : *axis;
  const int64_t b = batch_dims < 0 ? batch_dims + index_rank : batch_dims;
  const int64_t n = index_rank - b;
  // Axes of dy: batch [0, b), outer [b, a), indices [a, a + n), inner behind.
  std::vector<int32_t> to_front;
  const int64_t dy_rank = rank - 1 + n;
  for (int64_t d = 0; d < b; ++d) to_front.push_back(static_cast<int32_t>(d));
  for (int64_t d = a; d < a + n; ++d) to_front.push_back(static_cast<int32_t>(d));
  for (int64_t d = b; d < a; ++d) to_front.push_back(static_cast<int32_t>(d));
  for (int64_t d = a + n; d < dy_rank; ++d) to_front.push_back(static_cast<int32_t>(d));
  // Axes of the parameters in that order, and back.
  std::vector<int32_t> order, back(rank);
  for (int64_t d = 0; d < b; ++d) order.push_back(static_cast<int32_t>(d));
  order.push_back(static_cast<int32_t>(a));
  for (int64_t d = b; d < rank; ++d) {
    if (d != a) order.push_back(static_cast<int32_t>(d));
  }
  for (int d = 0; d < rank; ++d) back[order[d]] = d;
  const Output moved = g.Op("Transpose", {g.dy(), g.Int32s(to_front)});
  // Batches are laid one after the other: index i of batch k is k * size + i.
  const auto dims = [&](int from, int count) {
    return g.Op("Slice", {g.Op("GatherV2", {shape, g.Int32s(order), g.Scalar(shape, 0)}),
                          g.Int32s({from}), g.Int32s({count})});
  };
  const auto product = [&](const Output& x) {
    return g.Op("Prod", {x, g.Int32s({0})}, {{"keep_dims", false}});
  };
  const int batch_rank = static_cast<int>(b);
  const Output batches = product(dims(0, batch_rank));
  const Output size = g.Op("Reshape", {dims(batch_rank, 1), g.Int32s({})});
  const Output inner = dims(batch_rank + 1, -1);
  const auto joined = [&](std::vector<Output> parts) {
    const int count = static_cast<int>(parts.size());
    parts.push_back(g.Scalar(shape, 0));
    return g.Op("ConcatV2", parts, {{"N", count}});
  };
  const auto vector = [&](const Output& x) { return g.Op("Reshape", {x, g.Int32s({1})}); };
  const Output rows = g.Op("Reshape", {moved, joined({vector(g.Op("Size", {g.x(1)})), inner})});
  const Output indices32 = g.Op("Cast", {g.x(1)}, {{"DstT", kInt32}});
  const Output per_batch = g.Op(
      "Reshape",
      {indices32, joined({vector(batches),
                          vector(product(g.Op("Slice", {g.ShapeOf(g.x(1)), g.Int32s({batch_rank}),
                                                        g.Int32s({-1})})))})});
  const Output starts = g.Op("Range", {g.Scalar(shape, 0), batches, g.Scalar(shape, 1)});
  const Output offsets = g(g.Op("ExpandDims", {starts, g.Scalar(shape, 1)})) * g(size);
  const Output summed = add_rows(rows, Flat(g, g(per_batch) + g(offsets)), g(batches) * g(size));
  const Output shaped = g.Op("Reshape", {summed, joined({dims(0, batch_rank + 1), inner})});
  return result(g.Op("Transpose", {shaped, g.Int32s(back)}));
}

absl::Status GatherNdShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRankAtLeast(1, 1));
  const Shape& params = c.input(0);
  const Shape& indices = c.input(1);
  if (!params.has_rank() || !indices.has_rank()) return absl::OkStatus();
  const int64_t depth = indices.dim(indices.rank() - 1);
  if (depth < 0) return absl::OkStatus();
  if (depth > params.rank()) {
    return absl::InvalidArgumentError(absl::StrCat("the last dimension of indices, ", depth,
                                                   ", must be at most the rank of params, ",
                                                   params.rank()));
  }
  Shape shape;
  for (int d = 0; d + 1 < indices.rank(); ++d) shape.push_back(indices.dim(d));
  for (int d = static_cast<int>(depth); d < params.rank(); ++d) shape.push_back(params.dim(d));
  c.set_output(0, shape);
  return absl::OkStatus();
}

}  // namespace

void RegisterGather(OpRegistry& registry) {
  const Tensor m = F({3, 2}, {1, 2, 3, 4, 5, 6});
  const auto kernel = [](const Node& node) -> absl::StatusOr<KernelFunction> {
    const auto batch_dims = node.attr<int64_t>("batch_dims");
    return DispatchStorage(
        RemoveRef(node.input(0).dtype()), [batch_dims]<typename S>() -> KernelFunction {
          return [batch_dims](KernelContext& context) { return Gather<S>(context, batch_dims); };
        });
  };
  registry.Add("Gather")
      .Doc("Rows of params by index: the older form of GatherV2.")
      .In("params", "Tparams")
      .In("indices", "Tindices")
      .Out("output", "Tparams")
      .Attr("validate_indices", true)
      .TypeAttr("Tparams")
      .TypeAttr("Tindices", kIndexDTypes)
      .Shape(GatherShape)
      .PartialValue(GatheredIntegers)
      .Kernel(kernel)
      .Gradient(GatherGradient)
      .Example({.name = "rows",
                .inputs = {m, I({3}, {2, 0, 2})},
                .expected = {F({3, 2}, {5, 6, 1, 2, 5, 6})}})
      .Example({.name = "one", .inputs = {m, L({}, {1})}, .expected = {F({2}, {3, 4})}})
      .Example({.name = "empty", .inputs = {m, I({0}, {})}, .expected = {F({0, 2}, {})}});
  registry.Add("GatherV2")
      .Doc(
          "Slices of params along an axis by index; in the first batch_dims dimensions, each batch "
          "has indices of its own.")
      .In("params", "Tparams")
      .In("indices", "Tindices")
      .In("axis", "Taxis")
      .Out("output", "Tparams")
      .Attr("batch_dims", 0)
      .TypeAttr("Tparams")
      .TypeAttr("Tindices", kIndexDTypes)
      .TypeAttr("Taxis", kIndexDTypes)
      .Shape(GatherShape)
      .PartialValue(GatheredIntegers)
      .Kernel(kernel)
      .Gradient(GatherGradient)
      .Example({.name = "columns",
                .inputs = {m, I({3}, {1, 0, 1}), I({}, {-1})},
                .expected = {F({3, 3}, {2, 1, 2, 4, 3, 4, 6, 5, 6})},
                .constant_inputs = {2}})
      .Example({.name = "batches",
                .inputs = {m, I({3, 2}, {1, 1, 0, 1, 0, 0}), I({}, {1})},
                .attrs = {{"batch_dims", 1}},
                .expected = {F({3, 2}, {2, 2, 3, 4, 5, 5})},
                .constant_inputs = {2}})
      .Example({.name = "middle axis",
                .inputs = {F({2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}), L({1, 2}, {1, 0}), L({}, {1})},
                .expected = {F({2, 1, 2, 2}, {3, 4, 1, 2, 7, 8, 5, 6})},
                .constant_inputs = {2}})
      .Example({.name = "empty",
                .inputs = {m, I({0}, {}), I({}, {0})},
                .expected = {F({0, 2}, {})},
                .constant_inputs = {2}});
  registry.Add("GatherNd")
      .Doc(
          "Slices of params; the last dimension of indices is an index into the first dimensions "
          "of "
          "params.")
      .In("params", "Tparams")
      .In("indices", "Tindices")
      .Out("output", "Tparams")
      .TypeAttr("Tparams")
      .TypeAttr("Tindices", {kInt16, kInt32, kInt64})
      .StringAttr("bad_indices_policy", {"", "DEFAULT", "ERROR"}, "")
      .Shape(GatherNdShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchStorage(
            RemoveRef(node.input(0).dtype()), []<typename S>() -> KernelFunction {
              return [](KernelContext& c) { return GatherNdSlices<S>(c, c.input(0), c.input(1)); };
            });
      })
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        const Output shape = g.ShapeOf(g.x(0), RemoveRef(g.x(1).dtype()));
        return {g.Op("ScatterNd", {g.x(1), g.dy(), shape}), Output()};
      })
      .Example({.name = "elements",
                .inputs = {m, I({2, 2}, {2, 1, 0, 0})},
                .expected = {F({2}, {6, 1})}})
      .Example(
          {.name = "rows", .inputs = {m, L({2, 1}, {1, 1})}, .expected = {F({2, 2}, {3, 4, 3, 4})}})
      .Example({.name = "empty", .inputs = {m, I({0, 2}, {})}, .expected = {F({0}, {})}});
}

}  // namespace espalier
