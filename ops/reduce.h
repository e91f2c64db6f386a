// Reductions with a fixed tree: the same bits at any thread count.
//
//   ReduceTensor<SumOf, float>(context, x, axes, keep_dims)
//
// A reducer has an accumulator type, a first value and an associative step. Work is cut by shape
// alone. Long sums run in 16 lanes and in halves, so that the error grows with the logarithm of the
// length.
#ifndef ESPALIER_OPS_REDUCE_H_
#define ESPALIER_OPS_REDUCE_H_

#include <limits>
#include <vector>

#include "espalier/ops/elementwise.h"

namespace espalier {

// What a reduction is over, with neighbouring dimensions that behave alike merged. `groups`
// alternate between kept and reduced, the first being kept (of size 1 when the first dimension is
// reduced).
struct ReductionLayout {
  Shape output;
  std::vector<int64_t> groups;
  int64_t reduced_elements = 1;

  // INVALID_ARGUMENT for axes out of range or given twice.
  static absl::StatusOr<ReductionLayout> Make(const Shape& input, const std::vector<int64_t>& axes,
                                              bool keep_dims);
};

struct SumOf {
  template <typename T>
  static T First() {
    return T(0);
  }
  template <typename T>
  static T Step(T a, T b) {
    return WrapAdd(a, b);
  }
};

struct ProdOf {
  template <typename T>
  static T First() {
    return T(1);
  }
  template <typename T>
  static T Step(T a, T b) {
    return WrapMul(a, b);
  }
};

struct MaxOf {
  template <typename T>
  static T First() {
    if constexpr (std::is_floating_point_v<T>) return -std::numeric_limits<T>::infinity();
    return std::numeric_limits<T>::lowest();
  }
  template <typename T>
  static T Step(T a, T b) {
    return b > a || b != b ? b : a;
  }
};

struct MinOf {
  template <typename T>
  static T First() {
    if constexpr (std::is_floating_point_v<T>) return std::numeric_limits<T>::infinity();
    return std::numeric_limits<T>::max();
  }
  template <typename T>
  static T Step(T a, T b) {
    return b < a || b != b ? b : a;
  }
};

inline constexpr int kReduceLanes = 16;
inline constexpr int64_t kReduceChunk = 2048;

// Over n elements in a row.
template <typename R, typename T>
ComputeType<T> ReduceSpan(const T* x, int64_t n) {
  using C = ComputeType<T>;
  if (n > kReduceChunk) {
    const int64_t half = (n / 2 + kReduceChunk - 1) / kReduceChunk * kReduceChunk;
    return R::Step(ReduceSpan<R>(x, half), ReduceSpan<R>(x + half, n - half));
  }
  C lanes[kReduceLanes];
  for (C& lane : lanes) lane = R::template First<C>();
  int64_t i = 0;
  for (; i + kReduceLanes <= n; i += kReduceLanes) {
    for (int k = 0; k < kReduceLanes; ++k) lanes[k] = R::Step(lanes[k], static_cast<C>(x[i + k]));
  }
  for (int k = 0; i < n; ++i, ++k) lanes[k] = R::Step(lanes[k], static_cast<C>(x[i]));
  for (int width = kReduceLanes / 2; width > 0; width /= 2) {
    for (int k = 0; k < width; ++k) lanes[k] = R::Step(lanes[k], lanes[k + width]);
  }
  return lanes[0];
}

// Rows of `columns` elements added up: out[c] = x[0][c] + x[1][c] + …, for rows [0, rows). Short
// rows are taken several at a time, so that the inner loop has work to do.
template <typename R, typename T>
void ReduceRows(const T* x, int64_t rows, int64_t columns, ComputeType<T>* out) {
  using C = ComputeType<T>;
  const int64_t copies = std::max<int64_t>(1, std::min(rows, 64 / std::max<int64_t>(columns, 1)));
  const int64_t wide = copies * columns;
  std::vector<C> lanes(wide, R::template First<C>());
  int64_t row = 0;
  for (; row + copies <= rows; row += copies) {
    const T* from = x + row * columns;
    C* to = lanes.data();
    for (int64_t i = 0; i < wide; ++i) to[i] = R::Step(to[i], static_cast<C>(from[i]));
  }
  for (int64_t i = 0; i < (rows - row) * columns; ++i) {
    lanes[i] = R::Step(lanes[i], static_cast<C>(x[row * columns + i]));
  }
  for (int64_t c = 0; c < columns; ++c) {
    C total = lanes[c];
    for (int64_t k = 1; k < copies; ++k) total = R::Step(total, lanes[k * columns + c]);
    out[c] = total;
  }
}

// The same over blocks of rows in parallel, and the blocks' results added up in order.
template <typename R, typename T>
void ReduceRowsParallel(const KernelContext& context, const T* x, int64_t rows, int64_t columns,
                        ComputeType<T>* out) {
  using C = ComputeType<T>;
  const int64_t block = std::max<int64_t>(1, 32768 / std::max<int64_t>(columns, 1));
  const int64_t blocks = (rows + block - 1) / block;
  if (blocks <= 1) return ReduceRows<R>(x, rows, columns, out);
  std::vector<C> partial(blocks * columns);
  context.ParallelFor(rows, block, [&](int64_t begin, int64_t end) {
    ReduceRows<R>(x + begin * columns, end - begin, columns,
                  partial.data() + begin / block * columns);
  });
  ReduceRows<R, C>(partial.data(), blocks, columns, out);
}

// One kept element of a reduction over any groups: the general, slow way.
template <typename R, typename T>
ComputeType<T> ReduceStrided(const T* x, absl::Span<const int64_t> sizes,
                             absl::Span<const int64_t> strides) {
  using C = ComputeType<T>;
  if (sizes.empty()) return static_cast<C>(*x);
  C total = R::template First<C>();
  if (sizes.size() == 1) {
    for (int64_t i = 0; i < sizes[0]; ++i)
      total = R::Step(total, static_cast<C>(x[i * strides[0]]));
    return total;
  }
  for (int64_t i = 0; i < sizes[0]; ++i) {
    total =
        R::Step(total, ReduceStrided<R>(x + i * strides[0], sizes.subspan(1), strides.subspan(1)));
  }
  return total;
}

template <typename R, typename T>
void ReduceGeneral(const KernelContext& context, const T* x, const std::vector<int64_t>& groups,
                   ComputeType<T>* out) {
  std::vector<int64_t> kept_sizes, kept_strides, sizes, strides;
  int64_t stride = 1;
  for (int i = static_cast<int>(groups.size()) - 1; i >= 0; --i) {
    (i % 2 == 0 ? kept_sizes : sizes).insert((i % 2 == 0 ? kept_sizes : sizes).begin(), groups[i]);
    (i % 2 == 0 ? kept_strides : strides)
        .insert((i % 2 == 0 ? kept_strides : strides).begin(), stride);
    stride *= groups[i];
  }
  int64_t outputs = 1;
  for (int64_t size : kept_sizes) outputs *= size;
  context.ParallelFor(
      outputs, std::max<int64_t>(1, kElementwiseBlock * outputs / std::max<int64_t>(stride, 1)),
      [&](int64_t begin, int64_t end) {
        for (int64_t o = begin; o < end; ++o) {
          int64_t rest = o;
          int64_t offset = 0;
          for (int d = static_cast<int>(kept_sizes.size()) - 1; d >= 0; --d) {
            offset += rest % kept_sizes[d] * kept_strides[d];
            rest /= kept_sizes[d];
          }
          out[o] = ReduceStrided<R>(x + offset, absl::MakeConstSpan(sizes),
                                    absl::MakeConstSpan(strides));
        }
      });
}

// out must have the layout's output size.
template <typename R, typename T>
void ReduceInto(const KernelContext& context, const T* x, const ReductionLayout& layout,
                ComputeType<T>* out) {
  using C = ComputeType<T>;
  const std::vector<int64_t>& g = layout.groups;
  const int64_t outputs = layout.output.num_elements();
  if (layout.reduced_elements == 0 || outputs == 0) {
    std::fill(out, out + outputs, R::template First<C>());
  } else if (g.size() == 1) {
    for (int64_t i = 0; i < g[0]; ++i) out[i] = static_cast<C>(x[i]);
  } else if (g.size() == 2 && g[0] == 1) {
    const int64_t blocks = (g[1] + kElementwiseBlock - 1) / kElementwiseBlock;
    std::vector<C> partial(blocks);
    context.ParallelFor(g[1], kElementwiseBlock, [&](int64_t begin, int64_t end) {
      partial[begin / kElementwiseBlock] = ReduceSpan<R>(x + begin, end - begin);
    });
    out[0] = ReduceSpan<R>(partial.data(), blocks);
  } else if (g.size() == 2) {
    context.ParallelFor(g[0], std::max<int64_t>(1, kElementwiseBlock / g[1]),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t i = begin; i < end; ++i)
                            out[i] = ReduceSpan<R>(x + i * g[1], g[1]);
                        });
  } else if (g.size() == 3 && g[0] == 1) {
    ReduceRowsParallel<R>(context, x, g[1], g[2], out);
  } else if (g.size() == 3) {
    context.ParallelFor(g[0], std::max<int64_t>(1, kElementwiseBlock / (g[1] * g[2])),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t i = begin; i < end; ++i)
                            ReduceRows<R>(x + i * g[1] * g[2], g[1], g[2], out + i * g[2]);
                        });
  } else {
    ReduceGeneral<R>(context, x, g, out);
  }
}

}  // namespace espalier

#endif  // ESPALIER_OPS_REDUCE_H_
