// Softsign. Tested by the registry test.
#include <cmath>

#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

struct SoftsignOf {
  auto operator()(auto x) const { return x / (1 + std::abs(x)); }
};

// d/dx x / (1 + |x|) = 1 / (1 + |x|)²
std::vector<Output> SoftsignGradient(const GradientContext& g) {
  const Expression one_plus = g(g.Op("Abs", {g.x(0)})) + 1;
  return {g(g.dy()) / (one_plus * one_plus)};
}

}  // namespace

void RegisterSoftsign(OpRegistry& registry) {
  registry.Add("Softsign")
      .Doc("x / (1 + |x|), elementwise.")
      .In("features", "T")
      .Out("activations", "T")
      .TypeAttr("T", kRealDTypes)
      .Traits({.elementwise = true})
      .Shape(UnchangedShape)
      .Kernel(UnaryKernel<SoftsignOf>(RealTypes()))
      .Gradient(SoftsignGradient)
      .Examples(
          UnaryExamples([](double x) { return x / (1 + std::abs(x)); }, {-3, -0.5f, 0.25f, 2}));
}

}  // namespace espalier
