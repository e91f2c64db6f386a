// The declaration that elementwise functions of two inputs with broadcasting share.
//
//   struct Hypotenuse { auto operator()(auto x, auto y) const { return std::hypot(x, y); } };
//   DeclareBinary(registry, "Hypot", "sqrt(x^2 + y^2) with broadcasting.", kRealDTypes, reference)
//       .Kernel(BinaryKernel<Hypotenuse>(RealTypes()))
//       .Gradient(HypotGradient);
#ifndef ESPALIER_OPS_BINARY_H_
#define ESPALIER_OPS_BINARY_H_

#include <utility>
#include <vector>

#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {

// `gradient`, which has the output's shape, summed to that of `input` (0 or 1).
inline Output Reduced(const GradientContext& g, const Output& gradient, int input) {
  return SumToShapeOf(g, gradient, g.x(input), g.x(1 - input));
}

// `reference` gives the expected values of the examples. `has_steps`: their points lie on steps of
// the function, where no difference quotient converges.
inline OpSchema& DeclareBinary(OpRegistry& registry, const char* name, const char* doc,
                               const std::vector<DType>& dtypes,
                               double (*reference)(double, double), bool has_steps = false) {
  std::vector<OpExample> examples = BinaryExamples(reference);
  for (OpExample& example : examples) example.check_gradient = !has_steps;
  return registry.Add(name)
      .Doc(doc)
      .In("x", "T")
      .In("y", "T")
      .Out("z", "T")
      .TypeAttr("T", dtypes)
      .Traits({.elementwise = true})
      .Shape(BroadcastShape)
      .Examples(std::move(examples));
}

}  // namespace espalier

#endif  // ESPALIER_OPS_BINARY_H_
