// Cross. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

template <typename T>
absl::Status Cross(KernelContext& context) {
  using C = ComputeType<T>;
  const Tensor& a = context.input(0);
  const Tensor& b = context.input(1);
  if (!(a.shape() == b.shape()) || a.rank() < 1 || a.dim(a.rank() - 1) != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("both inputs must have one shape that ends in 3, received ",
                     a.shape().ToString(), " and ", b.shape().ToString()));
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, a.shape()));
  for (int64_t i = 0; i < a.num_elements(); i += 3) {
    const T* u = a.data<T>() + i;
    const T* v = b.data<T>() + i;
    for (int k = 0; k < 3; ++k) {
      const int p = (k + 1) % 3, q = (k + 2) % 3;
      y.mutable_data<T>()[i + k] =
          static_cast<T>(WrapSub(WrapMul(static_cast<C>(u[p]), static_cast<C>(v[q])),
                                 WrapMul(static_cast<C>(u[q]), static_cast<C>(v[p]))));
    }
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

}  // namespace

void RegisterCross(OpRegistry& registry) {
  registry.Add("Cross")
      .Doc("The cross product of vectors of three, in the last dimension.")
      .In("a", "T")
      .In("b", "T")
      .Out("product", "T")
      .TypeAttr("T", kArithmeticDTypes)
      .Shape(AllInputsEqualShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(ArithmeticTypes(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction { return Cross<T>; });
      })
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("Cross", {g.x(1), g.dy()}), g.Op("Cross", {g.dy(), g.x(0)})};
      })
      .Example({.name = "axes",
                .inputs = {F({3}, {1, 0, 0}), F({3}, {0, 1, 0})},
                .expected = {F({3}, {0, 0, 1})}})
      .Example({.name = "rows",
                .inputs = {F({2, 3}, {1, 2, 3, 4, 5, 6}), F({2, 3}, {6, 5, 4, 1, 0, 2})},
                .expected = {F({2, 3}, {-7, 14, -7, 10, -2, -5})}})
      .Example(
          {.name = "empty", .inputs = {F({0, 3}, {}), F({0, 3}, {})}, .expected = {F({0, 3}, {})}});
}

}  // namespace espalier
