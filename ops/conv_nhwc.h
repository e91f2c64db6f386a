// Convolution of floats in NHWC without dilation or groups: the fast way. See conv_nhwc.cc for the
// method.
#ifndef ESPALIER_OPS_CONV_NHWC_H_
#define ESPALIER_OPS_CONV_NHWC_H_

#include "espalier/ops/conv_geometry.h"
#include "espalier/runtime/kernel.h"

namespace espalier {

// True when the functions below apply.
bool FitsFastConv(const ConvGeometry& g);

absl::Status FastConvForward(const KernelContext& context, const ConvGeometry& g, const float* x,
                             const float* filter, float* y);
absl::Status FastConvBackwardInput(const KernelContext& context, const ConvGeometry& g,
                                   const float* dy, const float* filter, float* dx);
absl::Status FastConvBackwardFilter(const KernelContext& context, const ConvGeometry& g,
                                    const float* x, const float* dy, float* dfilter);

}  // namespace espalier

#endif  // ESPALIER_OPS_CONV_NHWC_H_
