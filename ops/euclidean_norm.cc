// EuclideanNorm. Tested by the registry test.
#include <cmath>

#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/reduce.h"

namespace espalier {
namespace {

template <typename T>
absl::Status Norm(KernelContext& context, bool keep_dims) {
  using C = ComputeType<T>;
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(std::vector<int64_t> axes, IntegerVector(context.input(1), "the axes"));
  ASSIGN_OR_RETURN(ReductionLayout layout, ReductionLayout::Make(x.shape(), axes, keep_dims));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, layout.output));
  std::vector<C> squares(x.num_elements()), sums(y.num_elements());
  for (int64_t i = 0; i < x.num_elements(); ++i) {
    const C value = static_cast<C>(x.data<T>()[i]);
    squares[i] = WrapMul(value, value);
  }
  ReduceInto<SumOf>(context, squares.data(), layout, sums.data());
  for (int64_t i = 0; i < y.num_elements(); ++i) {
    using Root = std::conditional_t<std::is_integral_v<C>, double, C>;
    y.mutable_data<T>()[i] = static_cast<T>(std::sqrt(static_cast<Root>(sums[i])));
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// x / y, both in the shape of x.
std::vector<Output> NormGradient(const GradientContext& g) {
  const Output axes = g.x(1);
  Output y = g.y(0), dy = g.dy();
  if (!g.node().attr<bool>("keep_dims")) {
    // The sum over kept axes has the shape that y would have had.
    const Output kept = g.Op("Shape", {g.Op("Sum", {g.x(0), axes}, {{"keep_dims", true}})});
    y = g.Op("Reshape", {y, kept});
    dy = g.Op("Reshape", {dy, kept});
  }
  return {g(g.x(0)) * (g(dy) / g(y)), Output()};
}

OpExample Over(const char* name, Tensor x, Tensor axes, Tensor expected, bool keep_dims = false) {
  return {.name = name,
          .inputs = {std::move(x), std::move(axes)},
          .attrs = {{"keep_dims", keep_dims}},
          .expected = {std::move(expected)},
          .constant_inputs = {1}};
}

}  // namespace

void RegisterEuclideanNorm(OpRegistry& registry) {
  const Tensor m = F({2, 2}, {3, 4, 5, 12});
  registry.Add("EuclideanNorm")
      .Doc("The square root of the sum of squares over axes.")
      .In("input", "T")
      .In("reduction_indices", "Tidx")
      .Out("output", "T")
      .Attr("keep_dims", false)
      .TypeAttr("T", kArithmeticDTypes)
      .TypeAttr("Tidx", kIndexDTypes, kInt32)
      .Shape(ReductionShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(
            ArithmeticTypes(), RemoveRef(node.input(0).dtype()),
            [keep_dims = node.attr<bool>("keep_dims")]<typename T>() -> KernelFunction {
              return [keep_dims](KernelContext& context) { return Norm<T>(context, keep_dims); };
            });
      })
      .Gradient(NormGradient)
      .Example(Over("rows", m, I({1}, {1}), F({2}, {5, 13})))
      .Example(Over("columns kept", F({2, 1}, {3, 4}), I({1}, {-2}), F({1, 1}, {5}), true))
      .Example(Over("all", m, L({2}, {0, 1}), F({}, {13.928388f})))
      .Example(Over("empty", F({2, 0}, {}), I({1}, {0}), F({0}, {})));
}

}  // namespace espalier
