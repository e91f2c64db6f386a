// Helpers for ops that move elements without computing on them.
//
//   return DispatchStorage(dtype, []<typename S>() -> KernelFunction { return Transpose<S>; });
//
// S stands for every type of its size, so six instantiations serve all dtypes; data is reached with
// Storage<S>(tensor).
#ifndef ESPALIER_OPS_ARRAY_COPY_H_
#define ESPALIER_OPS_ARRAY_COPY_H_

#include <vector>

#include "espalier/runtime/kernel.h"

namespace espalier {

template <typename F>
KernelFunction DispatchStorage(DType dtype, F&& f) {
  switch (dtype == kString || dtype == kResource ? 0 : DTypeSize(dtype)) {
    case 1:
      return f.template operator()<uint8_t>();
    case 2:
      return f.template operator()<uint16_t>();
    case 4:
      return f.template operator()<uint32_t>();
    case 8:
      return f.template operator()<uint64_t>();
    default:
      break;
  }
  if (dtype == kString) return f.template operator()<std::string>();
  if (dtype == kResource) return f.template operator()<ResourceHandle>();
  return nullptr;
}

template <typename S>
const S* Storage(const Tensor& tensor) {
  return static_cast<const S*>(tensor.raw());
}
template <typename S>
S* MutableStorage(Tensor& tensor) {
  return static_cast<S*>(tensor.mutable_raw());
}

// Row-major strides.
inline std::vector<int64_t> StridesOf(const Shape& shape) {
  std::vector<int64_t> strides(shape.rank());
  int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= shape.dim(i);
  }
  return strides;
}

// Visits every index of `shape` in row-major order: body(linear index, sum of index[d] *
// strides[d]).
template <typename Body>
void ForEachStrided(const KernelContext& context, const Shape& shape,
                    const std::vector<int64_t>& strides, Body&& body) {
  const int64_t total = shape.num_elements();
  const int rank = shape.rank();
  context.ParallelFor(total, kElementwiseBlock, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> index(rank);
    int64_t rest = begin;
    int64_t at = 0;
    for (int d = rank - 1; d >= 0; --d) {
      index[d] = rest % shape.dim(d);
      rest /= shape.dim(d);
      at += index[d] * strides[d];
    }
    for (int64_t i = begin; i < end; ++i) {
      body(i, at);
      for (int d = rank - 1; d >= 0; --d) {
        at += strides[d];
        if (++index[d] < shape.dim(d)) break;
        at -= shape.dim(d) * strides[d];
        index[d] = 0;
      }
    }
  });
}

}  // namespace espalier

#endif  // ESPALIER_OPS_ARRAY_COPY_H_
