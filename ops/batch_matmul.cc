// BatchMatMul and BatchMatMulV2: products of stacks of matrices. Tested by the
// registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/matrix_product.h"

namespace espalier {
namespace {

constexpr char kMatrixRank[] = "both inputs must have rank 2 or more";

Shape Front(const Shape& shape) {
  Shape front;
  for (int d = 0; d + 2 < shape.rank(); ++d) front.push_back(shape.dim(d));
  return front;
}

// The shape of the product: batch dimensions broadcast, inner dimensions equal.
absl::StatusOr<Shape> ProductShape(const Shape& x, const Shape& y, bool adj_x, bool adj_y) {
  if (x.rank() < 2 || y.rank() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat(kMatrixRank, ", received ", x.ToString(), " and ", y.ToString()));
  }
  const auto dim = [](const Shape& s, bool last) { return s.dim(s.rank() - (last ? 1 : 2)); };
  const int64_t inner_x = dim(x, !adj_x), inner_y = dim(y, adj_y);
  if (inner_x >= 0 && inner_y >= 0 && inner_x != inner_y) {
    return absl::InvalidArgumentError(absl::StrCat("inner dimensions differ: ", x.ToString(),
                                                   adj_x ? " (transposed)" : "", " times ",
                                                   y.ToString(), adj_y ? " (transposed)" : ""));
  }
  ASSIGN_OR_RETURN(Shape shape, Shape::Broadcast(Front(x), Front(y)));
  shape.push_back(dim(x, adj_x));
  shape.push_back(dim(y, !adj_y));
  return shape;
}

template <typename T>
absl::Status Multiply(KernelContext& context, bool adj_x, bool adj_y) {
  const Tensor& x = context.input(0);
  const Tensor& y = context.input(1);
  ASSIGN_OR_RETURN(Shape shape, ProductShape(x.shape(), y.shape(), adj_x, adj_y));
  ASSIGN_OR_RETURN(Tensor z, context.Allocate(DTypeOf<T>, shape));
  const Shape batch = Front(shape);
  const int64_t m = shape.dim(shape.rank() - 2), n = shape.dim(shape.rank() - 1);
  const int64_t k = x.dim(x.rank() - (adj_x ? 2 : 1));
  // Where the matrices of each batch start: a batch dimension of 1 repeats.
  const auto starts = [&](const Shape& s) {
    std::vector<int64_t> strides(batch.rank(), 0);
    int64_t stride = s.dim(s.rank() - 2) * s.dim(s.rank() - 1);
    for (int d = s.rank() - 3, b = batch.rank() - 1; d >= 0; --d, --b) {
      strides[b] = s.dim(d) == 1 ? 0 : stride;
      stride *= s.dim(d);
    }
    return OffsetsOf(batch, strides);
  };
  if (z.num_elements() > 0) {
    const std::vector<int64_t> from_x = starts(x.shape()), from_y = starts(y.shape());
    const int64_t block = std::max<int64_t>(1, (1 << 18) / std::max<int64_t>(1, m * n * k));
    context.ParallelFor(
        static_cast<int64_t>(from_x.size()), block, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            MultiplyRows(x.data<T>() + from_x[i], y.data<T>() + from_y[i],
                         z.mutable_data<T>() + i * m * n, m, k, n, adj_x, adj_y, 0, m);
          }
        });
  }
  context.set_output(0, std::move(z));
  return absl::OkStatus();
}

absl::Status BatchMatMulShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRankAtLeast(0, 2));
  RETURN_IF_ERROR(c.WithRankAtLeast(1, 2));
  if (!c.input(0).has_rank() || !c.input(1).has_rank()) return absl::OkStatus();
  ASSIGN_OR_RETURN(Shape shape, ProductShape(c.input(0), c.input(1), c.node().attr<bool>("adj_x"),
                                             c.node().attr<bool>("adj_y")));
  c.set_output(0, shape);
  return absl::OkStatus();
}

