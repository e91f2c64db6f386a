// NthElement. Tested by the registry test.
#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

Shape WithoutLast(const Shape& x) {
  Shape shape;
  for (int d = 0; d + 1 < x.rank(); ++d) shape.push_back(x.dim(d));
  return shape;
}

template <typename T>
absl::Status NthElement(KernelContext& context, bool reverse) {
  const Tensor& x = context.input(0);
  const Tensor& n = context.input(1);
  if (x.rank() < 1) return absl::InvalidArgumentError("input must be at least a vector");
  if (n.rank() != 0) return absl::InvalidArgumentError("n must be a scalar");
  const int64_t length = x.dim(x.rank() - 1);
  RETURN_IF_ERROR(Indices(n).Check(length, "n"));
  const int64_t at = reverse ? length - 1 - Indices(n)[0] : Indices(n)[0];
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, WithoutLast(x.shape())));
  std::vector<T> row(length);
  for (int64_t i = 0; i < y.num_elements(); ++i) {
    std::copy_n(x.data<T>() + i * length, length, row.begin());
    std::nth_element(row.begin(), row.begin() + at, row.end());
    y.mutable_data<T>()[i] = row[at];
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// To the elements that equal the result, in equal shares.
std::vector<Output> NthGradient(const GradientContext& g) {
  const auto last = [&](const Output& x) { return g.Op("ExpandDims", {x, g.Scalar(g.x(1), -1)}); };
  const Output equal = g.Op("Equal", {g.x(0), last(g.y(0))});
  const Expression chosen = g(g.Op("Cast", {equal}, {{"DstT", RemoveRef(g.x(0).dtype())}}));
  const Output count = g.Op("Sum", {chosen, g.Int32s({-1})}, {{"keep_dims", true}});
  return {chosen / g(count) * g(last(g.dy())), Output()};
}

}  // namespace

void RegisterNthElement(OpRegistry& registry) {
  const Tensor x = F({2, 3}, {3, 1, 2, 9, 7, 8});
  registry.Add("NthElement")
      .Doc("The value that would stand at place n of each row if it were sorted.")
      .In("input", "T")
      .In("n", kInt32)
      .Out("values", "T")
      .Attr("reverse", false)
      .TypeAttr("T", kArithmeticDTypes)
      .Shape([](InferenceContext& c) -> absl::Status {
        RETURN_IF_ERROR(c.WithRankAtLeast(0, 1));
        if (c.input(0).has_rank()) c.set_output(0, WithoutLast(c.input(0)));
        return absl::OkStatus();
      })
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        const bool reverse = node.attr<bool>("reverse");
        return DispatchType(ArithmeticTypes(), RemoveRef(node.input(0).dtype()),
                            [reverse]<typename T>() -> KernelFunction {
                              return [reverse](KernelContext& context) {
                                return NthElement<T>(context, reverse);
                              };
                            });
      })
      .Gradient(NthGradient)
      .Example({.name = "middle", .inputs = {x, I({}, {1})}, .expected = {F({2}, {2, 8})}})
      .Example({.name = "largest",
                .inputs = {x, I({}, {0})},
                .attrs = {{"reverse", true}},
                .expected = {F({2}, {3, 9})}})
      .Example({.name = "empty", .inputs = {F({0, 2}, {}), I({}, {0})}, .expected = {F({0}, {})}});
}

}  // namespace espalier
