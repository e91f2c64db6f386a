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

// The sum of index[d] * strides[d] for every index of `shape`, in row-major order.
inline std::vector<int64_t> OffsetsOf(const Shape& shape, const std::vector<int64_t>& strides) {
  if (shape.num_elements() == 0) return {};
  std::vector<int64_t> offsets = {0};
  for (int d = 0; d < shape.rank(); ++d) {
    std::vector<int64_t> finer;
    finer.reserve(offsets.size() * shape.dim(d));
    for (const int64_t offset : offsets) {
      for (int64_t i = 0; i < shape.dim(d); ++i) finer.push_back(offset + i * strides[d]);
    }
    offsets = std::move(finer);
  }
  return offsets;
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

// A kernel factory: Kernel<S>(node) for the storage type of input 0.
template <template <typename> class Kernel>
absl::StatusOr<KernelFunction> MakeMover(const Node& node) {
  return DispatchStorage(RemoveRef(node.input(0).dtype()),
                         [&node]<typename S>() -> KernelFunction { return Kernel<S>(node); });
}

// The index in each dimension of linear position i.
inline void IndexOf(int64_t i, const Shape& shape, std::vector<int64_t>& index) {
  for (int d = shape.rank() - 1; d >= 0; --d) {
    index[d] = i % shape.dim(d);
    i /= shape.dim(d);
  }
}

// y[index] = x[source(index)] for every index of y, where source gives a linear position.
template <typename S, typename Source>
void MoveEach(const KernelContext& context, const Tensor& x, Tensor& y, const Source& source) {
  const Shape& shape = y.shape();
  const S* from = Storage<S>(x);
  S* to = MutableStorage<S>(y);
  context.ParallelFor(y.num_elements(), kElementwiseBlock, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> index(shape.rank());
    for (int64_t i = begin; i < end; ++i) {
      IndexOf(i, shape, index);
      to[i] = from[source(index)];
    }
  });
}

}  // namespace espalier

#endif  // ESPALIER_OPS_ARRAY_COPY_H_
