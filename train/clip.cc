// Tested by clip_test.cc.
#include "espalier/train/clip.h"

#include "absl/strings/str_cat.h"
#include "espalier/ops/ops.h"

namespace espalier::train {

Output ClipByNorm(const At& at, const Output& t, double clip_norm) {
  const Scope s = at.Inside().NameScope("clip_by_norm");
  // L2Loss is half the sum of squares.
  const Expression squares = s(L2Loss(At(s), t)) * 2;
  const Output zero = ConstScalar(At(s), t.dtype(), 0);
  const Output positive = Greater(At(s), squares, zero);
  // The root of 0 has no slope: it is taken of 1 there.
  const Output safe = SelectV2(At(s), positive, squares, OnesLike(At(s), squares));
  const Output norm = SelectV2(At(s), positive, Sqrt(At(s), safe), squares);
  const Output longer = Maximum(At(s), norm, ConstScalar(At(s), t.dtype(), clip_norm));
  return s(t) * clip_norm / s(longer);
}

Output GlobalNorm(const At& at, const std::vector<Output>& tensors) {
  const Scope s = at.Inside().NameScope("global_norm");
  std::vector<Output> halves;
  for (const Output& t : tensors) {
    if (t.valid()) halves.push_back(L2Loss(At(s), t));
  }
  if (halves.empty()) {
    s.graph()->RecordError(absl::InvalidArgumentError(
        absl::StrCat("GlobalNorm (made at ", at.line().ToString(), "): there are no tensors")));
    return Output();
  }
  return Sqrt(At(s), s(AddN(At(s), halves)) * 2);
}

ClippedByGlobalNorm ClipByGlobalNorm(const At& at, const std::vector<Output>& tensors,
                                     double clip_norm) {
  const Scope s = at.Inside().NameScope("clip_by_global_norm");
  ClippedByGlobalNorm result;
  result.global_norm = GlobalNorm(At(s, at.line()), tensors);
  if (!result.global_norm.valid()) return result;
  const Expression norm = s(result.global_norm);
  const Output smaller =
      Minimum(At(s), 1 / norm, ConstScalar(At(s), result.global_norm.dtype(), 1 / clip_norm));
  // inf - inf is NaN.
  const Expression scale = s(smaller) * clip_norm + (norm - norm);
  for (const Output& t : tensors) {
    result.tensors.push_back(t.valid() ? Output(s(t) * scale) : Output());
  }
  return result;
}

std::vector<GradientAndVariable> ClipByGlobalNorm(const At& at,
                                                  const std::vector<GradientAndVariable>& pairs,
                                                  double clip_norm) {
  std::vector<Output> gradients;
  for (const GradientAndVariable& pair : pairs) gradients.push_back(pair.gradient);
  const ClippedByGlobalNorm clipped = ClipByGlobalNorm(at, gradients, clip_norm);
  std::vector<GradientAndVariable> result;
  for (size_t i = 0; i < clipped.tensors.size(); ++i)
    result.push_back({clipped.tensors[i], pairs[i].variable});
  return result;
}

}  // namespace espalier::train
