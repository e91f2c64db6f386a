// UnravelIndex. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

absl::StatusOr<KernelFunction> Make(const Node&) {
  return KernelFunction([](KernelContext& context) -> absl::Status {
    const Tensor& indices = context.input(0);
    ASSIGN_OR_RETURN(const Shape dims, ShapeFromTensor(context.input(1), "dims"));
    ASSIGN_OR_RETURN(const int64_t size, dims.CheckedNumElements());
    if (indices.rank() > 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "indices must be a scalar or a vector, received ", indices.shape().ToString()));
    }
    const Indices index(indices);
    RETURN_IF_ERROR(index.Check(size, "indices"));
    const std::vector<int64_t> strides = StridesOf(dims);
    std::vector<int64_t> places(dims.rank() * index.size());
    for (int d = 0; d < dims.rank(); ++d) {
      for (int64_t i = 0; i < index.size(); ++i)
        places[d * index.size() + i] = index[i] / strides[d] % dims.dim(d);
    }
    Shape shape = {dims.rank()};
    if (indices.rank() == 1) shape.push_back(index.size());
    ASSIGN_OR_RETURN(Tensor y, AsIndices(places, indices.dtype()).Reshaped(shape));
    context.set_output(0, std::move(y));
    return absl::OkStatus();
  });
}

absl::Status UnravelShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(1, 1));
  if (!c.input(0).has_rank()) return absl::OkStatus();
  Shape shape = {c.dim(1, 0)};
  if (c.input(0).rank() == 1) shape.push_back(c.dim(0, 0));
  c.set_output(0, shape);
  return absl::OkStatus();
}

}  // namespace

void RegisterUnravelIndex(OpRegistry& registry) {
  registry.Add("UnravelIndex")
      .Doc("The places in a tensor of shape dims that flat indices stand for, one row a dimension.")
      .In("indices", "Tidx")
      .In("dims", "Tidx")
      .Out("output", "Tidx")
      .TypeAttr("Tidx", kIndexDTypes, kInt32)
      .Shape(UnravelShape)
      .Kernel(Make)
      .NotDifferentiable("it works on indices")
      .Example({.name = "vector",
                .inputs = {I({3}, {2, 5, 7}), I({2}, {3, 3})},
                .expected = {I({2, 3}, {0, 1, 2, 2, 2, 1})}})
      .Example(
          {.name = "scalar", .inputs = {L({}, {5}), L({2}, {2, 3})}, .expected = {L({2}, {1, 2})}})
      .Example({.name = "empty", .inputs = {I({0}, {}), I({1}, {3})}, .expected = {I({1, 0}, {})}});
}

}  // namespace espalier
