// What a strided slice covers, by Python's rules and TensorFlow's masks.
//
//   ASSIGN_OR_RETURN(StridedSlicePlan plan, PlanFromInputs(context, x.shape(), 1, masks));
//   plan.output     // the shape of the slice
#ifndef ESPALIER_OPS_STRIDED_SLICE_H_
#define ESPALIER_OPS_STRIDED_SLICE_H_

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "espalier/ops/array_copy.h"

namespace espalier {

struct SliceMasks {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t ellipsis = 0;
  int64_t new_axis = 0;
  int64_t shrink = 0;
};

inline SliceMasks SliceMasksOf(const Node& node) {
  return {node.attr<int64_t>("begin_mask"), node.attr<int64_t>("end_mask"),
          node.attr<int64_t>("ellipsis_mask"), node.attr<int64_t>("new_axis_mask"),
          node.attr<int64_t>("shrink_axis_mask")};
}

inline bool HasBit(int64_t mask, size_t i) { return i < 63 && ((mask >> i) & 1) != 0; }

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

inline absl::StatusOr<DimSlice> SliceDim(int64_t dim, int64_t begin, int64_t end, int64_t stride,
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

inline absl::StatusOr<StridedSlicePlan> MakeStridedSlicePlan(const Shape& input,
                                                             const std::vector<int64_t>& begin,
                                                             const std::vector<int64_t>& end,
                                                             const std::vector<int64_t>& strides,
                                                             const SliceMasks& masks) {
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
    if (HasBit(masks.ellipsis, i)) {
      ++ellipses;
    } else if (!HasBit(masks.new_axis, i)) {
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
    if (HasBit(masks.ellipsis, i)) {
      whole(input.rank() - used);
      continue;
    }
    if (HasBit(masks.new_axis, i)) {
      plan.output.push_back(1);
      continue;
    }
    const bool shrink = HasBit(masks.shrink, i);
    ASSIGN_OR_RETURN(DimSlice slice,
                     SliceDim(input.dim(dim), begin[i], end[i], strides[i], HasBit(masks.begin, i),
                              HasBit(masks.end, i), shrink, i));
    plan.begin.push_back(slice.begin);
    plan.stride.push_back(slice.stride);
    plan.processed.push_back(slice.size);
    if (!shrink) plan.output.push_back(slice.size);
    ++dim;
  }
  whole(input.rank() - dim);
  return plan;
}

inline absl::StatusOr<StridedSlicePlan> PlanFromInputs(const KernelContext& context,
                                                       const Shape& input, int first,
                                                       const SliceMasks& masks) {
  ASSIGN_OR_RETURN(std::vector<int64_t> begin, IntegerVector(context.input(first), "begin"));
  ASSIGN_OR_RETURN(std::vector<int64_t> end, IntegerVector(context.input(first + 1), "end"));
  ASSIGN_OR_RETURN(std::vector<int64_t> strides,
                   IntegerVector(context.input(first + 2), "strides"));
  return MakeStridedSlicePlan(input, begin, end, strides, masks);
}

// Offset of the first element, and the step in each dimension, in elements of the sliced tensor.
inline std::pair<int64_t, std::vector<int64_t>> WalkSlice(const Shape& sliced,
                                                          const StridedSlicePlan& plan) {
  std::vector<int64_t> strides = StridesOf(sliced);
  int64_t start = 0;
  for (int i = 0; i < sliced.rank(); ++i) {
    start += plan.begin[i] * strides[i];
    // A dimension of one element takes no step, however far its stride would go.
    strides[i] = plan.processed.dim(i) <= 1 ? 0 : strides[i] * plan.stride[i];
  }
  return {start, strides};
}

// Writes `value`, which has the slice's shape, into the slice of `out`, a tensor of `shape`.
template <typename S>
void WriteSlice(const KernelContext& context, const Shape& shape, const StridedSlicePlan& plan,
                const Tensor& value, S* out) {
  if (value.num_elements() == 0) return;
  const auto [start, strides] = WalkSlice(shape, plan);
  const int64_t first = start;
  const S* in = Storage<S>(value);
  ForEachStrided(context, plan.processed, strides,
                 [&](int64_t i, int64_t at) { out[first + at] = in[i]; });
}

}  // namespace espalier

#endif  // ESPALIER_OPS_STRIDED_SLICE_H_
