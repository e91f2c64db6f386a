// Erf, Erfc, Erfinv, Ndtri, Expm1, Lgamma, Digamma. Tested by the registry test.
#include "espalier/ops/special_functions.h"

#include <cmath>

#include "espalier/ops/unary.h"

namespace espalier {

double LogGamma(double x) {
  int sign = 0;
  return lgamma_r(x, &sign);
}

// Reflection below 0, recurrence up to 10, then the asymptotic series (Abramowitz & Stegun 6.3.18).
double Digamma(double x) {
  if (x <= 0) {
    if (x == std::floor(x)) return std::numeric_limits<double>::quiet_NaN();
    return Digamma(1 - x) - M_PI / std::tan(M_PI * x);
  }
  double below = 0;
  for (; x < 10; x += 1) below += 1 / x;
  const double r = 1 / (x * x);
  const double series =
      r * (1.0 / 12 - r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r * (1.0 / 132)))));
  return std::log(x) - 0.5 / x - series - below;
}
namespace {

const double kTwoOverRootPi = 2 / std::sqrt(M_PI);

struct ErfOf {
  auto operator()(auto x) const { return std::erf(x); }
};
struct ErfcOf {
  auto operator()(auto x) const { return std::erfc(x); }
};
struct Expm1Of {
  auto operator()(auto x) const { return std::expm1(x); }
};
struct LgammaOf {
  // lgamma_r: std::lgamma writes a global.
  auto operator()(auto x) const {
    if constexpr (std::is_same_v<decltype(x), double>) {
      return LogGamma(x);
    } else {
      int sign = 0;
      return lgammaf_r(x, &sign);
    }
  }
};

struct DigammaOf {
  auto operator()(auto x) const { return static_cast<decltype(x)>(Digamma(x)); }
};

// A starting value (Giles 2010, in its central form), then Newton's steps on erf in double.
double Erfinv(double y) {
  if (y <= -1 || y >= 1) {
    return std::abs(y) == 1 ? y * std::numeric_limits<double>::infinity()
                            : std::numeric_limits<double>::quiet_NaN();
  }
  const double w = -std::log((1 - y) * (1 + y));
  double x = std::copysign(std::sqrt(std::max(w - 0.5 * std::log(std::max(w, 1.0)), 0.0)), y);
  if (w < 5) x = y * (0.886227 + w * 0.12);
  for (int i = 0; i < 60; ++i) {
    // erfc near the ends: erf would cancel.
    const double error = y > 0.5    ? (1 - y) - std::erfc(x)
                         : y < -0.5 ? std::erfc(-x) - (1 + y)
                                    : std::erf(x) - y;
    const double step = error / (kTwoOverRootPi * std::exp(-x * x));
    x -= std::clamp(step, -0.5, 0.5);
    if (std::abs(step) < 1e-16 * std::abs(x)) break;
  }
  return x;
}
struct ErfinvOf {
  auto operator()(auto x) const { return static_cast<decltype(x)>(Erfinv(x)); }
};
struct NdtriOf {
  auto operator()(auto x) const {
    return static_cast<decltype(x)>(std::sqrt(2.0) * Erfinv(2 * static_cast<double>(x) - 1));
  }
};

Expression GaussianSlope(const GradientContext& g, double sign) {
  const Expression x = g(g.x(0));
  return g(g.dy()) * (g(g.Op("Exp", {-(x * x)})) * (sign * kTwoOverRootPi));
}
std::vector<Output> ErfGradient(const GradientContext& g) { return {GaussianSlope(g, 1)}; }
std::vector<Output> ErfcGradient(const GradientContext& g) { return {GaussianSlope(g, -1)}; }
std::vector<Output> Expm1Gradient(const GradientContext& g) {
  return {g(g.dy()) * g(g.Op("Exp", {g.x(0)}))};
}
std::vector<Output> LgammaGradient(const GradientContext& g) {
  return {g(g.dy()) * g(g.Op("Digamma", {g.x(0)}))};
}
std::vector<Output> DigammaGradient(const GradientContext& g) {
  return {g(g.dy()) * g(g.Op("Polygamma", {g.Scalar(g.x(0), 1), g.x(0)}))};
}
// The inverse function's slope is 1 over the function's.
std::vector<Output> ErfinvGradient(const GradientContext& g) {
  const Expression y = g(g.y(0));
  return {g(g.dy()) * (g(g.Op("Exp", {y * y})) * (1 / kTwoOverRootPi))};
}
std::vector<Output> NdtriGradient(const GradientContext& g) {
  const Expression y = g(g.y(0));
  return {g(g.dy()) * (g(g.Op("Exp", {y * y * 0.5})) * std::sqrt(2 * M_PI))};
}

}  // namespace

void RegisterSpecialFunctions(OpRegistry& registry) {
  const std::initializer_list<float> any = {-2, -0.5f, 0, 1};
  AddUnary<ErfOf>(registry, "Erf", "The error function, elementwise.", any, [](double x) {
    return std::erf(x);
  }).Gradient(ErfGradient);
  AddUnary<ErfcOf>(registry, "Erfc", "1 - erf(x), exact for large x, elementwise.", any,
                   [](double x) { return std::erfc(x); })
      .Gradient(ErfcGradient);
  AddUnary<Expm1Of>(registry, "Expm1", "e^x - 1, exact for small x, elementwise.",
                    {-2, 1e-5f, 0.5f, 1}, [](double x) { return std::expm1(x); })
      .Gradient(Expm1Gradient);
  AddUnary<LgammaOf>(registry, "Lgamma", "log |gamma(x)|, elementwise.", {-0.5f, 0.5f, 2.5f, 9},
                     LogGamma)
      .Gradient(LgammaGradient);
  AddUnary<DigammaOf>(registry, "Digamma", "The slope of Lgamma, elementwise.",
                      {-0.5f, 0.5f, 7, 20}, Digamma)
      .Gradient(DigammaGradient);
  AddUnary<ErfinvOf>(registry, "Erfinv", "The inverse of the error function, elementwise.",
                     {-0.9f, -0.25f, 0.5f, 0.99f}, Erfinv)
      .Gradient(ErfinvGradient);
  AddUnary<NdtriOf>(registry, "Ndtri", "The quantile of the normal distribution, elementwise.",
                    {0.1f, 0.5f, 0.9f}, [](double x) { return std::sqrt(2.0) * Erfinv(2 * x - 1); })
      .Gradient(NdtriGradient);
}

}  // namespace espalier