// Summed over the batch dimensions that were broadcast: the matrices' own dimensions agree, so the
// shapes as they are tell which.
Output Reduced(const GradientContext& g, const Output& gradient, int input) {
  const Shape& a = g.x(0).shape();
  const Shape& b = g.x(1).shape();
  if (a.has_rank() && b.has_rank() && Front(a).IsFullyKnown() && Front(a) == Front(b))
    return gradient;
  const auto front = [&](const Output& x) {
    const Output shape = g.ShapeOf(x);
    const Output count = g(g.Op("Reshape", {g.Op("Rank", {x}), g.Int32s({1})})) - 2;
    return g.Op("Slice", {shape, g.Int32s({0}), count});
  };
  const Node* axes = g.OpNode("BroadcastGradientArgs", {front(g.x(input)), front(g.x(1 - input))});
  if (axes == nullptr) return Output();
  const Output sum = g.Op("Sum", {gradient, axes->output(0)}, {{"keep_dims", false}});
  return g.Op("Reshape", {sum, g.ShapeOf(g.x(input))});
}

std::vector<Output> BatchMatMulGradient(const GradientContext& g) {
  const bool ax = g.node().attr<bool>("adj_x");
  const bool ay = g.node().attr<bool>("adj_y");
  const auto product = [&](const Output& a, const Output& b, bool adj_x, bool adj_y) {
    return g.Op("BatchMatMulV2", {a, b}, {{"adj_x", adj_x}, {"adj_y", adj_y}});
  };
  const Output dz = g.dy();
  const Output dx = ax ? product(g.x(1), dz, ay, true) : product(dz, g.x(1), false, !ay);
  const Output dy = ay ? product(dz, g.x(0), true, ax) : product(g.x(0), dz, !ax, false);
  return {Reduced(g, dx, 0), Reduced(g, dy, 1)};
}

}  // namespace

void RegisterBatchMatMul(OpRegistry& registry) {
  const Tensor a = F({2, 1, 2}, {1, 2, 3, 4});
  const Tensor b = F({2, 2, 2}, {1, 0, 0.5f, 2, -1, 1, 3, 2});
  const Tensor ab = F({2, 1, 2}, {2, 4, 9, 11});
  for (const std::string name : {"BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"}) {
    const bool broadcasts = name != "BatchMatMul", three_types = name == "BatchMatMulV3";
    const auto typed = [&](AttrMap attrs) {
      if (three_types) attrs["Tout"] = kFloat;
      return attrs;
    };
    OpSchema& op =
        registry.Add(name)
            .Doc(broadcasts ? "Products of stacks of matrices, whose batch dimensions broadcast."
                            : "Products of stacks of matrices: the older form of BatchMatMulV2.")
            .In("x", three_types ? "Ta" : "T")
            .In("y", three_types ? "Tb" : "T")
            .Out("output", three_types ? "Tout" : "T")
            .Attr("adj_x", false)
            .Attr("adj_y", false)
            .Attr("grad_x", false)
            .Attr("grad_y", false)
            .Shape(BatchMatMulShape)
            .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
              const bool x = node.attr<bool>("adj_x");
              const bool y = node.attr<bool>("adj_y");
              if (RemoveRef(node.input(1).dtype()) != RemoveRef(node.input(0).dtype()) ||
                  node.output_dtype(0) != RemoveRef(node.input(0).dtype())) {
                return absl::UnimplementedError("Ta, Tb and Tout must be one type");
              }
              return DispatchType(MatMulTypes(), RemoveRef(node.input(0).dtype()),
                                  [=]<typename T>() -> KernelFunction {
                                    return [=](KernelContext& context) {
                                      return Multiply<T>(context, x, y);
                                    };
                                  });
            })
            .Gradient(BatchMatMulGradient)
            .Example({.name = "plain", .inputs = {a, b}, .attrs = typed({}), .expected = {ab}})
            .Example(
                {.name = "transposed",
                 .inputs = {F({2, 2, 1}, {1, 2, 3, 4}), F({2, 2, 2}, {1, 0.5f, 0, 2, -1, 3, 1, 2})},
                 .attrs = typed({{"adj_x", true}, {"adj_y", true}}),
                 .expected = {ab}})
            .Example({.name = "empty",
                      .inputs = {F({0, 1, 2}, {}), F({0, 2, 1}, {})},
                      .attrs = typed({}),
                      .expected = {F({0, 1, 1}, {})}});
    for (const char* type : three_types ? std::vector<const char*>{"Ta", "Tb", "Tout"}
                                        : std::vector<const char*>{"T"}) {
      op.TypeAttr(type, {kFloat, kDouble, kHalf, kInt16, kInt32, kInt64});
    }
    if (!broadcasts) continue;
    op.Example({.name = "broadcast",
                .inputs = {F({1, 2}, {1, 2}), b},
                .attrs = typed({}),
                .expected = {F({2, 1, 2}, {2, 4, 5, 5})}});
  }
}

}  // namespace espalier
