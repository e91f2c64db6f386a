// Kernels for elementwise ops out of a functor.
//
//   struct Square { template <typename T> T operator()(T x) const { return x * x; } };
//   registry.Add("Square")....Kernel(UnaryKernel<Square>(RealTypes()));
//
// A functor sees float, double or a built-in integer; half types are computed in float. Loops are
// cut into blocks by the size alone, and write over an input's buffer when nobody else holds it.
#ifndef ESPALIER_OPS_ELEMENTWISE_H_
#define ESPALIER_OPS_ELEMENTWISE_H_

#include <cmath>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "espalier/graph/dtype.h"
#include "espalier/runtime/kernel.h"

namespace espalier {

using RealTypes = TypeList<float, double, Eigen::half>;
using ArithmeticTypes =
    TypeList<float, double, Eigen::half, int32_t, int64_t, uint8_t, int8_t, int16_t>;
using ComparableTypes =
    TypeList<float, double, Eigen::half, int32_t, int64_t, uint8_t, int8_t, int16_t, bool>;

inline const std::vector<DType> kRealDTypes = {kFloat, kDouble, kHalf};
inline const std::vector<DType> kArithmeticDTypes = {kFloat, kDouble, kHalf, kInt32,
                                                     kInt64, kUInt8,  kInt8, kInt16};
inline const std::vector<DType> kComparableDTypes = {kFloat, kDouble, kHalf,  kInt32, kInt64,
                                                     kUInt8, kInt8,   kInt16, kBool};

template <typename T>
using ComputeType =
    std::conditional_t<std::is_same_v<T, Eigen::half> || std::is_same_v<T, Eigen::bfloat16>, float,
                       T>;

template <typename Functor>
KernelFunction UnaryFor(const auto types, DType dtype) {
  return DispatchType(types, dtype, []<typename T>() -> KernelFunction {
    using R = std::decay_t<decltype(Functor()(ComputeType<T>()))>;
    using Result = std::conditional_t<std::is_same_v<R, bool>, bool, T>;
    return [](KernelContext& context) -> absl::Status {
      const Tensor& x = context.input(0);
      ASSIGN_OR_RETURN(Tensor y, context.ForwardOrAllocate(0, x.shape(), DTypeOf<Result>));
      const T* in = x.data<T>();
      Result* out = y.mutable_data<Result>();
      context.ParallelFor(x.num_elements(), kElementwiseBlock, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          out[i] = static_cast<Result>(Functor()(static_cast<ComputeType<T>>(in[i])));
        }
      });
      context.set_output(0, std::move(y));
      return absl::OkStatus();
    };
  });
}

// y = f(x) for attr T in `Types`.
template <typename Functor, typename Types>
KernelFactory UnaryKernel(Types types) {
  return [types](const Node& node) -> absl::StatusOr<KernelFunction> {
    return UnaryFor<Functor>(types, RemoveRef(node.input(0).dtype()));
  };
}

// How two shapes broadcast: dimensions that behave alike are merged. Strides are 0 (broadcast) or
// those of the tensor.
struct BroadcastLoop {
  struct Dim {
    int64_t size;
    int64_t stride_a;
    int64_t stride_b;
  };
  Shape output;
  std::vector<Dim> dims;  // outermost first; the last has strides of 0 or 1

  static absl::StatusOr<BroadcastLoop> Make(const Shape& a, const Shape& b);
};

// Rows shorter than this are widened by repeating the shorter operand, so that the inner loop has
// work to do.
inline constexpr int64_t kWideRow = 512;

