// AddN. Tested by the registry test.
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

template <typename T>
absl::Status Sum(KernelContext& context) {
  const Shape& shape = context.input(0).shape();
  for (int k = 1; k < context.num_inputs(); ++k) {
    if (!(context.input(k).shape() == shape)) {
      return absl::InvalidArgumentError("inputs must have the same shape, received " +
                                        shape.ToString() + " and " +
                                        context.input(k).shape().ToString());
    }
  }
  if (context.num_inputs() == 1) {
    context.set_output(0, context.input(0));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(Tensor y, context.ForwardOrAllocate(0, shape));
  T* out = y.mutable_data<T>();
  context.ParallelFor(y.num_elements(), kElementwiseBlock, [&](int64_t begin, int64_t end) {
    using C = ComputeType<T>;
    const T* first = context.input(0).data<T>();
    const T* second = context.input(1).data<T>();
    for (int64_t i = begin; i < end; ++i) {
      out[i] = static_cast<T>(WrapAdd(static_cast<C>(first[i]), static_cast<C>(second[i])));
    }
    for (int k = 2; k < context.num_inputs(); ++k) {
      const T* next = context.input(k).data<T>();
      for (int64_t i = begin; i < end; ++i) {
        out[i] = static_cast<T>(WrapAdd(static_cast<C>(out[i]), static_cast<C>(next[i])));
      }
    }
  });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

std::vector<Output> AddNGradient(const GradientContext& g) {
  return std::vector<Output>(g.node().num_inputs(), g.dy());
}

}  // namespace

void RegisterAddN(OpRegistry& registry) {
  registry.Add("AddN")
      .Doc("The sum of N tensors of one shape, from left to right.")
      .InList("inputs", "N", "T")
      .Out("sum", "T")
      .Attr("N", 1)
      .Minimum(1)
      .TypeAttr("T", kArithmeticDTypes)
      .Traits({.elementwise = true})
      .Shape(AllInputsEqualShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(ArithmeticTypes(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction { return Sum<T>; });
      })
      .Gradient(AddNGradient)
      .Example({.name = "three",
                .inputs = {F({2}, {1, 2}), F({2}, {3, 4}), F({2}, {5, 6})},
                .expected = {F({2}, {9, 12})}})
      .Example({.name = "one", .inputs = {F({}, {1.5f})}, .expected = {F({}, {1.5f})}})
      .Example({.name = "empty", .inputs = {F({0}, {}), F({0}, {})}, .expected = {F({0}, {})}});
}

}  // namespace espalier
