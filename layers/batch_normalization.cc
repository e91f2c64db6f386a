// Tested by batch_normalization_test.cc and by the end-to-end test of the example.
#include "espalier/graph/cond.h"
#include "espalier/layers/layer_scope.h"
#include "espalier/layers/layers.h"
#include "espalier/layers/nn.h"
#include "espalier/ops/ops.h"

namespace espalier::layers {
namespace {

struct Normalized {
  Output y;
  Output mean;
  Output variance;  // unbiased
};

struct Statistics {
  Output gamma, beta, moving_mean, moving_variance;
};

Normalized Normalize(const Scope& s, const Output& x, const Statistics& v, bool training,
                     float epsilon) {
  const Output empty = Const(At(s), Tensor::Of<float>({0}, {}));
  const FusedBatchNormV3Outputs out = FusedBatchNormV3(
      At(s), x, v.gamma, v.beta, training ? empty : v.moving_mean,
      training ? empty : v.moving_variance, {.epsilon = epsilon, .is_training = training});
  return {out.y, out.batch_mean, out.batch_variance};
}

// (n - 1) / n, with n elements for each channel of x [batch, height, width, channels].
Output BiasedFactor(const Scope& s, const Output& x) {
  const Output sizes = espalier::Shape_(At(s), x);
  const Output pixels = Slice(At(s), sizes, ConstInts(At(s), {0}), ConstInts(At(s), {3}));
  const Output count = Cast(At(s), Prod(At(s), pixels, ConstInts(At(s), {0})), kFloat);
  return (s(count) - 1) / s(Maximum(At(s), count, ConstScalar(At(s), kFloat, 1)));
}

}  // namespace

Output BatchNormalization(const At& at, const Output& x, const BatchNormalizationOptions& options) {
  if (!x.valid()) return LayerError(at, "BatchNormalization", "the input is an empty Output");
  const int rank = x.shape().rank();
  if ((rank != 2 && rank != 4) || x.shape().dim(rank - 1) < 0) {
    return LayerError(at, "BatchNormalization",
                      absl::StrCat("the input must have rank 2 or 4 and known channels, received ",
                                   x.shape().ToString()));
  }
  const Scope s = LayerScope(at, "batch_normalization");
  const int64_t channels = x.shape().dim(rank - 1);
  const VariableOptions trained = {.trainable = options.trainable};
  const VariableOptions moved = {.trainable = false};
  const auto variable = [&](const char* name, const Initializer& initializer,
                            const VariableOptions& kind) {
    return GetVariable(At(s), name, {channels}, initializer, {.variable = kind});
  };
  const auto constant = [&](float value) {
    return Const(At(s), Tensor::Filled<float>({channels}, value));
  };
  const Statistics v = {
      options.scale ? variable("gamma", initializers::Ones(), trained) : constant(1),
      options.center ? variable("beta", initializers::Zeros(), trained) : constant(0),
      variable("moving_mean", initializers::Zeros(), moved),
      variable("moving_variance", initializers::Ones(), moved),
  };

  // One kernel for both ranks, hence one rule: a matrix is an image of one pixel.
  const Output image =
      rank == 4 ? x : Reshape(At(s), x, ConstInts(At(s), {-1, 1, 1, static_cast<int>(channels)}));
  Normalized out;
  const bool* known = std::get_if<bool>(&options.training);
  if (known != nullptr) {
    out = Normalize(s, image, v, *known, options.epsilon);
  } else {
    const auto branch = [&](bool training) {
      return [&, training](const Scope& inside) {
        const Normalized n = Normalize(inside, image, v, training, options.epsilon);
        return std::vector<Output>{n.y, n.mean, n.variance};
      };
    };
    const std::vector<Output> merged =
        CondN(At(s), std::get<Output>(options.training), branch(true), branch(false));
    if (merged.size() != 3) return Output();
    out = {merged[0], merged[1], merged[2]};
  }
  const Output y =
      rank == 4 ? out.y : Reshape(At(s), out.y, ConstInts(At(s), {-1, static_cast<int>(channels)}));
  if (known != nullptr && !*known) return y;

  // moving -= (moving - batch) * (1 - momentum); a decay of 0 leaves it as it is when not training.
  const float step = static_cast<float>(1 - options.momentum);
  const auto decay = [&](float value) {
    return [value](const Scope& b) { return Const(At(b), value); };
  };
  const Output rate = known != nullptr
                          ? Const(At(s.Named("decay")), step)
                          : Cond(At(s), std::get<Output>(options.training), decay(step), decay(0));
  const Output variance = options.moving_variance == MovingVariance::kUnbiased
                              ? out.variance
                              : Output(s(out.variance) * s(BiasedFactor(s, image)));
  const auto move = [&](const char* name, const Output& moving, const Output& batch) {
    const Scope inner = s.NameScope(name);
    const Operation update =
        AssignSub(At(inner), moving, (inner(moving) - inner(batch)) * inner(rate));
    s.graph()->AddToCollection(kUpdateOps, update);
  };
  move("AssignMovingAvg", v.moving_mean, out.mean);
  move("AssignMovingAvg", v.moving_variance, variance);
  return y;
}

}  // namespace espalier::layers
