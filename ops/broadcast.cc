// BroadcastTo, BroadcastGradientArgs, Tile. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

struct First {
  auto operator()(auto x, auto) const { return x; }
};

// Broadcasts as the first operand of a binary op whose second has the target's shape and is never
// read.
template <typename T>
absl::Status Broadcast(KernelContext& context) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(Shape shape, ShapeFromTensor(context.input(1), "the shape"));
  ASSIGN_OR_RETURN(BroadcastLoop loop, BroadcastLoop::Make(x.shape(), shape));
  if (!(loop.output == shape)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot broadcast ", x.shape().ToString(), " to ", shape.ToString()));
  }
  if (x.shape() == shape) {
    context.set_output(0, x);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, shape));
  T* out = y.mutable_data<T>();
  BroadcastRun<T, T, First>(context, loop, x.data<T>(), out, out);
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeBroadcastTo(const Node& node) {
  return DispatchType(PlainTypes(), RemoveRef(node.input(0).dtype()),
                      []<typename T>() -> KernelFunction { return Broadcast<T>; });
}

absl::Status BroadcastToShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(Shape shape, c.ShapeFromInput(1));
  RETURN_IF_ERROR(Shape::Broadcast(c.input(0), shape).status());
  c.set_output(0, shape);
  return absl::OkStatus();
}

std::vector<Output> BroadcastToGradient(const GradientContext& g) {
  const Output shape = g.ShapeOf(g.x(0));
  const Node* axes =
      g.OpNode("BroadcastGradientArgs", {shape, g.Op("Cast", {g.x(1)}, {{"DstT", kInt32}})});
  if (axes == nullptr) return {};
  return {g.Op("Reshape", {g.Op("Sum", {g.dy(), axes->output(0)}, {{"keep_dims", false}}), shape}),
          Output()};
}

absl::StatusOr<KernelFunction> MakeBroadcastGradientArgs(const Node&) {
  return KernelFunction([](KernelContext& context) -> absl::Status {
    ASSIGN_OR_RETURN(Shape a, ShapeFromTensor(context.input(0), "s0"));
    ASSIGN_OR_RETURN(Shape b, ShapeFromTensor(context.input(1), "s1"));
    ASSIGN_OR_RETURN(Shape both, Shape::Broadcast(a, b));
    const Shape* shapes[2] = {&a, &b};
    const DType type = context.input(0).dtype();
    for (int side = 0; side < 2; ++side) {
      std::vector<int64_t> axes;
      for (int i = 0; i < both.rank(); ++i) {
        const int k = i - (both.rank() - shapes[side]->rank());
        const int64_t size = k < 0 ? 1 : shapes[side]->dim(k);
        // An axis of 1 on both sides may be summed too: the sum over one element changes nothing.
        if (size == 1 && (both.dim(i) != 1 || k < 0)) axes.push_back(i);
      }
      const Shape shape = {static_cast<int64_t>(axes.size())};
      if (type == kInt64) {
        context.set_output(side, Tensor::FromVector<int64_t>(shape, axes));
      } else {
        context.set_output(side, Tensor::FromVector<int32_t>(
                                     shape, std::vector<int32_t>(axes.begin(), axes.end())));
      }
    }
    return absl::OkStatus();
  });
}

template <typename T>
absl::Status TileTensor(KernelContext& context) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(std::vector<int64_t> multiples, IntegerVector(context.input(1), "multiples"));
  if (static_cast<int>(multiples.size()) != x.rank()) {
    return absl::InvalidArgumentError(
        absl::StrCat("multiples must have ", x.rank(), " entries, received ", multiples.size()));
  }
  Shape shape;
  for (int i = 0; i < x.rank(); ++i) {
    if (multiples[i] < 0) return absl::InvalidArgumentError("multiples must not be negative");
    ASSIGN_OR_RETURN(int64_t size, CheckedMultiply(x.dim(i), multiples[i]));
    shape.push_back(size);
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, shape));
  const T* in = x.data<T>();
  T* out = y.mutable_data<T>();
  context.ParallelFor(y.num_elements(), kElementwiseBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t rest = i;
      int64_t from = 0;
      int64_t stride = 1;
      for (int d = x.rank() - 1; d >= 0; --d) {
        from += rest % shape.dim(d) % x.dim(d) * stride;
        rest /= shape.dim(d);
        stride *= x.dim(d);
      }
      out[i] = in[from];
    }
  });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::Status TileShape(InferenceContext& c) {
  const auto multiples = c.constant_ints(1);
  const Shape& input = c.input(0);
  if (!input.has_rank()) return absl::OkStatus();
  Shape shape = Shape::UnknownOfRank(input.rank());
  if (multiples) {
    if (static_cast<int>(multiples->size()) != input.rank()) {
      return absl::InvalidArgumentError(absl::StrCat("multiples must have ", input.rank(),
                                                     " entries, received ", multiples->size()));
    }
    for (int i = 0; i < input.rank(); ++i) {
      if (input.dim(i) < 0) continue;
      ASSIGN_OR_RETURN(int64_t size, CheckedMultiply(input.dim(i), (*multiples)[i]));
      shape.set_dim(i, size);
    }
  }
  c.set_output(0, shape);
  return absl::OkStatus();
}

