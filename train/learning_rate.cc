// Tested by learning_rate_test.cc.
#include "espalier/train/learning_rate.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "espalier/ops/ops.h"

namespace espalier::train {
namespace {

Expression Float(const Scope& s, const Output& x) { return s(Cast(At(s), x, kFloat)); }

// The number of decays so far.
Expression Decays(const Scope& s, const Output& global_step, const DecayOptions& options) {
  const Expression decays = Float(s, global_step) / options.steps;
  return options.staircase ? s(Floor(At(s), decays)) : decays;
}

}  // namespace

Output LearningRate::As(const Scope& s, DType type) const {
  if (const double* number = std::get_if<double>(&rate_))
    return ConstScalar(At(s), RemoveRef(type), *number);
  const Output& tensor = std::get<Output>(rate_);
  if (!tensor.valid() || RemoveRef(tensor.dtype()) == RemoveRef(type)) return tensor;
  return Cast(At(s), tensor, RemoveRef(type));
}

Output ExponentialDecay(const At& at, const LearningRate& learning_rate, const Output& global_step,
                        const DecayOptions& options) {
  const Scope s = at.Inside().NameScope("ExponentialDecay");
  const Output factor =
      Pow(At(s), ConstScalar(At(s), kFloat, options.rate), Decays(s, global_step, options));
  return s(learning_rate.As(s, kFloat)) * s(factor);
}

Output NaturalExponentialDecay(const At& at, const LearningRate& learning_rate,
                               const Output& global_step, const DecayOptions& options) {
  const Scope s = at.Inside().NameScope("NaturalExpDecay");
  const Output factor = Exp(At(s), Decays(s, global_step, options) * -options.rate);
  return s(learning_rate.As(s, kFloat)) * s(factor);
}

Output InverseTimeDecay(const At& at, const LearningRate& learning_rate, const Output& global_step,
                        const DecayOptions& options) {
  const Scope s = at.Inside().NameScope("InverseTimeDecay");
  return s(learning_rate.As(s, kFloat)) / (Decays(s, global_step, options) * options.rate + 1);
}

Output PolynomialDecay(const At& at, const LearningRate& learning_rate, const Output& global_step,
                       const PolynomialDecayOptions& options) {
  const Scope s = at.Inside().NameScope("PolynomialDecay");
  const Expression step = Float(s, global_step);
  Expression steps = s(ConstScalar(At(s), kFloat, options.steps));
  Expression done = s(Minimum(At(s), step, steps));
  if (options.cycle) {
    const Output cycles = Ceil(At(s), step / options.steps);
    steps = steps * s(Maximum(At(s), cycles, ConstScalar(At(s), kFloat, 1)));
    done = step;
  }
  const Output left = Pow(At(s), 1 - done / steps, ConstScalar(At(s), kFloat, options.power));
  const Expression range = s(learning_rate.As(s, kFloat)) - options.end_learning_rate;
  return range * s(left) + options.end_learning_rate;
}

Output CosineDecay(const At& at, const LearningRate& learning_rate, const Output& global_step,
                   double steps, double alpha) {
  const Scope s = at.Inside().NameScope("CosineDecay");
  const Output done = Minimum(At(s), Float(s, global_step), ConstScalar(At(s), kFloat, steps));
  const Expression cosine = (s(Cos(At(s), s(done) * (M_PI / steps))) + 1) * 0.5;
  return s(learning_rate.As(s, kFloat)) * (cosine * (1 - alpha) + alpha);
}

Output PiecewiseConstant(const At& at, const Output& global_step,
                         const std::vector<int64_t>& boundaries,
                         const std::vector<double>& values) {
  const Scope s = at.Inside().NameScope("PiecewiseConstant");
  if (values.size() != boundaries.size() + 1) {
    s.graph()->RecordError(absl::InvalidArgumentError(absl::StrCat(
        "PiecewiseConstant (made at ", at.line().ToString(), "): expected ", boundaries.size() + 1,
        " values for ", boundaries.size(), " boundaries, received ", values.size())));
    return Output();
  }
  Output rate = ConstScalar(At(s), kFloat, values.back());
  for (size_t i = boundaries.size(); i > 0; --i) {
    const Output bound =
        Cast(At(s), Const(At(s), boundaries[i - 1]), RemoveRef(global_step.dtype()));
    const Output before = LessEqual(At(s), global_step, bound);
    rate = SelectV2(At(s), before, ConstScalar(At(s), kFloat, values[i - 1]), rate);
  }
  return rate;
}

}  // namespace espalier::train
