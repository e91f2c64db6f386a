// Adding to a variable in place, for ref and resource variables alike.
//
//   RETURN_IF_ERROR((AddToVariable<float, -1>(context, *context.variable(0), context.input(1))));
#ifndef ESPALIER_OPS_VARIABLE_UPDATE_H_
#define ESPALIER_OPS_VARIABLE_UPDATE_H_

#include "absl/strings/str_cat.h"
#include "espalier/ops/elementwise.h"

namespace espalier {

// The variable plus kSign (1 or -1) times delta. INVALID_ARGUMENT when their shapes differ.
template <typename T, int kSign>
absl::Status AddToVariable(const KernelContext& context, VariableSlot& slot, const Tensor& delta) {
  VariableWriter writer({&slot});
  RETURN_IF_ERROR(writer.Check());
  if (!(writer.value(0).shape() == delta.shape())) {
    return absl::InvalidArgumentError(
        absl::StrCat("the variable has shape ", writer.value(0).shape().ToString(),
                     ", received an update of shape ", delta.shape().ToString()));
  }
  ASSIGN_OR_RETURN(Tensor * value, writer.Mutable(0, context.allocator()));
  T* out = value->mutable_data<T>();
  const T* in = delta.data<T>();
  context.ParallelFor(delta.num_elements(), kElementwiseBlock, [&](int64_t begin, int64_t end) {
    using C = ComputeType<T>;
    for (int64_t i = begin; i < end; ++i) {
      const C a = static_cast<C>(out[i]), b = static_cast<C>(in[i]);
      out[i] = static_cast<T>(kSign > 0 ? WrapAdd(a, b) : WrapSub(a, b));
    }
  });
  return absl::OkStatus();
}

}  // namespace espalier

#endif  // ESPALIER_OPS_VARIABLE_UPDATE_H_
