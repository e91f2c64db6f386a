// Elementwise functions of one floating input: Sqrt, Exp, Log, … One kernel, one table.
// Tested by the registry test.
#include <cmath>

#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

struct SqrtOf {
  auto operator()(auto x) const { return std::sqrt(x); }
};
struct RsqrtOf {
  auto operator()(auto x) const { return 1 / std::sqrt(x); }
};
struct ExpOf {
  auto operator()(auto x) const { return std::exp(x); }
};
struct LogOf {
  auto operator()(auto x) const { return std::log(x); }
};
struct Log1pOf {
  auto operator()(auto x) const { return std::log1p(x); }
};
struct TanhOf {
  auto operator()(auto x) const { return std::tanh(x); }
};
struct SigmoidOf {
  auto operator()(auto x) const { return 1 / (1 + std::exp(-x)); }
};
struct ReciprocalOf {
  auto operator()(auto x) const { return 1 / x; }
};
struct SoftplusOf {
  // log(1 + e^x), without overflow and without losing small e^x.
  auto operator()(auto x) const {
    return std::max(x, decltype(x)(0)) + std::log1p(std::exp(-std::abs(x)));
  }
};

std::vector<Output> SqrtGradient(const GradientContext& g) { return {g(g.dy()) * 0.5 / g(g.y(0))}; }
std::vector<Output> RsqrtGradient(const GradientContext& g) {
  const Expression y = g(g.y(0));
  return {g(g.dy()) * (y * y * y) * -0.5};
}
std::vector<Output> ExpGradient(const GradientContext& g) { return {g(g.dy()) * g(g.y(0))}; }
std::vector<Output> LogGradient(const GradientContext& g) { return {g(g.dy()) / g(g.x(0))}; }
std::vector<Output> Log1pGradient(const GradientContext& g) {
  return {g(g.dy()) / (g(g.x(0)) + 1)};
}
std::vector<Output> TanhGradient(const GradientContext& g) {
  const Expression y = g(g.y(0));
  return {g(g.dy()) * (1 - y * y)};
}
std::vector<Output> SigmoidGradient(const GradientContext& g) {
  const Expression y = g(g.y(0));
  return {g(g.dy()) * (y * (1 - y))};
}
std::vector<Output> ReciprocalGradient(const GradientContext& g) {
  const Expression y = g(g.y(0));
  return {-(g(g.dy()) * (y * y))};
}
std::vector<Output> SoftplusGradient(const GradientContext& g) {
  return {g(g.dy()) * g(g.Op("Sigmoid", {g.x(0)}))};
}

template <typename Functor>
void Add(OpRegistry& registry, const char* name, const char* doc, GradientFunction gradient,
         double (*reference)(double), std::initializer_list<float> points) {
  registry.Add(name)
      .Doc(doc)
      .In("x", "T")
      .Out("y", "T")
      .TypeAttr("T", kRealDTypes)
      .Traits({.elementwise = true})
      .Shape(UnchangedShape)
      .Kernel(UnaryKernel<Functor>(RealTypes()))
      .Gradient(gradient)
      .Examples(UnaryExamples(reference, points));
}

}  // namespace

void RegisterUnaryMath(OpRegistry& registry) {
  Add<SqrtOf>(registry, "Sqrt", "The square root, elementwise.", SqrtGradient,
              [](double x) { return std::sqrt(x); }, {0.25f, 1, 2, 9});
  Add<RsqrtOf>(registry, "Rsqrt", "1 / sqrt(x), elementwise.", RsqrtGradient,
               [](double x) { return 1 / std::sqrt(x); }, {0.25f, 1, 2, 9});
  Add<ExpOf>(registry, "Exp", "e to the power of x, elementwise.", ExpGradient,
             [](double x) { return std::exp(x); }, {-2, 0, 0.5f, 1});
  Add<LogOf>(registry, "Log", "The natural logarithm, elementwise.", LogGradient,
             [](double x) { return std::log(x); }, {0.25f, 1, 2, 9});
  Add<Log1pOf>(registry, "Log1p", "log(1 + x), exact for small x, elementwise.", Log1pGradient,
               [](double x) { return std::log1p(x); }, {-0.5f, 1e-6f, 1, 2});
  Add<TanhOf>(registry, "Tanh", "The hyperbolic tangent, elementwise.", TanhGradient,
              [](double x) { return std::tanh(x); }, {-2, -0.5f, 0, 1});
  Add<SigmoidOf>(registry, "Sigmoid", "1 / (1 + e^-x), elementwise.", SigmoidGradient,
                 [](double x) { return 1 / (1 + std::exp(-x)); }, {-2, -0.5f, 0, 1});
  Add<ReciprocalOf>(registry, "Reciprocal", "1 / x, elementwise.", ReciprocalGradient,
                    [](double x) { return 1 / x; }, {-2, -0.5f, 0.25f, 1});
  Add<SoftplusOf>(registry, "Softplus", "log(1 + e^x), elementwise.", SoftplusGradient,
                  [](double x) { return std::log1p(std::exp(x)); }, {-20, -0.5f, 0, 1, 20});
}

}  // namespace espalier
