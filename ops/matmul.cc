// MatMul: Eigen on one thread, on blocks of rows or columns that are cut by shape. Tested by the
// registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/channel_map.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/matrix_product.h"

namespace espalier {
namespace {

// Work that is worth a thread, and what a block holds at least: Eigen packs the other operand once
// for each block.
constexpr int64_t kFlopsPerBlock = 1 << 20;
constexpr int64_t kBlockRows = 32;
constexpr int64_t kBlockColumns = 96;

// Columns [begin, end) of the product, as MultiplyRows does rows.
template <typename T>
void MultiplyColumns(const T* a, const T* b, T* y, int64_t m, int64_t k, int64_t n,
                     bool transpose_a, bool transpose_b, int64_t begin, int64_t end) {
  const Eigen::Map<const Matrix<T>> left(a, transpose_a ? k : m, transpose_a ? m : k);
  const Eigen::Map<const Matrix<T>> right(b, transpose_b ? n : k, transpose_b ? k : n);
  Eigen::Map<Matrix<T>> out(y, m, n);
  const int64_t columns = end - begin;
  auto part = out.middleCols(begin, columns);
  if (transpose_a && transpose_b) {
    part.noalias() = left.transpose() * right.middleRows(begin, columns).transpose();
  } else if (transpose_a) {
    part.noalias() = left.transpose() * right.middleCols(begin, columns);
  } else if (transpose_b) {
    part.noalias() = left * right.middleRows(begin, columns).transpose();
  } else {
    part.noalias() = left * right.middleCols(begin, columns);
  }
}

template <typename T>
absl::Status Multiply(KernelContext& context, bool transpose_a, bool transpose_b) {
  const Tensor& a = context.input(0);
  const Tensor& b = context.input(1);
  if (a.rank() != 2 || b.rank() != 2) {
    return absl::InvalidArgumentError(absl::StrCat("both inputs must be matrices, received ",
                                                   a.shape().ToString(), " and ",
                                                   b.shape().ToString()));
  }
  const int64_t m = a.dim(transpose_a ? 1 : 0);
  const int64_t k = a.dim(transpose_a ? 0 : 1);
  const int64_t n = b.dim(transpose_b ? 0 : 1);
  if (b.dim(transpose_b ? 1 : 0) != k) {
    return absl::InvalidArgumentError(absl::StrCat(
        "inner dimensions differ: ", a.shape().ToString(), transpose_a ? " (transposed)" : "",
        " times ", b.shape().ToString(), transpose_b ? " (transposed)" : ""));
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, {m, n}));
  T* out = y.mutable_data<T>();
  if (k == 0) {
    std::fill(out, out + y.num_elements(), T(0));
  } else if (y.num_elements() > 0) {
    // The longer side is cut.
    const int64_t side = std::max(m, n);
    const int64_t least = n > m ? kBlockColumns : kBlockRows;
    const int64_t block =
        std::max(least, kFlopsPerBlock / (2 * k * std::min(m, n)) / least * least);
    context.ParallelFor(side, block, [&](int64_t begin, int64_t end) {
      const auto multiply = n > m ? MultiplyColumns<T> : MultiplyRows<T>;
      multiply(a.data<T>(), b.data<T>(), out, m, k, n, transpose_a, transpose_b, begin, end);
    });
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeMatMul(const Node& node) {
  const bool a = node.attr<bool>("transpose_a");
  const bool b = node.attr<bool>("transpose_b");
  return DispatchType(MatMulTypes(), RemoveRef(node.input(0).dtype()),
                      [=]<typename T>() -> KernelFunction {
                        return [=](KernelContext& context) { return Multiply<T>(context, a, b); };
                      });
}

// The columns of the product are the channels.
absl::StatusOr<Tensor> ScaleColumns(const Node& node, const Tensor& weights,
                                    const std::vector<double>& scale) {
  const auto n = static_cast<int64_t>(scale.size());
  if (weights.rank() != 2 || weights.dim(node.attr<bool>("transpose_b") ? 0 : 1) != n)
    return absl::InvalidArgumentError("the weights have another number of columns");
  if (!node.attr<bool>("transpose_b"))
    return ScaleElements(weights, scale, [&](int64_t i) { return i % n; });
  return ScaleElements(weights, scale, [&](int64_t i) { return i / weights.dim(1); });
}

absl::Status MatMulShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(0, 2));
  RETURN_IF_ERROR(c.WithRank(1, 2));
  const int ta = c.node().attr<bool>("transpose_a") ? 1 : 0;
  const int tb = c.node().attr<bool>("transpose_b") ? 1 : 0;
  const int64_t inner_a = c.dim(0, 1 - ta);
  const int64_t inner_b = c.dim(1, tb);
  if (inner_a >= 0 && inner_b >= 0 && inner_a != inner_b) {
    return absl::InvalidArgumentError(absl::StrCat(
        "inner dimensions differ: ", c.input(0).ToString(), ta != 0 ? " (transposed)" : "",
        " times ", c.input(1).ToString(), tb != 0 ? " (transposed)" : ""));
  }
  c.set_output(0, {c.dim(0, ta), c.dim(1, 1 - tb)});
  return absl::OkStatus();
}

// d(ab)/da = dy b', and so on for each transposition.
std::vector<Output> MatMulGradient(const GradientContext& g) {
  const bool ta = g.node().attr<bool>("transpose_a");
  const bool tb = g.node().attr<bool>("transpose_b");
  const auto product = [&](const Output& a, const Output& b, bool transpose_a, bool transpose_b) {
    return g.Op("MatMul", {a, b}, {{"transpose_a", transpose_a}, {"transpose_b", transpose_b}});
  };
  const Output dy = g.dy();
  return {ta ? product(g.x(1), dy, tb, true) : product(dy, g.x(1), false, !tb),
          tb ? product(dy, g.x(0), true, ta) : product(g.x(0), dy, !ta, false)};
}

}  // namespace

