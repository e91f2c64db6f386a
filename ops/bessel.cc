// Bessel functions of orders 0 and 1: J, Y, the modified I and K, and I and K scaled by e^-|x| and
// e^x. Tested by the registry test.
#include <cmath>
#include <limits>

#include "espalier/ops/unary.h"

namespace espalier {
namespace {

// e^-|x| I_n(x): its power series (Abramowitz & Stegun 9.6.10), whose terms are all positive, and
// for large x the asymptotic one (9.7.1).
double ScaledI(int order, double x) {
  const double a = std::abs(x);
  double sum = 0;
  if (a < 30) {
    double term = order == 0 ? 1 : a / 2;
    for (int k = 1; k < 200; ++k) {
      sum += term;
      term *= a * a / 4 / (static_cast<double>(k) * (k + order));
      if (term < 1e-18 * sum) break;
    }
    sum *= std::exp(-a);
  } else {
    const double mu = 4.0 * order * order;
    double term = 1;
    for (int k = 1; k < 30; ++k) {
      sum += term;
      const double odd = 2 * k - 1;
      term *= -(mu - odd * odd) / (k * 8 * a);
    }
    sum /= std::sqrt(2 * M_PI * a);
    if (std::isinf(a)) sum = 0;
  }
  return order == 1 && x < 0 ? -sum : sum;
}

// e^x K_n(x).
double ScaledK(int order, double x) {
  if (std::isnan(x) || x < 0) return std::numeric_limits<double>::quiet_NaN();
  if (x == 0) return std::numeric_limits<double>::infinity();
  // Beyond 30 K is as its asymptotic series (9.7.2); the library's is used where it is at its best.
  if (x < 30) return std::exp(x) * std::cyl_bessel_k(order, x);
  const double mu = 4.0 * order * order;
  double sum = 0, term = 1;
  for (int k = 1; k < 30; ++k) {
    sum += term;
    const double odd = 2 * k - 1;
    term *= (mu - odd * odd) / (k * 8 * x);
  }
  return std::isinf(x) ? 0 : sum * std::sqrt(M_PI / (2 * x));
}

double I0(double x) { return ScaledI(0, x) * std::exp(std::abs(x)); }
double I1(double x) { return ScaledI(1, x) * std::exp(std::abs(x)); }
double I0e(double x) { return ScaledI(0, x); }
double I1e(double x) { return ScaledI(1, x); }
double K0(double x) { return ScaledK(0, x) * std::exp(-x); }
double K1(double x) { return ScaledK(1, x) * std::exp(-x); }
double K0e(double x) { return ScaledK(0, x); }
double K1e(double x) { return ScaledK(1, x); }
double J0(double x) { return ::j0(x); }
double J1(double x) { return ::j1(x); }
double Y0(double x) { return x < 0 ? std::numeric_limits<double>::quiet_NaN() : ::y0(x); }
double Y1(double x) { return x < 0 ? std::numeric_limits<double>::quiet_NaN() : ::y1(x); }

template <double (*kFunction)(double)>
struct Of {
  auto operator()(auto x) const { return static_cast<decltype(x)>(kFunction(x)); }
};

Expression Like(const GradientContext& g, const char* op) { return g(g.Op(op, {g.x(0)})); }

// A slope that is 1/2 at 0, as those of the functions of order 1 are there. (TensorFlow has 1 for
// BesselI1.)
Output OverX(const GradientContext& g, const Expression& whole) {
  const Output zero = g.Scalar(g.x(0), 0);
  const Output at_zero = g.Op("Equal", {g.x(0), zero});
  const Output half = g.Op("Fill", {g.ShapeOf(g.x(0)), g.Scalar(g.x(0), 0.5)});
  return g.Op("SelectV2", {at_zero, half, whole});
}

// x where it is not 0, 1 there: so that nothing is divided by 0.
Expression SafeX(const GradientContext& g) {
  const Output at_zero = g.Op("Equal", {g.x(0), g.Scalar(g.x(0), 0)});
  return g(g.Op("SelectV2", {at_zero, g.Op("OnesLike", {g.x(0)}), g.x(0)}));
}

// Abramowitz & Stegun 9.1.28, 9.6.27 and the recurrences 9.1.27, 9.6.26.
std::vector<Output> I0Gradient(const GradientContext& g) {
  return {g(g.dy()) * Like(g, "BesselI1")};
}
std::vector<Output> I0eGradient(const GradientContext& g) {
  return {g(g.dy()) * (Like(g, "BesselI1e") - Like(g, "Sign") * g(g.y(0)))};
}
std::vector<Output> I1Gradient(const GradientContext& g) {
  return {g(g.dy()) * g(OverX(g, Like(g, "BesselI0") - g(g.y(0)) / SafeX(g)))};
}
std::vector<Output> I1eGradient(const GradientContext& g) {
  const Expression slope = Like(g, "BesselI0e") - g(g.y(0)) * (Like(g, "Sign") + 1 / SafeX(g));
  return {g(g.dy()) * g(OverX(g, slope))};
}
std::vector<Output> K0Gradient(const GradientContext& g) {
  return {-(g(g.dy()) * Like(g, "BesselK1"))};
}
std::vector<Output> K0eGradient(const GradientContext& g) {
  return {g(g.dy()) * (g(g.y(0)) - Like(g, "BesselK1e"))};
}
std::vector<Output> K1Gradient(const GradientContext& g) {
  return {g(g.dy()) * (-Like(g, "BesselK0") - g(g.y(0)) / g(g.x(0)))};
}
std::vector<Output> K1eGradient(const GradientContext& g) {
  return {g(g.dy()) * (g(g.y(0)) * (1 - 1 / g(g.x(0))) - Like(g, "BesselK0e"))};
}
std::vector<Output> J0Gradient(const GradientContext& g) {
  return {-(g(g.dy()) * Like(g, "BesselJ1"))};
}
std::vector<Output> J1Gradient(const GradientContext& g) {
  return {g(g.dy()) * g(OverX(g, Like(g, "BesselJ0") - g(g.y(0)) / SafeX(g)))};
}
std::vector<Output> Y0Gradient(const GradientContext& g) {
  return {-(g(g.dy()) * Like(g, "BesselY1"))};
}
std::vector<Output> Y1Gradient(const GradientContext& g) {
  return {g(g.dy()) * (Like(g, "BesselY0") - g(g.y(0)) / g(g.x(0)))};
}

}  // namespace

void RegisterBessel(OpRegistry& registry) {
  const std::initializer_list<float> any = {-2, -0.5f, 0.25f, 1, 40};
  const std::initializer_list<float> positive = {0.25f, 1, 5, 40};
  const std::initializer_list<float> moderate = {-2, -0.5f, 0.25f, 1, 5};
  AddUnary<Of<I0>>(registry, "BesselI0", "The modified Bessel function I of order 0.", moderate, I0)
      .Gradient(I0Gradient);
  AddUnary<Of<I1>>(registry, "BesselI1", "The modified Bessel function I of order 1.", moderate, I1)
      .Gradient(I1Gradient);
  AddUnary<Of<I0e>>(registry, "BesselI0e", "e^-|x| times BesselI0.", any, I0e)
      .Gradient(I0eGradient);
  AddUnary<Of<I1e>>(registry, "BesselI1e", "e^-|x| times BesselI1.", any, I1e)
      .Gradient(I1eGradient);
  AddUnary<Of<K0>>(registry, "BesselK0", "The modified Bessel function K of order 0.", positive, K0)
      .Gradient(K0Gradient);
  AddUnary<Of<K1>>(registry, "BesselK1", "The modified Bessel function K of order 1.", positive, K1)
      .Gradient(K1Gradient);
  AddUnary<Of<K0e>>(registry, "BesselK0e", "e^x times BesselK0.", positive, K0e)
      .Gradient(K0eGradient);
  AddUnary<Of<K1e>>(registry, "BesselK1e", "e^x times BesselK1.", positive, K1e)
      .Gradient(K1eGradient);
  AddUnary<Of<J0>>(registry, "BesselJ0", "The Bessel function of order 0.", any, J0)
      .Gradient(J0Gradient);
  AddUnary<Of<J1>>(registry, "BesselJ1", "The Bessel function of order 1.", any, J1)
      .Gradient(J1Gradient);
  AddUnary<Of<Y0>>(registry, "BesselY0", "The second Bessel function of order 0.", positive, Y0)
      .Gradient(Y0Gradient);
  AddUnary<Of<Y1>>(registry, "BesselY1", "The second Bessel function of order 1.", positive, Y1)
      .Gradient(Y1Gradient);
}

}  // namespace espalier
