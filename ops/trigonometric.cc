// Trigonometric and hyperbolic functions and their inverses. Tested by the registry test.
#include <cmath>

#include "espalier/ops/unary.h"

namespace espalier {
namespace {

struct SinOf {
  auto operator()(auto x) const { return std::sin(x); }
};
struct CosOf {
  auto operator()(auto x) const { return std::cos(x); }
};
struct TanOf {
  auto operator()(auto x) const { return std::tan(x); }
};
struct AsinOf {
  auto operator()(auto x) const { return std::asin(x); }
};
struct AcosOf {
  auto operator()(auto x) const { return std::acos(x); }
};
struct AtanOf {
  auto operator()(auto x) const { return std::atan(x); }
};
struct SinhOf {
  auto operator()(auto x) const { return std::sinh(x); }
};
struct CoshOf {
  auto operator()(auto x) const { return std::cosh(x); }
};
struct AsinhOf {
  auto operator()(auto x) const { return std::asinh(x); }
};
struct AcoshOf {
  auto operator()(auto x) const { return std::acosh(x); }
};
struct AtanhOf {
  auto operator()(auto x) const { return std::atanh(x); }
};

std::vector<Output> SinGradient(const GradientContext& g) {
  return {g(g.dy()) * g(g.Op("Cos", {g.x(0)}))};
}
std::vector<Output> CosGradient(const GradientContext& g) {
  return {-(g(g.dy()) * g(g.Op("Sin", {g.x(0)})))};
}
std::vector<Output> TanGradient(const GradientContext& g) {
  const Expression y = g(g.y(0));
  return {g(g.dy()) * (1 + y * y)};
}
std::vector<Output> AsinGradient(const GradientContext& g) {
  const Expression x = g(g.x(0));
  return {g(g.dy()) / g(g.Op("Sqrt", {1 - x * x}))};
}
std::vector<Output> AcosGradient(const GradientContext& g) {
  const Expression x = g(g.x(0));
  return {-(g(g.dy()) / g(g.Op("Sqrt", {1 - x * x})))};
}
std::vector<Output> AtanGradient(const GradientContext& g) {
  const Expression x = g(g.x(0));
  return {g(g.dy()) / (1 + x * x)};
}
std::vector<Output> SinhGradient(const GradientContext& g) {
  return {g(g.dy()) * g(g.Op("Cosh", {g.x(0)}))};
}
std::vector<Output> CoshGradient(const GradientContext& g) {
  return {g(g.dy()) * g(g.Op("Sinh", {g.x(0)}))};
}
// d asinh x = 1 / cosh(asinh x), d acosh x = 1 / sinh(acosh x): no cancellation.
std::vector<Output> AsinhGradient(const GradientContext& g) {
  return {g(g.dy()) / g(g.Op("Cosh", {g.y(0)}))};
}
std::vector<Output> AcoshGradient(const GradientContext& g) {
  return {g(g.dy()) / g(g.Op("Sinh", {g.y(0)}))};
}
std::vector<Output> AtanhGradient(const GradientContext& g) {
  const Expression x = g(g.x(0));
  return {g(g.dy()) / (1 - x * x)};
}

}  // namespace

void RegisterTrigonometric(OpRegistry& registry) {
  const std::initializer_list<float> any = {-2, -0.5f, 0, 1};
  const std::initializer_list<float> within_one = {-0.75f, -0.5f, 0, 0.25f};
  AddUnary<SinOf>(registry, "Sin", "The sine, elementwise.", any, [](double x) {
    return std::sin(x);
  }).Gradient(SinGradient);
  AddUnary<CosOf>(registry, "Cos", "The cosine, elementwise.", any, [](double x) {
    return std::cos(x);
  }).Gradient(CosGradient);
  AddUnary<TanOf>(registry, "Tan", "The tangent, elementwise.", any, [](double x) {
    return std::tan(x);
  }).Gradient(TanGradient);
  AddUnary<AsinOf>(registry, "Asin", "The inverse of the sine, elementwise.", within_one,
                   [](double x) { return std::asin(x); })
      .Gradient(AsinGradient);
  AddUnary<AcosOf>(registry, "Acos", "The inverse of the cosine, elementwise.", within_one,
                   [](double x) { return std::acos(x); })
      .Gradient(AcosGradient);
  AddUnary<AtanOf>(registry, "Atan", "The inverse of the tangent, elementwise.", any, [](double x) {
    return std::atan(x);
  }).Gradient(AtanGradient);
  AddUnary<SinhOf>(registry, "Sinh", "The hyperbolic sine, elementwise.", any, [](double x) {
    return std::sinh(x);
  }).Gradient(SinhGradient);
  AddUnary<CoshOf>(registry, "Cosh", "The hyperbolic cosine, elementwise.", any, [](double x) {
    return std::cosh(x);
  }).Gradient(CoshGradient);
  AddUnary<AsinhOf>(registry, "Asinh", "The inverse of the hyperbolic sine, elementwise.", any,
                    [](double x) { return std::asinh(x); })
      .Gradient(AsinhGradient);
  AddUnary<AcoshOf>(registry, "Acosh", "The inverse of the hyperbolic cosine, elementwise.",
                    {1.25f, 2, 3}, [](double x) { return std::acosh(x); })
      .Gradient(AcoshGradient);
  AddUnary<AtanhOf>(registry, "Atanh", "The inverse of the hyperbolic tangent, elementwise.",
                    within_one, [](double x) { return std::atanh(x); })
      .Gradient(AtanhGradient);
}

}  // namespace espalier
