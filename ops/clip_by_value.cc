// ClipByValue. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

// Bounds are scalars or have the shape of the tensor.
template <typename T>
absl::Status Clip(KernelContext& context) {
  using C = ComputeType<T>;
  const Tensor& x = context.input(0);
  int64_t steps[2];
  for (int i = 0; i < 2; ++i) {
    const Tensor& bound = context.input(i + 1);
    if (bound.rank() != 0 && !(bound.shape() == x.shape())) {
      return absl::InvalidArgumentError(absl::StrCat("the bounds must be scalars or have shape ",
                                                     x.shape().ToString(), ", received ",
                                                     bound.shape().ToString()));
    }
    steps[i] = bound.rank() == 0 ? 0 : 1;
  }
  ASSIGN_OR_RETURN(Tensor y, context.ForwardOrAllocate(0, x.shape()));
  const T* in = x.data<T>();
  const T* low = context.input(1).data<T>();
  const T* high = context.input(2).data<T>();
  T* out = y.mutable_data<T>();
  context.ParallelFor(x.num_elements(), kElementwiseBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const C smaller = std::min(static_cast<C>(in[i]), static_cast<C>(high[i * steps[1]]));
      out[i] = static_cast<T>(std::max(smaller, static_cast<C>(low[i * steps[0]])));
    }
  });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// To the tensor where it is inside, else to the bound that it met.
std::vector<Output> ClipGradient(const GradientContext& g) {
  const Output zeros = g.Op("ZerosLike", {g.dy()});
  const Output below = g.Op("Less", {g.x(0), g.x(1)});
  const Output above = g.Op("Greater", {g.x(0), g.x(2)});
  const auto where = [&](const Output& met) { return g.Op("SelectV2", {met, g.dy(), zeros}); };
  const Output outside = g.Op("LogicalOr", {below, above});
  return {g.Op("SelectV2", {outside, zeros, g.dy()}), SumToShapeOf(g, where(below), g.x(1), g.x(0)),
          SumToShapeOf(g, where(above), g.x(2), g.x(0))};
}

}  // namespace

void RegisterClipByValue(OpRegistry& registry) {
  registry.Add("ClipByValue")
      .Doc("The nearest value to t in [clip_value_min, clip_value_max].")
      .In("t", "T")
      .In("clip_value_min", "T")
      .In("clip_value_max", "T")
      .Out("output", "T")
      .TypeAttr("T", kArithmeticDTypes)
      .Traits({.elementwise = true})
      .Shape(UnchangedShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(ArithmeticTypes(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction { return Clip<T>; });
      })
      .Gradient(ClipGradient)
      .Example({.name = "scalars",
                .inputs = {F({4}, {-2, 0.5f, 1.5f, 4}), F({}, {-1}), F({}, {2})},
                .expected = {F({4}, {-1, 0.5f, 1.5f, 2})}})
      .Example({.name = "tensors",
                .inputs = {F({2}, {-2, 5}), F({2}, {-1, 0}), F({2}, {0, 1})},
                .expected = {F({2}, {-1, 1})}})
      .Example({.name = "empty",
                .inputs = {F({0}, {}), F({}, {0}), F({}, {1})},
                .expected = {F({0}, {})}});
}

}  // namespace espalier
