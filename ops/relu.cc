// Relu and ReluGrad. Tested by the registry test.
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/unary.h"

namespace espalier {
namespace {

// NaN passes through, as in TensorFlow.
struct ReluOf {
  auto operator()(auto x) const { return x < 0 ? decltype(x)(0) : x; }
};
struct ReluGradOf {
  auto operator()(auto gradient, auto feature) const {
    return feature > 0 ? gradient : decltype(gradient)(0);
  }
};

std::vector<Output> ReluGradient(const GradientContext& g) {
  return {g.Op("ReluGrad", {g.dy(), g.y(0)})};
}
std::vector<Output> ReluGradGradient(const GradientContext& g) {
  return {g.Op("ReluGrad", {g.dy(), g.x(1)}), g.Op("ZerosLike", {g.x(1)})};
}

}  // namespace

void RegisterRelu(OpRegistry& registry) {
  registry.Add("Relu")
      .Doc("max(x, 0), elementwise.")
      .In("features", "T")
      .Out("activations", "T")
      .TypeAttr("T", kArithmeticDTypes)
      .Traits({.elementwise = true})
      .Shape(UnchangedShape)
      .Kernel(UnaryKernel<ReluOf>(ArithmeticTypes()))
      .Gradient(ReluGradient)
      .Examples(UnaryExamples([](double x) { return x > 0 ? x : 0.0; }, {-2, -0.5f, 0.25f, 3}));
  registry.Add("ReluGrad")
      .Doc("The gradient where the feature (Relu's input or output) is positive, else 0.")
      .In("gradients", "T")
      .In("features", "T")
      .Out("backprops", "T")
      .TypeAttr("T", kArithmeticDTypes)
      .Traits({.elementwise = true})
      .Shape(AllInputsEqualShape)
      .Kernel(EqualShapesKernel<ReluGradOf>(ArithmeticTypes()))
      .Gradient(ReluGradGradient)
      .Example({.name = "vector",
                .inputs = {F({3}, {5, 6, 7}), F({3}, {-1, 0.5f, 2})},
                .expected = {F({3}, {0, 6, 7})}})
      .Example({.name = "matrix",
                .inputs = {F({2, 1}, {5, 6}), F({2, 1}, {3, -1})},
                .expected = {F({2, 1}, {5, 0})}})
      .Example({.name = "empty", .inputs = {F({0}, {}), F({0}, {})}, .expected = {F({0}, {})}});
}

}  // namespace espalier
