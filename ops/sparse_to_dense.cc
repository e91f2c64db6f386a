// SparseToDense. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

// Indices are a scalar or a vector (of a vector's elements), or a matrix with a row for each value.
absl::StatusOr<Tensor> IndexMatrix(const Tensor& indices) {
  if (indices.rank() > 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("sparse_indices must be a scalar, vector or matrix, received ",
                     indices.shape().ToString()));
  }
  if (indices.rank() == 2) return indices;
  return indices.Reshaped({indices.num_elements(), 1});
}

// Rows must rise in the order of the dense tensor when they are validated.
absl::Status CheckOrder(const NdIndex& index) {
  for (int64_t i = 1; i < index.count(); ++i) {
    if (index[i] == index[i - 1])
      return absl::InvalidArgumentError(absl::StrCat("sparse_indices[", i, "] is repeated"));
    if (index[i] < index[i - 1])
      return absl::InvalidArgumentError(absl::StrCat("sparse_indices[", i, "] is out of order"));
  }
  return absl::OkStatus();
}

template <typename S>
absl::Status SparseToDense(KernelContext& context) {
  ASSIGN_OR_RETURN(const Shape shape, ShapeFromTensor(context.input(1), "output_shape"));
  ASSIGN_OR_RETURN(const Tensor rows, IndexMatrix(context.input(0)));
  const Tensor& values = context.input(2);
  const Tensor& fill = context.input(3);
  if (rows.dim(1) != shape.rank()) {
    return absl::InvalidArgumentError(absl::StrCat("sparse_indices has rows of ", rows.dim(1),
                                                   " for output_shape ", shape.ToString()));
  }
  if (fill.rank() != 0) return absl::InvalidArgumentError("default_value must be a scalar");
  if (values.rank() > 1 || (values.rank() == 1 && values.dim(0) != rows.dim(0))) {
    return absl::InvalidArgumentError(absl::StrCat("sparse_values must be a scalar or have ",
                                                   rows.dim(0), " entries, received ",
                                                   values.shape().ToString()));
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(values.dtype(), shape));
  ASSIGN_OR_RETURN(const NdIndex index, NdIndex::Make(shape, rows));
  if (context.node().attr<bool>("validate_indices")) RETURN_IF_ERROR(CheckOrder(index));
  S* out = MutableStorage<S>(y);
  std::fill_n(out, y.num_elements(), *Storage<S>(fill));
  for (int64_t i = 0; i < index.count(); ++i)
    out[index[i]] = Storage<S>(values)[values.rank() == 0 ? 0 : i];
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// What arrived at the written places; what arrived elsewhere is the default's.
std::vector<Output> DenseGradient(const GradientContext& g) {
  const auto sum = [&](const Output& x) {
    const Output flat = g.Op("Reshape", {x, g.Int32s({-1})});
    return g(g.Op("Sum", {flat, g.Int32s({0})}, {{"keep_dims", false}}));
  };
  const Output written = g.Op("GatherNd", {g.dy(), g.x(0)});
  const Output values = g.x(2).shape().rank() == 0 ? Output(sum(written)) : written;
  return {Output(), Output(), values, sum(g.dy()) - sum(written)};
}

}  // namespace

void RegisterSparseToDense(OpRegistry& registry) {
  registry.Add("SparseToDense")
      .Doc(
          "A tensor of output_shape with sparse_values at sparse_indices, default_value elsewhere.")
      .In("sparse_indices", "Tindices")
      .In("output_shape", "Tindices")
      .In("sparse_values", "T")
      .In("default_value", "T")
      .Out("dense", "T")
      .Attr("validate_indices", true)
      .TypeAttr("T")
      .TypeAttr("Tindices", kIndexDTypes)
      .Shape([](InferenceContext& c) -> absl::Status {
        ASSIGN_OR_RETURN(Shape shape, c.ShapeFromInput(1));
        c.set_output(0, shape);
        return absl::OkStatus();
      })
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchStorage(RemoveRef(node.input(2).dtype()),
                               []<typename S>() -> KernelFunction { return SparseToDense<S>; });
      })
      .Gradient(DenseGradient)
      .Example({.name = "matrix",
                .inputs = {I({2, 2}, {0, 1, 1, 0}), I({2}, {2, 2}), F({2}, {5, 6}), F({}, {9})},
                .expected = {F({2, 2}, {9, 5, 6, 9})},
                .constant_inputs = {0, 1}})
      .Example({.name = "scalar value",
                .inputs = {L({2, 1}, {0, 2}), L({1}, {3}), F({}, {5}), F({}, {0})},
                .expected = {F({3}, {5, 0, 5})},
                .constant_inputs = {0, 1}})
      .Example({.name = "empty",
                .inputs = {I({0, 1}, {}), I({1}, {2}), F({0}, {}), F({}, {1})},
                .expected = {F({2}, {1, 1})},
                .constant_inputs = {0, 1}});
}

}  // namespace espalier