template <typename T, typename R, typename Functor>
void BinaryRun(const T* a, const T* b, R* out, int64_t n, int64_t stride_a, int64_t stride_b) {
  const auto f = [](T x, T y) {
    return static_cast<R>(
        Functor()(static_cast<ComputeType<T>>(x), static_cast<ComputeType<T>>(y)));
  };
  if (stride_a == 0 && stride_b == 0) {
    const R value = f(*a, *b);
    for (int64_t i = 0; i < n; ++i) out[i] = value;
  } else if (stride_b == 0) {
    const T y = *b;
    for (int64_t i = 0; i < n; ++i) out[i] = f(a[i], y);
  } else if (stride_a == 0) {
    const T x = *a;
    for (int64_t i = 0; i < n; ++i) out[i] = f(x, b[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) out[i] = f(a[i], b[i]);
  }
}

// [rows, n] with a full operand and one row that repeats: the row is laid out several times
// beforehand.
template <typename T, typename R, typename Functor>
void RepeatedRow(const KernelContext& context, const T* full, const T* row, bool row_is_a, R* out,
                 int64_t rows, int64_t n) {
  const int64_t copies = std::min(rows, (kWideRow + n - 1) / n);
  const std::unique_ptr<T[]> wide(new T[copies * n]);
  for (int64_t i = 0; i < copies * n; ++i) wide[i] = row[i % n];
  const int64_t groups = (rows + copies - 1) / copies;
  context.ParallelFor(groups, std::max<int64_t>(1, kElementwiseBlock / (copies * n)),
                      [&](int64_t begin, int64_t end) {
                        for (int64_t g = begin; g < end; ++g) {
                          const int64_t start = g * copies * n;
                          const int64_t length = std::min(copies * n, rows * n - start);
                          const T* a = row_is_a ? wide.get() : full + start;
                          const T* b = row_is_a ? full + start : wide.get();
                          BinaryRun<T, R, Functor>(a, b, out + start, length, 1, 1);
                        }
                      });
}

template <typename T, typename R, typename Functor>
void BroadcastRun(const KernelContext& context, const BroadcastLoop& loop, const T* a, const T* b,
                  R* out) {
  const int64_t total = loop.output.num_elements();
  if (total == 0) return;
  const BroadcastLoop::Dim& inner = loop.dims.back();
  const int64_t rows = total / inner.size;
  if (loop.dims.size() == 1) {
    context.ParallelFor(total, kElementwiseBlock, [&](int64_t begin, int64_t end) {
      BinaryRun<T, R, Functor>(a + begin * inner.stride_a, b + begin * inner.stride_b, out + begin,
                               end - begin, inner.stride_a, inner.stride_b);
    });
    return;
  }
  if (loop.dims.size() == 2 && inner.stride_a == 1 && inner.stride_b == 1 &&
      inner.size < kWideRow) {
    const BroadcastLoop::Dim& outer = loop.dims[0];
    if (outer.stride_b == 0)
      return RepeatedRow<T, R, Functor>(context, a, b, false, out, rows, inner.size);
    if (outer.stride_a == 0)
      return RepeatedRow<T, R, Functor>(context, b, a, true, out, rows, inner.size);
  }
  context.ParallelFor(
      rows, std::max<int64_t>(1, kElementwiseBlock / inner.size), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          int64_t rest = row;
          int64_t offset_a = 0;
          int64_t offset_b = 0;
          for (int d = static_cast<int>(loop.dims.size()) - 2; d >= 0; --d) {
            const int64_t index = rest % loop.dims[d].size;
            rest /= loop.dims[d].size;
            offset_a += index * loop.dims[d].stride_a;
            offset_b += index * loop.dims[d].stride_b;
          }
          BinaryRun<T, R, Functor>(a + offset_a, b + offset_b, out + row * inner.size, inner.size,
                                   inner.stride_a, inner.stride_b);
        }
      });
}

template <typename T, typename Functor>
absl::Status BroadcastBinary(KernelContext& context) {
  using C = ComputeType<T>;
  using Raw = std::decay_t<decltype(Functor()(C(), C()))>;
  using R = std::conditional_t<std::is_same_v<Raw, bool>, bool, T>;
  const Tensor& a = context.input(0);
  const Tensor& b = context.input(1);
  ASSIGN_OR_RETURN(BroadcastLoop loop, BroadcastLoop::Make(a.shape(), b.shape()));
  // Only an operand that has the output's own shape lends its buffer: a repeated one is read again
  // later.
  std::optional<Tensor> out = context.TryForward(0, loop.output, DTypeOf<R>);
  if (!out) out = context.TryForward(1, loop.output, DTypeOf<R>);
  if (!out) {
    ASSIGN_OR_RETURN(out, context.Allocate(DTypeOf<R>, loop.output));
  }
  BroadcastRun<T, R, Functor>(context, loop, a.data<T>(), b.data<T>(),
                              out->template mutable_data<R>());
  context.set_output(0, *std::move(out));
  return absl::OkStatus();
}

// z = f(x, y) with broadcasting.
template <typename Functor, typename Types>
KernelFactory BinaryKernel(Types types) {
  return [types](const Node& node) -> absl::StatusOr<KernelFunction> {
    return DispatchType(types, RemoveRef(node.input(0).dtype()),
                        []<typename T>() -> KernelFunction { return BroadcastBinary<T, Functor>; });
  };
}

// Integers wrap around instead of overflowing.
template <typename T>
T WrapAdd(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) +
                          static_cast<std::make_unsigned_t<T>>(b));
  } else {
    return a + b;
  }
}
template <typename T>
T WrapSub(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) -
                          static_cast<std::make_unsigned_t<T>>(b));
  } else {
    return a - b;
  }
}
template <typename T>
T WrapMul(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  } else {
    return a * b;
  }
}

}  // namespace espalier

#endif  // ESPALIER_OPS_ELEMENTWISE_H_
