// CumulativeLogsumexp. Tested by the registry test.
#include <cmath>
#include <limits>

#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

// log(e^a + e^b), without overflow.
template <typename C>
C LogAdd(C a, C b) {
  const C larger = std::max(a, b), smaller = std::min(a, b);
  if (larger == -std::numeric_limits<C>::infinity()) return larger;
  return larger + std::log1p(std::exp(smaller - larger));
}

template <typename T>
absl::Status Accumulate(KernelContext& context, bool exclusive, bool reverse) {
  using C = ComputeType<T>;
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(std::vector<int64_t> axis_value, IntegerVector(context.input(1), "the axis"));
  if (axis_value.size() != 1) return absl::InvalidArgumentError("the axis must be a scalar");
  ASSIGN_OR_RETURN(const int64_t axis, NormalizeAxis(axis_value[0], x.rank()));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, x.shape()));
  const int64_t n = x.dim(static_cast<int>(axis));
  int64_t inner = 1;
  for (int d = static_cast<int>(axis) + 1; d < x.rank(); ++d) inner *= x.dim(d);
  const int64_t lines = n == 0 ? 0 : x.num_elements() / n;
  for (int64_t line = 0; line < lines; ++line) {
    const int64_t start = line / inner * inner * n + line % inner;
    C total = -std::numeric_limits<C>::infinity();
    for (int64_t k = 0; k < n; ++k) {
      const int64_t at = start + (reverse ? n - 1 - k : k) * inner;
      const C next = LogAdd(total, static_cast<C>(x.data<T>()[at]));
      y.mutable_data<T>()[at] = static_cast<T>(exclusive ? total : next);
      total = next;
    }
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// dx_i = e^x_i Σ dy_k e^-y_k over the k whose sum x_i is part of: again such a sum, from the other
// side; positive and negative dy apart, as they are logarithms.
std::vector<Output> AccumulateGradient(const GradientContext& g) {
  const bool exclusive = g.node().attr<bool>("exclusive"), reverse = g.node().attr<bool>("reverse");
  const Output zero = g.Op("ZerosLike", {g.dy()});
  const double lowest = RemoveRef(g.dy().dtype()) == kHalf ? -65504.0 : -1e38;
  const Output none = g.Op("Fill", {g.Op("Shape", {g.dy()}), g.Scalar(g.dy(), lowest)});
  const auto part = [&](const Output& dy) {
    const Output positive = g.Op("Greater", {dy, zero});
    const Output safe = g.Op("SelectV2", {positive, dy, g.Op("OnesLike", {dy})});
    const Output log = g.Op("SelectV2", {positive, g.Op("Log", {safe}), none});
    const Output terms = g.Op("SelectV2", {positive, g(log) - g(g.y(0)), none});
    const Output sum = g.Op("CumulativeLogsumexp", {terms, g.x(1)},
                            {{"exclusive", exclusive}, {"reverse", !reverse}});
    return g(g.Op("Exp", {g(sum) + g(g.x(0))}));
  };
  return {part(g.dy()) - part(-g(g.dy())), Output()};
}

}  // namespace

void RegisterCumulativeLogSumExp(OpRegistry& registry) {
  const Tensor x = F({3}, {0.5f, 1, -1});
  registry.Add("CumulativeLogsumexp")
      .Doc("The logarithm of the running sum of e^x along an axis.")
      .In("x", "T")
      .In("axis", "Tidx")
      .Out("out", "T")
      .Attr("exclusive", false)
      .Attr("reverse", false)
      .TypeAttr("T", kRealDTypes)
      .TypeAttr("Tidx", kIndexDTypes, kInt32)
      .Shape(UnchangedShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        const bool exclusive = node.attr<bool>("exclusive"), reverse = node.attr<bool>("reverse");
        return DispatchType(RealTypes(), RemoveRef(node.input(0).dtype()),
                            [=]<typename T>() -> KernelFunction {
                              return [=](KernelContext& context) {
                                return Accumulate<T>(context, exclusive, reverse);
                              };
                            });
      })
      .Gradient(AccumulateGradient)
      .Example({.name = "forward",
                .inputs = {x, I({}, {0})},
                .expected = {F({3}, {0.5f, 1.4740770f, 1.5549574f})},
                .constant_inputs = {1}})
      .Example({.name = "reverse",
                .inputs = {x, I({}, {0})},
                .attrs = {{"reverse", true}},
                .expected = {F({3}, {1.5549574f, 1.1269280f, -1})},
                .constant_inputs = {1}})
      .Example({.name = "rows",
                .inputs = {F({2, 2}, {0, 0, 1, 2}), L({}, {1})},
                .expected = {F({2, 2}, {0, 0.6931472f, 1, 2.3132617f})},
                .constant_inputs = {1}})
      .Example({.name = "empty", .inputs = {F({0}, {}), I({}, {0})}, .expected = {F({0}, {})}});
}

}  // namespace espalier
