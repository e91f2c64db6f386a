// Diag and DiagPart: a tensor on the diagonal of one of twice its rank, and back. Tested by the
// registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

Shape Doubled(const Shape& x) {
  Shape shape = x;
  for (int d = 0; d < x.rank(); ++d) shape.push_back(x.dim(d));
  return shape;
}

absl::StatusOr<Shape> Halved(const Shape& x) {
  const int half = x.rank() / 2;
  Shape shape;
  bool fits = x.rank() % 2 == 0 && x.rank() > 0;
  for (int d = 0; fits && d < half; ++d) {
    const int64_t a = x.dim(d), b = x.dim(half + d);
    fits = a == b || a < 0 || b < 0;
    shape.push_back(std::max(a, b));
  }
  if (fits) return shape;
  return absl::InvalidArgumentError(
      absl::StrCat("the input must have the same dimensions twice, received ", x.ToString()));
}

template <typename S>
absl::Status Diag(KernelContext& context) {
  const Tensor& x = context.input(0);
  if (x.rank() < 1 || x.rank() > Shape::kMaxRank / 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("the input must be at least a vector, received ", x.shape().ToString()));
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), Doubled(x.shape())));
  S* to = MutableStorage<S>(y);
  std::fill_n(to, y.num_elements(), S());
  const int64_t n = x.num_elements();
  for (int64_t i = 0; i < n; ++i) to[i * (n + 1)] = Storage<S>(x)[i];
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <typename S>
absl::Status DiagPart(KernelContext& context) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(const Shape shape, Halved(x.shape()));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), shape));
  const int64_t n = y.num_elements();
  for (int64_t i = 0; i < n; ++i) MutableStorage<S>(y)[i] = Storage<S>(x)[i * (n + 1)];
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

}  // namespace

void RegisterDiag(OpRegistry& registry) {
  registry.Add("Diag")
      .Doc("A tensor of twice the rank with the input on its diagonal.")
      .In("diagonal", "T")
      .Out("output", "T")
      .TypeAttr("T", kNumericDTypes)
      .Shape([](InferenceContext& c) -> absl::Status {
        RETURN_IF_ERROR(c.WithRankAtLeast(0, 1));
        if (c.input(0).has_rank()) c.set_output(0, Doubled(c.input(0)));
        return absl::OkStatus();
      })
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchStorage(RemoveRef(node.input(0).dtype()),
                               []<typename S>() -> KernelFunction { return Diag<S>; });
      })
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("DiagPart", {g.dy()})};
      })
      .Example(
          {.name = "vector", .inputs = {F({2}, {1, 2})}, .expected = {F({2, 2}, {1, 0, 0, 2})}})
      .Example({.name = "matrix",
                .inputs = {F({1, 2}, {1, 2})},
                .expected = {F({1, 2, 1, 2}, {1, 0, 0, 2})}})
      .Example({.name = "empty", .inputs = {F({0}, {})}, .expected = {F({0, 0}, {})}});
  registry.Add("DiagPart")
      .Doc("The diagonal of a tensor whose dimensions repeat.")
      .In("input", "T")
      .Out("diagonal", "T")
      .TypeAttr("T", kNumericDTypes)
      .Shape([](InferenceContext& c) -> absl::Status {
        if (!c.input(0).has_rank()) return absl::OkStatus();
        ASSIGN_OR_RETURN(Shape shape, Halved(c.input(0)));
        c.set_output(0, shape);
        return absl::OkStatus();
      })
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchStorage(RemoveRef(node.input(0).dtype()),
                               []<typename S>() -> KernelFunction { return DiagPart<S>; });
      })
      .Gradient(
          [](const GradientContext& g) -> std::vector<Output> { return {g.Op("Diag", {g.dy()})}; })
      .Example(
          {.name = "matrix", .inputs = {F({2, 2}, {1, 2, 3, 4})}, .expected = {F({2}, {1, 4})}})
      .Example({.name = "of rank 4",
                .inputs = {F({1, 2, 1, 2}, {1, 2, 3, 4})},
                .expected = {F({1, 2}, {1, 4})}})
      .Example({.name = "empty", .inputs = {F({0, 0}, {})}, .expected = {F({0}, {})}});
}

}  // namespace espalier
