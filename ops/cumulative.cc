// Cumsum, Cumprod and CumulativeLogsumexp. Tested by the registry test.
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/reduce.h"

namespace espalier {
namespace {

struct Direction {
  bool exclusive;
  bool reverse;
};

// log(e^a + e^b), without overflow.
struct LogSumExpOf {
  template <typename T>
  static T First() {
    return -std::numeric_limits<T>::infinity();
  }
  template <typename T>
  static T Step(T a, T b) {
    const T larger = std::max(a, b), smaller = std::min(a, b);
    if (larger == First<T>()) return larger;
    return larger + std::log1p(std::exp(smaller - larger));
  }
};

template <typename R, typename T>
absl::Status Accumulate(KernelContext& context, Direction direction) {
  using C = ComputeType<T>;
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(std::vector<int64_t> axis_value, IntegerVector(context.input(1), "the axis"));
  if (axis_value.size() != 1) return absl::InvalidArgumentError("the axis must be a scalar");
  ASSIGN_OR_RETURN(int64_t axis, NormalizeAxis(axis_value[0], x.rank()));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, x.shape()));
  const int64_t n = x.dim(static_cast<int>(axis));
  int64_t inner = 1;
  for (int d = static_cast<int>(axis) + 1; d < x.rank(); ++d) inner *= x.dim(d);
  const int64_t lines = n == 0 ? 0 : x.num_elements() / n;
  const T* in = x.data<T>();
  T* out = y.mutable_data<T>();
  context.ParallelFor(lines, std::max<int64_t>(1, kElementwiseBlock / std::max<int64_t>(n, 1)),
                      [&](int64_t begin, int64_t end) {
                        for (int64_t line = begin; line < end; ++line) {
                          const int64_t start = line / inner * inner * n + line % inner;
                          C total = R::template First<C>();
                          for (int64_t k = 0; k < n; ++k) {
                            const int64_t at = start + (direction.reverse ? n - 1 - k : k) * inner;
                            const C value = static_cast<C>(in[at]);
                            if (direction.exclusive) out[at] = static_cast<T>(total);
                            total = R::Step(total, value);
                            if (!direction.exclusive) out[at] = static_cast<T>(total);
                          }
                        }
                      });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <typename R, typename Types>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  const Direction direction = {.exclusive = node.attr<bool>("exclusive"),
                               .reverse = node.attr<bool>("reverse")};
  return DispatchType(
      Types(), RemoveRef(node.input(0).dtype()), [direction]<typename T>() -> KernelFunction {
        return [direction](KernelContext& context) { return Accumulate<R, T>(context, direction); };
      });
}

Output Cumsum(const GradientContext& g, const Output& x, bool exclusive, bool reverse) {
  return g.Op("Cumsum", {x, g.x(1)}, {{"exclusive", exclusive}, {"reverse", reverse}});
}

std::vector<Output> CumsumGradient(const GradientContext& g) {
  return {Cumsum(g, g.dy(), g.node().attr<bool>("exclusive"), !g.node().attr<bool>("reverse")),
          Output()};
}

// As TensorFlow: sums of dy y, over x. Undefined where x is 0.
std::vector<Output> CumprodGradient(const GradientContext& g) {
  const Output weighted = g(g.dy()) * g(g.y(0));
  const Output sums =
      Cumsum(g, weighted, g.node().attr<bool>("exclusive"), !g.node().attr<bool>("reverse"));
  return {g(sums) / g(g.x(0)), Output()};
}

// dx_i = e^x_i Σ dy_k e^-y_k over the k whose sum x_i is part of: again such a sum, from the other
// side; positive and negative dy apart, as they are logarithms.
std::vector<Output> LogSumExpGradient(const GradientContext& g) {
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

template <typename R, typename Types>
OpSchema& Add(OpRegistry& registry, const char* name, const char* doc,
              const std::vector<DType>& dtypes) {
  return registry.Add(name)
      .Doc(doc)
      .In("x", "T")
      .In("axis", "Tidx")
      .Out("out", "T")
      .Attr("exclusive", false)
      .Attr("reverse", false)
      .TypeAttr("T", dtypes)
      .TypeAttr("Tidx", kIndexDTypes, kInt32)
      .Shape(UnchangedShape)
      .Kernel(Make<R, Types>);
}

}  // namespace

void RegisterCumulative(OpRegistry& registry) {
  const Tensor m = F({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor empty = F({0, 2}, {});
  Add<SumOf, ArithmeticTypes>(registry, "Cumsum", "Running sums along an axis.", kArithmeticDTypes)
      .Gradient(CumsumGradient)
      .Example({.name = "columns",
                .inputs = {m, I({}, {1})},
                .expected = {F({2, 3}, {1, 3, 6, 4, 9, 15})}})
      .Example({.name = "exclusive",
                .inputs = {m, L({}, {0})},
                .attrs = {{"exclusive", true}},
                .expected = {F({2, 3}, {0, 0, 0, 1, 2, 3})}})
      .Example({.name = "reverse",
                .inputs = {m, I({}, {-1})},
                .attrs = {{"reverse", true}, {"exclusive", true}},
                .expected = {F({2, 3}, {5, 3, 0, 11, 6, 0})}})
      .Example({.name = "empty", .inputs = {empty, I({}, {0})}, .expected = {empty}});
  Add<ProdOf, ArithmeticTypes>(registry, "Cumprod", "Running products along an axis.",
                               kArithmeticDTypes)
      .Gradient(CumprodGradient)
      .Example({.name = "columns",
                .inputs = {m, I({}, {1})},
                .expected = {F({2, 3}, {1, 2, 6, 4, 20, 120})}})
      .Example({.name = "reverse",
                .inputs = {m, I({}, {0})},
                .attrs = {{"reverse", true}},
                .expected = {F({2, 3}, {4, 10, 18, 4, 5, 6})}})
      .Example({.name = "exclusive",
                .inputs = {m, I({}, {1})},
                .attrs = {{"exclusive", true}},
                .expected = {F({2, 3}, {1, 1, 2, 1, 4, 20})}})
      .Example({.name = "empty", .inputs = {empty, I({}, {0})}, .expected = {empty}});
  const Tensor line = F({3}, {0.5f, 1, -1});
  Add<LogSumExpOf, RealTypes>(registry, "CumulativeLogsumexp",
                              "The logarithm of the running sum of e^x along an axis.", kRealDTypes)
      .Gradient(LogSumExpGradient)
      .Example({.name = "forward",
                .inputs = {line, I({}, {0})},
                .expected = {F({3}, {0.5f, 1.4740770f, 1.5549574f})},
                .constant_inputs = {1}})
      .Example({.name = "reverse",
                .inputs = {line, I({}, {0})},
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
