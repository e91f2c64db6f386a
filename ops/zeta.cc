// Zeta (Hurwitz's) and Polygamma. Tested by the registry test.
#include <array>
#include <cmath>
#include <limits>

#include "espalier/ops/binary.h"
#include "espalier/ops/special_functions.h"

namespace espalier {

// Nine terms, then Euler and Maclaurin's correction (Cephes does the same).
double HurwitzZeta(double x, double q) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (x == 1) return kInfinity;
  if (x < 1) return std::numeric_limits<double>::quiet_NaN();
  if (q <= 0) {
    if (q == std::floor(q)) {
      return x == std::floor(x) && std::fmod(x, 2) == 0 ? kInfinity
                                                        : std::numeric_limits<double>::quiet_NaN();
    }
    if (x != std::floor(x)) return std::numeric_limits<double>::quiet_NaN();
  }
  double sum = 0, a = q;
  for (int i = 0; i < 9 || a <= 9; ++i, a += 1) {
    const double term = std::pow(a, -x);
    sum += term;
    if (std::abs(term) < 1e-17 * std::abs(sum)) return sum;
  }
  // (2k)! / B_2k for k = 1, 2, …, with the Bernoulli numbers B.
  static constexpr std::array<double, 12> kFactors = {12.0,
                                                      -720.0,
                                                      30240.0,
                                                      -1209600.0,
                                                      47900160.0,
                                                      -1.8924375803183791606e9,
                                                      7.47242496e10,
                                                      -2.950130727918164224e12,
                                                      1.1646782814350067249e14,
                                                      -4.5979787224074726105e15,
                                                      1.8152105401943546773e17,
                                                      -7.1661652561756670113e18};
  const double tail = std::pow(a, -x);
  sum += tail * a / (x - 1) + 0.5 * tail;
  double rising = x, power = tail / a;
  for (size_t k = 0; k < kFactors.size(); ++k) {
    const double term = rising * power / kFactors[k];
    sum += term;
    if (std::abs(term) < 1e-17 * std::abs(sum)) break;
    const double next = 2 * static_cast<double>(k) + x;
    rising *= (next + 1) * (next + 2);
    power /= a * a;
  }
  return sum;
}

namespace {

// ψ^(n)(x) = (-1)^(n+1) n! ζ(n + 1, x) (Abramowitz & Stegun 6.4.10).
double Polygamma(double n, double x) {
  if (n != std::floor(n) || n < 0) return std::numeric_limits<double>::quiet_NaN();
  if (n == 0) return Digamma(x);
  const double sign = std::fmod(n, 2) == 0 ? -1 : 1;
  return sign * std::tgamma(n + 1) * HurwitzZeta(n + 1, x);
}

struct ZetaOf {
  auto operator()(auto x, auto q) const { return static_cast<decltype(x)>(HurwitzZeta(x, q)); }
};
struct PolygammaOf {
  auto operator()(auto n, auto x) const { return static_cast<decltype(x)>(Polygamma(n, x)); }
};

// dζ/dq = -x ζ(x + 1, q); by x there is none.
std::vector<Output> ZetaGradient(const GradientContext& g) {
  const Expression x = g(g.x(0));
  return {Output(), Reduced(g, g(g.dy()) * -(x * g(g.Op("Zeta", {x + 1, g.x(1)}))), 1)};
}
std::vector<Output> PolygammaGradient(const GradientContext& g) {
  return {Output(), Reduced(g, g(g.dy()) * g(g.Op("Polygamma", {g(g.x(0)) + 1, g.x(1)})), 1)};
}

OpSchema& Add(OpRegistry& registry, const char* name, const char* doc, const char* first,
              const char* second) {
  return registry.Add(name)
      .Doc(doc)
      .In(first, "T")
      .In(second, "T")
      .Out("z", "T")
      .TypeAttr("T", {kFloat, kDouble})
      .Traits({.elementwise = true})
      .Shape(BroadcastShape);
}

}  // namespace

void RegisterZeta(OpRegistry& registry) {
  using Types = TypeList<float, double>;
  Add(registry, "Zeta", "Hurwitz's zeta function: the sum of (q + k)^-x over k = 0, 1, …", "x", "q")
      .Kernel(BinaryKernel<ZetaOf>(Types()))
      .Gradient(ZetaGradient)
      .Example({.name = "Riemann",
                .inputs = {F({2}, {2, 4}), F({}, {1})},
                .expected = {F({2}, {1.6449341f, 1.0823232f})},
                .check_gradient = false})
      .Example({.name = "shifted",
                .inputs = {F({}, {3}), F({2}, {0.5f, 12})},
                .expected = {F({2}, {8.4143983f, 0.0037736f})},
                .check_gradient = false})
      .Example({.name = "empty", .inputs = {F({0}, {}), F({}, {1})}, .expected = {F({0}, {})}});
  Add(registry, "Polygamma", "The derivative of order a of digamma, at x.", "a", "x")
      .Kernel(BinaryKernel<PolygammaOf>(Types()))
      .Gradient(PolygammaGradient)
      .Example({.name = "orders",
                .inputs = {F({3}, {0, 1, 2}), F({}, {1})},
                .expected = {F({3}, {-0.5772157f, 1.6449341f, -2.4041138f})},
                .check_gradient = false})
      .Example({.name = "negative",
                .inputs = {F({}, {1}), F({2}, {-0.5f, 2.5f})},
                .expected = {F({2}, {8.9348022f, 0.4903577f})},
                .check_gradient = false})
      .Example({.name = "empty", .inputs = {F({0}, {}), F({}, {1})}, .expected = {F({0}, {})}});
}

}  // namespace espalier
