// How a scattered update meets the value that is there, and rows of variables, for ref and resource
// variables alike.
//
//   RETURN_IF_ERROR((ScatterRows<float, ScatterAddTo>(context, *slot, indices, updates)));
#ifndef ESPALIER_OPS_SCATTER_H_
#define ESPALIER_OPS_SCATTER_H_

#include "absl/strings/str_cat.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/indexing.h"

namespace espalier {

struct ScatterSet {
  template <typename T>
  T operator()(T, T update) const {
    return update;
  }
};
struct ScatterAddTo {
  template <typename T>
  T operator()(T value, T update) const {
    return WrapAdd(value, update);
  }
};
struct ScatterSubtract {
  template <typename T>
  T operator()(T value, T update) const {
    return WrapSub(value, update);
  }
};
struct ScatterMultiply {
  template <typename T>
  T operator()(T value, T update) const {
    return WrapMul(value, update);
  }
};
// 0 for an integer divided by 0, which has no value.
struct ScatterDivide {
  template <typename T>
  T operator()(T value, T update) const {
    if constexpr (std::is_integral_v<T>) {
      if (update == 0) return 0;
      if constexpr (std::is_signed_v<T>) {
        if (update == -1) return WrapSub(T(0), value);
      }
    }
    return static_cast<T>(value / update);
  }
};
struct ScatterLarger {
  template <typename T>
  T operator()(T value, T update) const {
    return update > value ? update : value;
  }
};
struct ScatterSmaller {
  template <typename T>
  T operator()(T value, T update) const {
    return update < value ? update : value;
  }
};

// Bools and strings can be set but not added.
using SettableTypes = TypeList<float, double, Eigen::half, int32_t, int64_t, uint8_t, int8_t,
                               int16_t, bool, std::string>;
template <typename Step>
using ScatterTypes =
    std::conditional_t<std::is_same_v<Step, ScatterSet>, SettableTypes, ArithmeticTypes>;
template <typename Step>
std::vector<DType> ScatterDTypes() {
  std::vector<DType> dtypes = kArithmeticDTypes;
  if (std::is_same_v<Step, ScatterSet>) dtypes.insert(dtypes.end(), {kBool, kString});
  return dtypes;
}

// Row indices[i] of the variable becomes Step(row, updates[i]); updates may be one scalar for all.
// INVALID_ARGUMENT for an index out of range or updates of another shape; the variable is then
// unchanged.
template <typename T, typename Step>
absl::Status ScatterRows(const KernelContext& context, VariableSlot& slot, const Tensor& indices,
                         const Tensor& updates) {
  VariableWriter writer({&slot});
  RETURN_IF_ERROR(writer.Check());
  const Shape& shape = writer.value(0).shape();
  if (shape.rank() < 1) return absl::InvalidArgumentError("the variable must be at least a vector");
  const Indices index(indices);
  RETURN_IF_ERROR(index.Check(shape.dim(0), "indices"));
  Shape expected = indices.shape();
  int64_t width = 1;
  for (int d = 1; d < shape.rank(); ++d) {
    expected.push_back(shape.dim(d));
    width *= shape.dim(d);
  }
  const bool scalar = updates.rank() == 0;
  if (!scalar && !(updates.shape() == expected)) {
    return absl::InvalidArgumentError(absl::StrCat("updates must have shape ", expected.ToString(),
                                                   ", received ", updates.shape().ToString()));
  }
  ASSIGN_OR_RETURN(Tensor * value, writer.Mutable(0, context.allocator()));
  T* to = value->mutable_data<T>();
  const T* from = updates.data<T>();
  for (int64_t i = 0; i < index.size(); ++i) {
    for (int64_t k = 0; k < width; ++k) {
      T& element = to[index[i] * width + k];
      element = Step()(element, scalar ? *from : from[i * width + k]);
    }
  }
  return absl::OkStatus();
}

// updates.shape must be the outer dimensions of the indices and then those of a slice.
inline absl::Status CheckUpdates(const Shape& shape, const NdIndex& index, const Shape& updates) {
  Shape expected = index.outer();
  for (int d = index.depth(); d < shape.rank(); ++d) expected.push_back(shape.dim(d));
  if (expected == updates) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("updates must have shape ", expected.ToString(),
                                                 ", received ", updates.ToString()));
}

// Slice index[i] of `out` becomes Step(slice, updates[i]).
template <typename T, typename Step>
void ScatterSlices(const NdIndex& index, const T* updates, T* out) {
  for (int64_t i = 0; i < index.count(); ++i) {
    T* to = out + index[i] * index.slice();
    const T* from = updates + i * index.slice();
    for (int64_t k = 0; k < index.slice(); ++k) to[k] = Step()(to[k], from[k]);
  }
}

// ScatterSlices on a variable. INVALID_ARGUMENT for an index out of range or updates of another
// shape; the variable is then unchanged.
template <typename T, typename Step>
absl::Status ScatterNdRows(const KernelContext& context, VariableSlot& slot, const Tensor& indices,
                           const Tensor& updates) {
  VariableWriter writer({&slot});
  RETURN_IF_ERROR(writer.Check());
  const Shape& shape = writer.value(0).shape();
  ASSIGN_OR_RETURN(NdIndex index, NdIndex::Make(shape, indices));
  RETURN_IF_ERROR(CheckUpdates(shape, index, updates.shape()));
  ASSIGN_OR_RETURN(Tensor * value, writer.Mutable(0, context.allocator()));
  ScatterSlices<T, Step>(index, updates.data<T>(), value->mutable_data<T>());
  return absl::OkStatus();
}

}  // namespace espalier

#endif  // ESPALIER_OPS_SCATTER_H_
