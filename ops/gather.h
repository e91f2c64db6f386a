// Slices of a tensor by index, for tensors and resource variables alike.
//
//   return GatherSlices<S>(context, params, indices, axis, batch_dims);
#ifndef ESPALIER_OPS_GATHER_H_
#define ESPALIER_OPS_GATHER_H_

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/indexing.h"

namespace espalier {

// The parameters are [batch, outer, size, inner], the indices [batch, count].
struct GatherLayout {
  int64_t batch = 1, outer = 1, size = 0, inner = 1, count = 1;
  Shape output;
};

inline absl::StatusOr<GatherLayout> LayOutGather(const Shape& params, const Shape& indices,
                                                 int64_t axis, int64_t batch_dims) {
  if (params.rank() < 1) return absl::InvalidArgumentError("params must be at least a vector");
  ASSIGN_OR_RETURN(axis, NormalizeAxis(axis, params.rank()));
  if (batch_dims < 0) batch_dims += indices.rank();
  if (batch_dims < 0 || batch_dims > indices.rank() || batch_dims > axis) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch_dims ", batch_dims, " must be in [0, min(axis, rank of indices)]"));
  }
  GatherLayout layout;
  for (int d = 0; d < params.rank(); ++d) {
    const int64_t size = params.dim(d);
    if (d < batch_dims) {
      if (indices.dim(d) != size && indices.dim(d) >= 0 && size >= 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("params ", params.ToString(), " and indices ", indices.ToString(),
                         " must agree in the first ", batch_dims, " dimensions"));
      }
      layout.batch *= size;
    } else if (d < axis) {
      layout.outer *= size;
    } else if (d == axis) {
      layout.size = size;
    } else {
      layout.inner *= size;
    }
    if (d != axis) {
      layout.output.push_back(size);
      continue;
    }
    for (int i = static_cast<int>(batch_dims); i < indices.rank(); ++i) {
      layout.output.push_back(indices.dim(i));
      layout.count *= indices.dim(i);
    }
  }
  return layout;
}

// Output 0 becomes the slices of `params` along `axis` that `indices` name.
template <typename S>
absl::Status GatherSlices(KernelContext& context, const Tensor& params, const Tensor& indices,
                          int64_t axis, int64_t batch_dims) {
  ASSIGN_OR_RETURN(GatherLayout layout,
                   LayOutGather(params.shape(), indices.shape(), axis, batch_dims));
  const Indices index(indices);
  RETURN_IF_ERROR(index.Check(layout.size, "indices"));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(params.dtype(), layout.output));
  const S* from = Storage<S>(params);
  S* to = MutableStorage<S>(y);
  if (layout.inner > 0) {
    const int64_t rows = layout.batch * layout.outer * layout.count;
    context.ParallelFor(rows, std::max<int64_t>(1, kElementwiseBlock / layout.inner),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t row = begin; row < end; ++row) {
                            const int64_t block = row / layout.count;  // of batch and outer
                            const int64_t at =
                                index[block / layout.outer * layout.count + row % layout.count];
                            std::copy_n(from + (block * layout.size + at) * layout.inner,
                                        layout.inner, to + row * layout.inner);
                          }
                        });
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// Output 0 becomes the slices that the last dimension of `indices` names.
template <typename S>
absl::Status GatherNdSlices(KernelContext& context, const Tensor& params, const Tensor& indices) {
  ASSIGN_OR_RETURN(NdIndex index, NdIndex::Make(params.shape(), indices));
  Shape shape = index.outer();
  for (int d = index.depth(); d < params.rank(); ++d) shape.push_back(params.dim(d));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(params.dtype(), shape));
  for (int64_t i = 0; i < index.count(); ++i) {
    std::copy_n(Storage<S>(params) + index[i] * index.slice(), index.slice(),
                MutableStorage<S>(y) + i * index.slice());
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// The gradient of gathering rows by `indices` from a tensor of `shape` (int32): what arrived, added
// up where the rows were taken from.
inline Output AddedRows(const GradientContext& g, const Output& shape, const Output& indices) {
  const Output inner = g.Op("Slice", {shape, g.Int32s({1}), g.Int32s({-1})});
  const Output first = g.Op("Slice", {shape, g.Int32s({0}), g.Int32s({1})});
  const Output count = g.Op("Reshape", {first, g.Int32s({})});
  // Not -1: with empty rows it is not defined.
  const Output size = g.Op("Reshape", {g.Op("Size", {indices}), g.Int32s({1})});
  const Output full = g.Op("ConcatV2", {size, inner, g.Scalar(shape, 0)}, {{"N", 2}});
  const Output rows = g.Op("Reshape", {g.dy(), full});
  return g.Op("UnsortedSegmentSum", {rows, g.Op("Reshape", {indices, g.Int32s({-1})}), count});
}

}  // namespace espalier

#endif  // ESPALIER_OPS_GATHER_H_
