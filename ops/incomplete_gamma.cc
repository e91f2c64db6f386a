// The incomplete gamma functions Igamma and Igammac, their slope by a, and the slope of a random
// gamma by its alpha. Tested by the registry test.
#include <cmath>
#include <limits>

#include "espalier/ops/binary.h"
#include "espalier/ops/special_functions.h"

namespace espalier {
namespace {

// A value and its derivative by a: the rules of calculus, carried along.
struct Dual {
  double value;
  double slope = 0;
};
Dual operator+(Dual x, Dual y) { return {x.value + y.value, x.slope + y.slope}; }
Dual operator-(Dual x, Dual y) { return {x.value - y.value, x.slope - y.slope}; }
Dual operator*(Dual x, Dual y) {
  return {x.value * y.value, x.slope * y.value + x.value * y.slope};
}
Dual operator/(Dual x, Dual y) {
  const double quotient = x.value / y.value;
  return {quotient, (x.slope - quotient * y.slope) / y.value};
}

constexpr int kMaxTerms = 20000;
constexpr double kEpsilon = 1e-16;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

bool Small(Dual part, Dual whole) {
  return std::abs(part.value) < kEpsilon * std::abs(whole.value) &&
         std::abs(part.slope) <= kEpsilon * std::max(std::abs(whole.slope), std::abs(whole.value));
}

// e^(a log x - x - log Γ(a)).
Dual Prefactor(double a, double x) {
  const double value = std::exp(a * std::log(x) - x - LogGamma(a));
  return {value, value * (std::log(x) - Digamma(a))};
}

// P(a, x) by its power series (Abramowitz & Stegun 6.5.29).
Dual BySeries(double a, double x) {
  Dual term = Dual{1} / Dual{a, 1};
  Dual sum = term;
  for (int n = 1; n < kMaxTerms; ++n) {
    term = term * Dual{x} / Dual{a + n, 1};
    sum = sum + term;
    if (Small(term, sum)) break;
  }
  return Prefactor(a, x) * sum;
}

// 1 - P(a, x) by its continued fraction (6.5.31), evaluated as Lentz (1976) does.
Dual ByFraction(double a, double x) {
  constexpr double kTiny = 1e-300;
  Dual b = {x + 1 - a, -1};
  Dual c = {1 / kTiny};
  Dual d = Dual{1} / b;
  Dual h = d;
  for (int i = 1; i < kMaxTerms; ++i) {
    const Dual numerator = {-i * (i - a), static_cast<double>(i)};
    b = b + Dual{2};
    d = numerator * d + b;
    if (std::abs(d.value) < kTiny) d.value = kTiny;
    c = b + numerator / c;
    if (std::abs(c.value) < kTiny) c.value = kTiny;
    d = Dual{1} / d;
    const Dual change = d * c;
    h = h * change;
    if (Small(change - Dual{1}, Dual{1})) break;
  }
  return Prefactor(a, x) * h;
}

// P(a, x) = ∫ t^(a-1) e^-t dt / Γ(a) from 0 to x; `upper` its complement, without cancellation.
Dual IncompleteGamma(double a, double x, bool upper) {
  if (std::isnan(a) || std::isnan(x) || x < 0 || a <= 0) return {kNaN, kNaN};
  if (x == 0) return {upper ? 1.0 : 0.0};
  if (std::isinf(x)) return {upper ? 0.0 : 1.0};
  const bool fraction = x > 1 && x > a;
  const Dual part = fraction ? ByFraction(a, x) : BySeries(a, x);
  return fraction == upper ? part : Dual{1} - part;
}

struct IgammaOf {
  auto operator()(auto a, auto x) const {
    return static_cast<decltype(x)>(IncompleteGamma(a, x, false).value);
  }
};
struct IgammacOf {
  auto operator()(auto a, auto x) const {
    return static_cast<decltype(x)>(IncompleteGamma(a, x, true).value);
  }
};
struct IgammaGradAOf {
  auto operator()(auto a, auto x) const {
    return static_cast<decltype(x)>(IncompleteGamma(a, x, false).slope);
  }
};
// A sample s of the gamma distribution keeps P(alpha, s) when alpha moves: its slope is
// -(dP/dalpha) / (dP/ds), dP/ds being the density.
struct SampleSlope {
  auto operator()(auto alpha, auto sample) const {
    const double a = alpha, s = sample;
    if (s <= 0) return static_cast<decltype(sample)>(s == 0 ? 0.0 : kNaN);
    const double density = std::exp((a - 1) * std::log(s) - s - LogGamma(a));
    return static_cast<decltype(sample)>(-IncompleteGamma(a, s, false).slope / density);
  }
};

// The density of the gamma distribution at x: dP/dx.
Expression Density(const GradientContext& g) {
  const Expression a = g(g.x(0)), x = g(g.x(1));
  const Expression log_density = g(g.Op("Xlogy", {a - 1, x})) - x - g(g.Op("Lgamma", {a}));
  return g(g.Op("Exp", {log_density}));
}
Expression SlopeByA(const GradientContext& g) { return g(g.Op("IgammaGradA", {g.x(0), g.x(1)})); }
std::vector<Output> IgammaGradient(const GradientContext& g) {
  const Expression dy = g(g.dy());
  return {Reduced(g, dy * SlopeByA(g), 0), Reduced(g, dy * Density(g), 1)};
}
std::vector<Output> IgammacGradient(const GradientContext& g) {
  const Expression dy = g(g.dy());
  return {Reduced(g, -(dy * SlopeByA(g)), 0), Reduced(g, -(dy * Density(g)), 1)};
}

template <typename Functor>
OpSchema& Add(OpRegistry& registry, const char* name, const char* doc, const char* first,
              const char* second, std::initializer_list<float> expected) {
  return registry.Add(name)
      .Doc(doc)
      .In(first, "T")
      .In(second, "T")
      .Out("z", "T")
      .TypeAttr("T", {kFloat, kDouble})
      .Traits({.elementwise = true})
      .Shape(BroadcastShape)
      .Kernel(BinaryKernel<Functor>(TypeList<float, double>()))
      .Example({.name = "both methods",
                .inputs = {F({4}, {0.5f, 2, 3, 10}), F({4}, {0.3f, 5, 2.5f, 9})},
                .expected = {F({4}, expected)}})
      .Example({.name = "broadcast", .inputs = {F({2, 1}, {1.5f, 4}), F({3}, {0.5f, 2, 6})}})
      .Example({.name = "empty", .inputs = {F({0}, {}), F({}, {1})}, .expected = {F({0}, {})}});
}

}  // namespace

void RegisterIncompleteGamma(OpRegistry& registry) {
  Add<IgammaOf>(registry, "Igamma", "The regularised lower incomplete gamma function P(a, x).", "a",
                "x", {0.5614219f, 0.9595723f, 0.4561869f, 0.4125916f})
      .Gradient(IgammaGradient);
  Add<IgammacOf>(registry, "Igammac",
                 "The regularised upper incomplete gamma function, 1 - P(a, x).", "a", "x",
                 {0.4385781f, 0.0404277f, 0.5438131f, 0.5874084f})
      .Gradient(IgammacGradient);
  Add<IgammaGradAOf>(registry, "IgammaGradA", "The slope of P(a, x) by a.", "a", "x",
                     {-0.7705704f, -0.0558599f, -0.2471174f, -0.1270366f})
      .GradientMissing("TensorFlow has none either");
  Add<SampleSlope>(registry, "RandomGammaGrad", "The slope of a gamma sample by its alpha.",
                   "alpha", "sample", {1.0098021f, 1.6580689f, 0.9633619f, 0.9641832f})
      .GradientMissing("TensorFlow has none either");
}

}  // namespace espalier
