// The declaration that elementwise functions of one floating input share.
//
//   struct SinOf { auto operator()(auto x) const { return std::sin(x); } };
//   AddUnary<SinOf>(registry, "Sin", "The sine, elementwise.", {-2, 0.5f},
//                   [](double x) { return std::sin(x); }).Gradient(SinGradient);
//
// What is left to say is the gradient.
#ifndef ESPALIER_OPS_UNARY_H_
#define ESPALIER_OPS_UNARY_H_

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {

// INVALID_ARGUMENT unless inputs 0 and 1 have one shape.
inline absl::Status CheckEqualShapes(const KernelContext& context) {
  const Shape& x = context.input(0).shape();
  const Shape& y = context.input(1).shape();
  if (x == y) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the inputs must have one shape, received ",
                                                 x.ToString(), " and ", y.ToString()));
}

// `reference` gives the expected values of the examples at `points`.
template <typename Functor>
OpSchema& AddUnary(OpRegistry& registry, const char* name, const char* doc,
                   std::initializer_list<float> points, double (*reference)(double)) {
  return registry.Add(name)
      .Doc(doc)
      .In("x", "T")
      .Out("y", "T")
      .TypeAttr("T", kRealDTypes)
      .Traits({.elementwise = true})
      .Shape(UnchangedShape)
      .Kernel(UnaryKernel<Functor>(RealTypes()))
      .Examples(UnaryExamples(reference, points));
}

// z = f(x, y) for x and y of one shape.
template <typename Functor, typename Types>
KernelFactory EqualShapesKernel(Types types) {
  return [types](const Node& node) -> absl::StatusOr<KernelFunction> {
    return DispatchType(types, RemoveRef(node.input(0).dtype()),
                        []<typename T>() -> KernelFunction {
                          return [](KernelContext& context) -> absl::Status {
                            RETURN_IF_ERROR(CheckEqualShapes(context));
                            return BroadcastBinary<T, Functor>(context);
                          };
                        });
  };
}

// An op of an activation's output (or input) y and the gradient dy that arrives there: the gradient
// ops that TensorFlow names, such as SigmoidGrad. Not broadcast.
template <typename Functor, typename Types>
OpSchema& AddUnaryGradient(OpRegistry& registry, const char* name, const char* doc,
                           const char* first, const char* second, Types types,
                           const std::vector<DType>& dtypes, double (*reference)(double, double)) {
  const auto expected = [&](const Tensor& a, const Tensor& b) {
    std::vector<float> values;
    for (int64_t i = 0; i < a.num_elements(); ++i) {
      values.push_back(static_cast<float>(reference(a.data<float>()[i], b.data<float>()[i])));
    }
    return Tensor::FromVector<float>(a.shape(), values);
  };
  const Tensor a = F({4}, {0.75f, 0.25f, -0.5f, 1.5f});
  const Tensor b = F({4}, {2, -1, 0.5f, 3});
  const Tensor c = F({2, 1}, {0.4f, 0.6f});
  const Tensor empty = F({0, 2}, {});
  return registry.Add(name)
      .Doc(doc)
      .In(first, "T")
      .In(second, "T")
      .Out("z", "T")
      .TypeAttr("T", dtypes)
      .Traits({.elementwise = true})
      .Shape(AllInputsEqualShape)
      .Kernel(EqualShapesKernel<Functor>(types))
      .Example({.name = "vector", .inputs = {a, b}, .expected = {expected(a, b)}})
      .Example({.name = "matrix", .inputs = {c, c}, .expected = {expected(c, c)}})
      .Example({.name = "empty", .inputs = {empty, empty}, .expected = {empty}});
}

}  // namespace espalier

#endif  // ESPALIER_OPS_UNARY_H_
