// Gradients cut to a length.
//
//   const train::ClippedByGlobalNorm clipped = train::ClipByGlobalNorm(s, gradients, 5.0);
//   clipped.tensors, clipped.global_norm
#ifndef ESPALIER_TRAIN_CLIP_H_
#define ESPALIER_TRAIN_CLIP_H_

#include <vector>

#include "espalier/graph/scope.h"
#include "espalier/train/optimizer.h"

namespace espalier::train {

// t, or t * clip_norm / |t| when it is longer (Euclidean norm of all elements).
Output ClipByNorm(const At& at, const Output& t, double clip_norm);

// √ Σ |t|² over all tensors; empty Outputs do not count. INVALID_ARGUMENT when nothing is left.
Output GlobalNorm(const At& at, const std::vector<Output>& tensors);

struct ClippedByGlobalNorm {
  std::vector<Output> tensors;  // an empty Output stays one
  Output global_norm;           // before clipping
};
// All tensors times clip_norm / max(global norm, clip_norm): their directions stay. A norm that is
// not finite makes them NaN, so that it is seen (Pascanu et al. 2012).
ClippedByGlobalNorm ClipByGlobalNorm(const At& at, const std::vector<Output>& tensors,
                                     double clip_norm);
// The same for what ComputeGradients returns.
std::vector<GradientAndVariable> ClipByGlobalNorm(const At& at,
                                                  const std::vector<GradientAndVariable>& pairs,
                                                  double clip_norm);

}  // namespace espalier::train

#endif  // ESPALIER_TRAIN_CLIP_H_
