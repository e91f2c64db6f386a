#include "espalier/ops/kernels/conv_kernels.h"

namespace espalier::kernels {

namespace base {
extern const ConvKernels kConvKernels;
}
#if defined(__x86_64__)
namespace avx512 {
extern const ConvKernels kConvKernels;
}
#endif

const ConvKernels& BestConvKernels() {
#if defined(__x86_64__)
  static const bool wide = __builtin_cpu_supports("avx512f") &&
                           __builtin_cpu_supports("avx512dq") &&
                           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  if (wide) return avx512::kConvKernels;
#endif
  return base::kConvKernels;
}

}  // namespace espalier::kernels
