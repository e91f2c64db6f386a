// Tested by examples/mnist/notebook_test.cc.
#include "espalier/layers/nn.h"

#include "espalier/ops/ops.h"

namespace espalier {
namespace {

// The axes as a tensor; all of them when none are named.
Output AxesTensor(const Scope& s, const Output& x, const std::vector<int>& axes) {
  if (!axes.empty()) return ConstInts(At(s.Named("axes")), axes);
  const int rank = x.shape().rank();
  if (rank >= 0) {
    std::vector<int> all;
    for (int i = 0; i < rank; ++i) all.push_back(i);
    return ConstInts(At(s.Named("axes")), all);
  }
  return Range(At(s), ConstScalar(At(s), kInt32, 0), Rank(At(s), x), ConstScalar(At(s), kInt32, 1));
}

Output Reduce(const At& at, const char* op, const Output& x, const ReduceOptions& options) {
  if (!x.valid()) return AddOpOutput(at, op, {x});
  const Output axes = AxesTensor(at.Inside().NameScope(op), x, options.axes);
  return AddOpOutput(at, op, {x, axes}, {{"keep_dims", options.keep_dims}});
}

}  // namespace

Output ConstInts(const At& at, const std::vector<int>& values) {
  return Const(at, Tensor::FromVector<int32_t>({static_cast<int64_t>(values.size())},
                                               std::vector<int32_t>(values.begin(), values.end())));
}

Output ReduceSum(const At& at, const Output& x, const ReduceOptions& options) {
  return Reduce(at, "Sum", x, options);
}
Output ReduceMean(const At& at, const Output& x, const ReduceOptions& options) {
  return Reduce(at, "Mean", x, options);
}
Output ReduceMax(const At& at, const Output& x, const ReduceOptions& options) {
  return Reduce(at, "Max", x, options);
}

MomentsResult Moments(const At& at, const Output& x, const std::vector<int>& axes, bool keep_dims) {
  const Scope s =
      at.Inside().NameScope(at.scope().next_name().empty() ? "moments" : at.scope().next_name());
  const Output mean = ReduceMean(At(s.Named("mean")), x, {.axes = axes, .keep_dims = true});
  // The gradient by the mean is zero in theory: Σ (x - mean) = 0. Stopping it saves its nodes.
  const Output fixed_mean = StopGradient(At(s), mean);
  const Output squares = SquaredDifference(At(s), x, fixed_mean);
  const Output variance =
      ReduceMean(At(s.Named("variance")), squares, {.axes = axes, .keep_dims = true});
  if (keep_dims) return {mean, variance};
  const std::vector<int64_t> drop(axes.begin(), axes.end());
  return {Squeeze(At(s), mean, {.squeeze_dims = drop}),
          Squeeze(At(s), variance, {.squeeze_dims = drop})};
}

Output BatchNormalization(const At& at, const Output& x, const Output& mean, const Output& variance,
                          const Output& beta, const Output& gamma, float epsilon) {
  const Scope s =
      at.Inside().NameScope(at.scope().next_name().empty() ? "batchnorm" : at.scope().next_name());
  const Output scale = s(Rsqrt(At(s), s(variance) + epsilon)) * s(gamma);
  const Output offset = s(beta) - s(mean) * s(scale);
  return s(x) * s(scale) + s(offset);
}

Output SigmoidCrossEntropyWithLogits(const At& at, const Output& labels, const Output& logits) {
  const Scope s = at.Inside().NameScope("logistic_loss");
  const Output zeros = ZerosLike(At(s), logits);
  const Output positive = GreaterEqual(At(s), logits, zeros);
  const Output relu = SelectV2(At(s), positive, logits, zeros);
  const Output negative_magnitude = SelectV2(At(s), positive, -s(logits), logits);
  return (s(relu) - s(logits) * s(labels)) + s(Log1p(At(s), Exp(At(s), negative_magnitude)));
}

Output SoftmaxCrossEntropy(const At& at, const Output& labels, const Output& logits) {
  return SoftmaxCrossEntropyWithLogits(at, logits, labels).loss;
}

}  // namespace espalier
