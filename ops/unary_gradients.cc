// The gradient ops that TensorFlow's graphs hold: SigmoidGrad, TanhGrad, SqrtGrad, … Each takes the
// function's output y (or input x) and the gradient dy. Tested by the registry test.
#include <cmath>

#include "espalier/ops/unary.h"

namespace espalier {
namespace {

struct SigmoidGradOf {
  auto operator()(auto y, auto dy) const { return dy * (y * (1 - y)); }
};
struct TanhGradOf {
  auto operator()(auto y, auto dy) const { return dy * (1 - y * y); }
};
struct SqrtGradOf {
  auto operator()(auto y, auto dy) const { return dy * decltype(dy)(0.5) / y; }
};
struct RsqrtGradOf {
  auto operator()(auto y, auto dy) const { return dy * decltype(dy)(-0.5) * (y * y * y); }
};
struct ReciprocalGradOf {
  auto operator()(auto y, auto dy) const { return -dy * (y * y); }
};
// Of the input x, and with dy first.
struct SoftplusGradOf {
  auto operator()(auto dy, auto x) const { return dy / (1 + std::exp(-x)); }
};
struct SoftsignGradOf {
  auto operator()(auto dy, auto x) const {
    const auto d = 1 + std::abs(x);
    return dy / (d * d);
  }
};

// With c the gradient that arrives at z = dy y (1 - y): ∂z/∂y = dy (1 - 2 y), ∂z/∂dy = y (1 - y).
std::vector<Output> SigmoidGradGradient(const GradientContext& g) {
  const Expression c = g(g.dy()), y = g(g.x(0)), dy = g(g.x(1));
  return {c * dy * (1 - y * 2), g.Op("SigmoidGrad", {g.x(0), c})};
}
std::vector<Output> TanhGradGradient(const GradientContext& g) {
  const Expression c = g(g.dy()), y = g(g.x(0)), dy = g(g.x(1));
  return {c * dy * y * -2, g.Op("TanhGrad", {g.x(0), c})};
}
std::vector<Output> SqrtGradGradient(const GradientContext& g) {
  const Expression ratio = g(g.dy()) / g(g.x(0));
  return {-(ratio * g(g.y(0))), ratio * 0.5};
}
std::vector<Output> RsqrtGradGradient(const GradientContext& g) {
  const Expression c = g(g.dy()), y = g(g.x(0)), dy = g(g.x(1));
  return {c * dy * (y * y) * -1.5, g.Op("RsqrtGrad", {g.x(0), c})};
}
std::vector<Output> ReciprocalGradGradient(const GradientContext& g) {
  const Expression c = g(g.dy()), y = g(g.x(0)), dy = g(g.x(1));
  return {c * dy * y * -2, g.Op("ReciprocalGrad", {g.x(0), c})};
}
std::vector<Output> SoftplusGradGradient(const GradientContext& g) {
  const Expression c = g(g.dy()), dy = g(g.x(0));
  const Expression s = g(g.Op("Sigmoid", {g.x(1)}));
  return {g.Op("SoftplusGrad", {c, g.x(1)}), c * dy * (s * (1 - s))};
}
std::vector<Output> SoftsignGradGradient(const GradientContext& g) {
  const Expression c = g(g.dy()), dy = g(g.x(0));
  const Expression d = g(g.Op("Abs", {g.x(1)})) + 1;
  return {g.Op("SoftsignGrad", {c, g.x(1)}), c * dy * g(g.Op("Sign", {g.x(1)})) * -2 / (d * d * d)};
}

}  // namespace

void RegisterUnaryGradients(OpRegistry& registry) {
  AddUnaryGradient<SigmoidGradOf>(registry, "SigmoidGrad", "dy y (1 - y), for y = sigmoid(x).", "y",
                                  "dy", RealTypes(), kRealDTypes,
                                  [](double y, double dy) { return dy * y * (1 - y); })
      .Gradient(SigmoidGradGradient);
  AddUnaryGradient<TanhGradOf>(registry, "TanhGrad", "dy (1 - y²), for y = tanh(x).", "y", "dy",
                               RealTypes(), kRealDTypes,
                               [](double y, double dy) { return dy * (1 - y * y); })
      .Gradient(TanhGradGradient);
  AddUnaryGradient<SqrtGradOf>(registry, "SqrtGrad", "dy / (2 y), for y = √x.", "y", "dy",
                               RealTypes(), kRealDTypes,
                               [](double y, double dy) { return dy * 0.5 / y; })
      .Gradient(SqrtGradGradient);
  AddUnaryGradient<RsqrtGradOf>(registry, "RsqrtGrad", "-dy y³ / 2, for y = 1 / √x.", "y", "dy",
                                RealTypes(), kRealDTypes,
                                [](double y, double dy) { return -0.5 * dy * y * y * y; })
      .Gradient(RsqrtGradGradient);
  for (const char* name : {"ReciprocalGrad", "InvGrad"}) {
    AddUnaryGradient<ReciprocalGradOf>(registry, name, "-dy y², for y = 1 / x.", "y", "dy",
                                       RealTypes(), kRealDTypes,
                                       [](double y, double dy) { return -dy * y * y; })
        .Gradient(ReciprocalGradGradient);
  }
  AddUnaryGradient<SoftplusGradOf>(registry, "SoftplusGrad", "dy sigmoid(x).", "gradients",
                                   "features", RealTypes(), kRealDTypes,
                                   [](double dy, double x) { return dy / (1 + std::exp(-x)); })
      .Gradient(SoftplusGradGradient);
  AddUnaryGradient<SoftsignGradOf>(
      registry, "SoftsignGrad", "dy / (1 + |x|)².", "gradients", "features", RealTypes(),
      kRealDTypes, [](double dy, double x) { return dy / ((1 + std::abs(x)) * (1 + std::abs(x))); })
      .Gradient(SoftsignGradGradient);
}

}  // namespace espalier
