// Elementwise functions of one input of any number type: Neg, Square, Abs, Sign. Tested by the
// registry test.
#include <cmath>

#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

struct NegOf {
  auto operator()(auto x) const { return WrapSub(decltype(x)(0), x); }
};
// -x, not 0 - x: the sign of zero.
struct NegOfReal {
  auto operator()(auto x) const { return -x; }
};
struct SquareOf {
  auto operator()(auto x) const { return WrapMul(x, x); }
};
struct AbsOf {
  auto operator()(auto x) const {
    if constexpr (std::is_floating_point_v<decltype(x)>) {
      return std::abs(x);
    } else {
      return x < 0 ? WrapSub(decltype(x)(0), x) : x;
    }
  }
};
struct SignOf {
  auto operator()(auto x) const {
    if constexpr (std::is_floating_point_v<decltype(x)>) {
      if (std::isnan(x)) return x;
    }
    return static_cast<decltype(x)>((x > 0) - (x < 0));
  }
};

std::vector<Output> NegGradient(const GradientContext& g) { return {-g(g.dy())}; }
std::vector<Output> SquareGradient(const GradientContext& g) {
  return {g(g.dy()) * (g(g.x(0)) * 2)};
}
std::vector<Output> AbsGradient(const GradientContext& g) {
  return {g(g.dy()) * g(g.Op("Sign", {g.x(0)}))};
}
std::vector<Output> SignGradient(const GradientContext& g) { return {g.Op("ZerosLike", {g.x(0)})}; }

OpSchema& Add(OpRegistry& registry, const char* name, const char* doc, GradientFunction gradient,
              double (*reference)(double)) {
  return registry.Add(name)
      .Doc(doc)
      .In("x", "T")
      .Out("y", "T")
      .TypeAttr("T", kArithmeticDTypes)
      .Traits({.elementwise = true})
      .Shape(UnchangedShape)
      .Gradient(gradient)
      .Examples(UnaryExamples(reference, {-2, -0.5f, 0.25f, 3}))
      .Example({.name = "integers wrap", .inputs = {I({2}, {-3, 5})}});
}

}  // namespace

void RegisterUnaryArithmetic(OpRegistry& registry) {
  Add(registry, "Neg", "-x, elementwise; integers wrap around.", NegGradient, [](double x) {
    return -x;
  }).Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
    const DType type = RemoveRef(node.input(0).dtype());
    return IsFloating(type) ? UnaryFor<NegOfReal>(RealTypes(), type)
                            : UnaryFor<NegOf>(ArithmeticTypes(), type);
  });
  Add(registry, "Square", "x * x, elementwise; integers wrap around.", SquareGradient,
      [](double x) { return x * x; })
      .Kernel(UnaryKernel<SquareOf>(ArithmeticTypes()));
  Add(registry, "Abs", "The absolute value, elementwise.", AbsGradient, [](double x) {
    return std::abs(x);
  }).Kernel(UnaryKernel<AbsOf>(ArithmeticTypes()));
  Add(registry, "Sign", "-1, 0 or 1, elementwise; NaN stays.", SignGradient, [](double x) {
    return x > 0 ? 1.0 : -1.0;
  }).Kernel(UnaryKernel<SignOf>(ArithmeticTypes()));
}

}  // namespace espalier
