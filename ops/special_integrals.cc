// Dawsn, Expint, FresnelCos, FresnelSin, Spence. Tested by the registry test.
#include <cmath>
#include <complex>
#include <limits>

#include "espalier/ops/unary.h"

namespace espalier {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// e^-x² ∫ e^t² dt from 0 to x, by Rybicki's sum of Gaussians (1989): exact to rounding at this
// step.
double Dawson(double x) {
  constexpr double kStep = 0.2;
  const double a = std::abs(x);
  double value = 0;
  if (a < 0.2) {
    const double r = x * x;
    value = a * (1 - r * 2 / 3 *
                         (1 - r * 2 / 5 * (1 - r * 2 / 7 * (1 - r * 2 / 9 * (1 - r * 2 / 11)))));
  } else if (a > 1e8) {
    value = 0.5 / a;
  } else {
    const double centre = 2 * std::round(a / 2 / kStep);
    for (int i = -41; i <= 41; i += 2) {
      const double n = centre + i, distance = a - n * kStep;
      value += std::exp(-distance * distance) / n;
    }
    value /= std::sqrt(M_PI);
  }
  return std::copysign(value, x);
}

// The principal value of ∫ e^t / t dt from -∞ to x.
double Expint(double x) {
  if (x == 0) return -kInfinity;
  if (std::isinf(x)) return x > 0 ? x : -0.0;
  return std::expint(x);
}

// (C, S) at x >= 0: power series, and for large x the continued fraction of the complementary error
// function of a complex argument (Abramowitz & Stegun 7.3.11, 7.3.22, 7.1.14).
std::complex<double> Fresnel(double x) {
  if (std::isinf(x)) return {0.5, 0.5};
  if (x < 1.6) {
    const double t = M_PI / 2 * x * x;
    double c = 0, s = 0, term = x;
    for (int k = 0; k < 60; ++k) {
      const double part = term / (2 * k + 1);
      // Terms go to C, S, -C, -S, …
      (k % 2 == 0 ? c : s) += k % 4 < 2 ? part : -part;
      term *= t / (k + 1);
    }
    return {c, s};
  }
  // Lentz's evaluation, for z = √π/2 (1 - i) x.
  const std::complex<double> start(1, -M_PI * x * x);
  std::complex<double> b = start, c = 1e300, d = 1.0 / b, h = d;
  for (int k = 1; k < 2000; ++k) {
    const double a = -static_cast<double>(2 * k - 1) * (2 * k);
    b += 4.0;
    d = 1.0 / (a * d + b);
    c = b + a / c;
    const std::complex<double> change = c * d;
    h *= change;
    if (std::abs(change - 1.0) < 1e-16) break;
  }
  h *= std::complex<double>(x, -x);
  const double phase = std::fmod(x * x, 4.0) * M_PI / 2;
  const std::complex<double> turn(std::cos(phase), std::sin(phase));
  return std::complex<double>(0.5, 0.5) * (1.0 - turn * h);
}
double FresnelCos(double x) { return std::copysign(Fresnel(std::abs(x)).real(), x); }
double FresnelSin(double x) { return std::copysign(Fresnel(std::abs(x)).imag(), x); }

// The dilogarithm of z by its series, for |z| <= 1/2.
double DilogSeries(double z) {
  double sum = 0, power = z;
  for (int k = 1; k < 60; ++k) {
    sum += power / (static_cast<double>(k) * k);
    power *= z;
  }
  return sum;
}

// -∫ log t / (t - 1) dt from 1 to x, the dilogarithm of 1 - x; its reflections (27.7) bring the
// argument of the series into [-1/2, 1/2].
double Spence(double x) {
  if (x < 0 || std::isnan(x)) return std::numeric_limits<double>::quiet_NaN();
  if (x == 0) return M_PI * M_PI / 6;
  if (std::isinf(x)) return -kInfinity;
  if (x > 2) {
    const double log = std::log(x);
    return -0.5 * log * log - Spence(1 / x);
  }
  if (x > 1.5) {
    const double log = std::log(x);
    return -DilogSeries(1 - 1 / x) - 0.5 * log * log;
  }
  if (x < 0.5) return M_PI * M_PI / 6 - std::log(x) * std::log1p(-x) - DilogSeries(x);
  return DilogSeries(1 - x);
}

template <double (*kFunction)(double)>
struct Of {
  auto operator()(auto x) const { return static_cast<decltype(x)>(kFunction(x)); }
};

std::vector<Output> DawsonGradient(const GradientContext& g) {
  return {g(g.dy()) * (1 - 2 * g(g.x(0)) * g(g.y(0)))};
}
std::vector<Output> ExpintGradient(const GradientContext& g) {
  return {g(g.dy()) * (g(g.Op("Exp", {g.x(0)})) / g(g.x(0)))};
}
Output QuarterTurns(const GradientContext& g) { return g(g.x(0)) * g(g.x(0)) * (M_PI / 2); }
std::vector<Output> FresnelCosGradient(const GradientContext& g) {
  return {g(g.dy()) * g(g.Op("Cos", {QuarterTurns(g)}))};
}
std::vector<Output> FresnelSinGradient(const GradientContext& g) {
  return {g(g.dy()) * g(g.Op("Sin", {QuarterTurns(g)}))};
}
// log x / (1 - x), which is -1 at 1.
std::vector<Output> SpenceGradient(const GradientContext& g) {
  const Output one = g.Op("OnesLike", {g.x(0)});
  const Output at_one = g.Op("Equal", {g.x(0), one});
  const Expression slope = g(g.Op("Log", {g.x(0)})) / (1 - g(g.x(0)));
  return {g(g.dy()) * g(g.Op("SelectV2", {at_one, g.Op("Neg", {one}), slope}))};
}

}  // namespace

void RegisterSpecialIntegrals(OpRegistry& registry) {
  AddUnary<Of<Dawson>>(registry, "Dawsn", "Dawson's integral, elementwise.", {-2, -0.1f, 0.5f, 12},
                       Dawson)
      .Gradient(DawsonGradient);
  AddUnary<Of<Expint>>(registry, "Expint", "The exponential integral Ei, elementwise.",
                       {-2, -0.25f, 0.5f, 3}, Expint)
      .Gradient(ExpintGradient);
  AddUnary<Of<FresnelCos>>(registry, "FresnelCos", "Fresnel's cosine integral, elementwise.",
                           {-2.5f, -0.5f, 1, 1.5f, 4}, FresnelCos)
      .Gradient(FresnelCosGradient);
  AddUnary<Of<FresnelSin>>(registry, "FresnelSin", "Fresnel's sine integral, elementwise.",
                           {-2.5f, -0.5f, 1, 1.5f, 4}, FresnelSin)
      .Gradient(FresnelSinGradient);
  AddUnary<Of<Spence>>(registry, "Spence", "The dilogarithm of 1 - x, elementwise.",
                       {0.25f, 0.75f, 1.25f, 1.75f, 5}, Spence)
      .Gradient(SpenceGradient);
}

}  // namespace espalier