// Each dimension becomes (multiple, size), and the sum is over the multiples.
std::vector<Output> TileGradient(const GradientContext& g) {
  const Output shape = g.ShapeOf(g.x(0));
  const int rank = g.x(0).shape().rank();
  if (rank < 0) {
    g.scope().graph()->RecordError(
        absl::UnimplementedError(g.node().Describe() + ": the gradient needs a known rank"));
    return {};
  }
  const Output pairs =
      g.Op("Pack", {g.Op("Cast", {g.x(1)}, {{"DstT", kInt32}}), shape}, {{"axis", 1}});
  std::vector<int32_t> axes;
  for (int i = 0; i < rank; ++i) axes.push_back(2 * i);
  const Output split = g.Op("Reshape", {g.dy(), g.Op("Reshape", {pairs, g.Int32s({-1})})});
  return {g.Op("Sum", {split, g.Int32s(axes)}, {{"keep_dims", false}}), Output()};
}

}  // namespace

void RegisterBroadcast(OpRegistry& registry) {
  registry.Add("BroadcastTo")
      .Doc("The input broadcast to a shape.")
      .In("input", "T")
      .In("shape", "Tidx")
      .Out("output", "T")
      .TypeAttr("T")
      .TypeAttr("Tidx", kIndexDTypes, kInt32)
      .Shape(BroadcastToShape)
      .Kernel(MakeBroadcastTo)
      .Gradient(BroadcastToGradient)
      .Example({.name = "rows",
                .inputs = {F({2}, {1, 2}), I({2}, {2, 2})},
                .expected = {F({2, 2}, {1, 2, 1, 2})},
                .constant_inputs = {1}})
      .Example({.name = "column",
                .inputs = {F({2, 1}, {1, 2}), L({2}, {2, 3})},
                .expected = {F({2, 3}, {1, 1, 1, 2, 2, 2})}})
      .Example({.name = "empty",
                .inputs = {F({1}, {1}), I({2}, {0, 3})},
                .expected = {F({0, 3}, {})},
                .check_gradient = false});
  registry.Add("BroadcastGradientArgs")
      .Doc("The axes over which the gradient of a broadcasting op is summed, for either side.")
      .In("s0", "T")
      .In("s1", "T")
      .Out("r0", "T")
      .Out("r1", "T")
      .TypeAttr("T", kIndexDTypes, kInt32)
      .Shape([](InferenceContext& c) {
        c.set_output(0, Shape::UnknownOfRank(1));
        c.set_output(1, Shape::UnknownOfRank(1));
        return absl::OkStatus();
      })
      .Kernel(MakeBroadcastGradientArgs)
      .NotDifferentiable("it works on shapes")
      .Example({.name = "row",
                .inputs = {I({2}, {2, 3}), I({1}, {3})},
                .expected = {I({0}, {}), I({1}, {0})}})
      .Example({.name = "both",
                .inputs = {L({2}, {2, 1}), L({2}, {1, 3})},
                .expected = {L({1}, {1}), L({1}, {0})}})
      .Example({.name = "scalars",
                .inputs = {I({0}, {}), I({0}, {})},
                .expected = {I({0}, {}), I({0}, {})}});
  registry.Add("Tile")
      .Doc("The input repeated along each dimension.")
      .In("input", "T")
      .In("multiples", "Tmultiples")
      .Out("output", "T")
      .TypeAttr("T")
      .TypeAttr("Tmultiples", kIndexDTypes, kInt32)
      .Shape(TileShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(AllTypes(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction { return TileTensor<T>; });
      })
      .Gradient(TileGradient)
      .Example({.name = "matrix",
                .inputs = {F({1, 2}, {1, 2}), I({2}, {2, 2})},
                .expected = {F({2, 4}, {1, 2, 1, 2, 1, 2, 1, 2})},
                .constant_inputs = {1}})
      .Example({.name = "vector",
                .inputs = {F({2}, {1, 2}), L({1}, {2})},
                .expected = {F({4}, {1, 2, 1, 2})}})
      .Example(
          {.name = "empty", .inputs = {F({2}, {1, 2}), I({1}, {0})}, .expected = {F({0}, {})}});
}

}  // namespace espalier