void RegisterMatMul(OpRegistry& registry) {
  const Tensor a = F({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor b = F({3, 2}, {1, -1, 0.5f, 2, 3, 0});
  const Tensor ab = F({2, 2}, {11, 3, 24.5f, 6});
  registry.Add("MatMul")
      .Doc("The product of two matrices, each transposed first if asked for.")
      .In("a", "T")
      .In("b", "T")
      .Out("product", "T")
      .Attr("transpose_a", false)
      .Attr("transpose_b", false)
      .TypeAttr("T", {kFloat, kDouble, kHalf, kInt32, kInt64})
      .Attr("grad_a", false)
      .Attr("grad_b", false)
      .Shape(MatMulShape)
      .Kernel(MakeMatMul)
      .ScaleWeights(ScaleColumns)
      .Gradient(MatMulGradient)
      .Example({.name = "plain", .inputs = {a, b}, .expected = {ab}})
      .Example({.name = "a transposed",
                .inputs = {F({3, 2}, {1, 4, 2, 5, 3, 6}), b},
                .attrs = {{"transpose_a", true}},
                .expected = {ab}})
      .Example({.name = "b transposed",
                .inputs = {a, F({2, 3}, {1, 0.5f, 3, -1, 2, 0})},
                .attrs = {{"transpose_b", true}},
                .expected = {ab}})
      .Example({.name = "both",
                .inputs = {F({3, 2}, {1, 4, 2, 5, 3, 6}), F({2, 3}, {1, 0.5f, 3, -1, 2, 0})},
                .attrs = {{"transpose_a", true}, {"transpose_b", true}},
                .expected = {ab}})
      .Example({.name = "nothing to sum",
                .inputs = {F({2, 0}, {}), F({0, 1}, {})},
                .expected = {F({2, 1}, {0, 0})}});
}

}  // namespace espalier
