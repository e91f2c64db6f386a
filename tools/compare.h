// Whether a tensor is what it should be.
//
//   RETURN_IF_ERROR(CompareTensors(got, want, {.rtol = 1e-4, .atol = 1e-5}));
//
// Equal dtype and shape; integers, bools and strings equal; floats with |got - want| <= atol +
// rtol * |want|, NaN equal to NaN, infinities equal. Else ABORTED with the first element that
// differs, how many do, and the largest difference.
#ifndef ESPALIER_TOOLS_COMPARE_H_
#define ESPALIER_TOOLS_COMPARE_H_

#include "absl/status/status.h"
#include "espalier/graph/tensor.h"

namespace espalier {

struct Tolerance {
  double rtol = 1e-4;
  double atol = 1e-5;
};

absl::Status CompareTensors(const Tensor& got, const Tensor& want, const Tolerance& tolerance);

}  // namespace espalier

#endif  // ESPALIER_TOOLS_COMPARE_H_
