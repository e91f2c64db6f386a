// Select and SelectV2. Tested by the registry test.
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

// Row-major strides of `shape` aligned to the right of `output`; 0 where it is broadcast.
std::vector<int64_t> BroadcastStrides(const Shape& shape, const Shape& output) {
  std::vector<int64_t> strides(output.rank(), 0);
  int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    if (shape.dim(i) != 1) strides[i + output.rank() - shape.rank()] = stride;
    stride *= shape.dim(i);
  }
  return strides;
}

template <typename T>
absl::Status SelectBroadcast(KernelContext& context, const Shape& condition_shape) {
  const Tensor& condition = context.input(0);
  const Tensor& x = context.input(1);
  const Tensor& y = context.input(2);
  ASSIGN_OR_RETURN(Shape shape, Shape::Broadcast(x.shape(), y.shape()));
  ASSIGN_OR_RETURN(shape, Shape::Broadcast(shape, condition_shape));
  ASSIGN_OR_RETURN(Tensor out, context.Allocate(DTypeOf<T>, shape));
  const bool same = condition_shape == shape && x.shape() == shape && y.shape() == shape;
  const std::vector<int64_t> strides[3] = {BroadcastStrides(condition_shape, shape),
                                           BroadcastStrides(x.shape(), shape),
                                           BroadcastStrides(y.shape(), shape)};
  const bool* c = condition.data<bool>();
  const T* a = x.data<T>();
  const T* b = y.data<T>();
  T* z = out.mutable_data<T>();
  context.ParallelFor(out.num_elements(), kElementwiseBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (same) {
        z[i] = c[i] ? a[i] : b[i];
        continue;
      }
      int64_t at[3] = {0, 0, 0};
      int64_t rest = i;
      for (int d = shape.rank() - 1; d >= 0; --d) {
        const int64_t index = rest % shape.dim(d);
        rest /= shape.dim(d);
        for (int k = 0; k < 3; ++k) at[k] += index * strides[k][d];
      }
      z[i] = c[at[0]] ? a[at[1]] : b[at[2]];
    }
  });
  context.set_output(0, std::move(out));
  return absl::OkStatus();
}

// Select's condition has the shape of x and y, or is a scalar, or a vector that chooses rows.
absl::StatusOr<Shape> SelectConditionShape(const Shape& condition, const Shape& x) {
  if (condition == x || condition.rank() == 0) return condition;
  if (condition.rank() == 1 && x.rank() > 0 && condition.dim(0) == x.dim(0)) {
    Shape rows = condition;
    for (int i = 1; i < x.rank(); ++i) rows.push_back(1);
    return rows;
  }
  return absl::InvalidArgumentError("the condition must have the shape of x (" + x.ToString() +
                                    "), be a scalar, or one bool a row; received " +
                                    condition.ToString());
}

absl::StatusOr<KernelFunction> MakeSelect(const Node& node) {
  const bool broadcast = node.op() == "SelectV2";
  return DispatchType(
      AllTypes(), RemoveRef(node.input(1).dtype()), [broadcast]<typename T>() -> KernelFunction {
        return [broadcast](KernelContext& context) -> absl::Status {
          Shape condition = context.input(0).shape();
          if (!broadcast) {
            if (!(context.input(1).shape() == context.input(2).shape())) {
              return absl::InvalidArgumentError("x and y must have the same shape, received " +
                                                context.input(1).shape().ToString() + " and " +
                                                context.input(2).shape().ToString());
            }
            ASSIGN_OR_RETURN(condition, SelectConditionShape(condition, context.input(1).shape()));
          }
          return SelectBroadcast<T>(context, condition);
        };
      });
}

absl::Status SelectShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(Shape shape, Shape::Merge(c.input(1), c.input(2)));
  c.set_output(0, shape);
  return absl::OkStatus();
}

absl::Status SelectV2Shape(InferenceContext& c) {
  ASSIGN_OR_RETURN(Shape shape, Shape::Broadcast(c.input(1), c.input(2)));
  ASSIGN_OR_RETURN(shape, Shape::Broadcast(shape, c.input(0)));
  c.set_output(0, shape);
  return absl::OkStatus();
}

std::vector<Output> SelectGradient(const GradientContext& g) {
  const Output zeros = g.Op("ZerosLike", {g.dy()});
  return {Output(), g.Op("Select", {g.x(0), g.dy(), zeros}),
          g.Op("Select", {g.x(0), zeros, g.dy()})};
}

std::vector<Output> SelectV2Gradient(const GradientContext& g) {
  const Output zeros = g.Op("ZerosLike", {g.dy()});
  return {Output(), SumToShapeOf(g, g.Op("SelectV2", {g.x(0), g.dy(), zeros}), g.x(1), g.y(0)),
          SumToShapeOf(g, g.Op("SelectV2", {g.x(0), zeros, g.dy()}), g.x(2), g.y(0))};
}

OpSchema& Add(OpRegistry& registry, const char* name, const char* doc) {
  return registry.Add(name)
      .Doc(doc)
      .In("condition", kBool)
      .In("t", "T")
      .In("e", "T")
      .Out("output", "T")
      .TypeAttr("T")
      .Kernel(MakeSelect)
      .Example({.name = "same shapes",
                .inputs = {B({2}, {true, false}), F({2}, {1, 2}), F({2}, {3, 4})},
                .expected = {F({2}, {1, 4})}})
      .Example({.name = "scalar condition",
                .inputs = {B({}, {false}), F({2}, {1, 2}), F({2}, {3, 4})},
                .expected = {F({2}, {3, 4})}})
      .Example({.name = "empty",
                .inputs = {B({0}, {}), F({0}, {}), F({0}, {})},
                .expected = {F({0}, {})}});
}

}  // namespace

void RegisterSelect(OpRegistry& registry) {
  Add(registry, "Select", "t where the condition holds, else e; a vector condition chooses rows.")
      .Shape(SelectShape)
      .Gradient(SelectGradient)
      .Example({.name = "rows",
                .inputs = {B({2}, {true, false}), F({2, 2}, {1, 2, 3, 4}), F({2, 2}, {5, 6, 7, 8})},
                .expected = {F({2, 2}, {1, 2, 7, 8})}});
  Add(registry, "SelectV2", "t where the condition holds, else e, with broadcasting.")
      .Shape(SelectV2Shape)
      .Gradient(SelectV2Gradient)
      .Example({.name = "broadcast",
                .inputs = {B({2, 1}, {true, false}), F({2}, {1, 2}), F({}, {9})},
                .expected = {F({2, 2}, {1, 2, 9, 9})}});
}

}  // namespace espalier
