// Softmax, LogSoftmax, SoftmaxCrossEntropyWithLogits, L2Loss. Tested by the registry test.
#include "espalier/ops/softmax.h"

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/reduce.h"

namespace espalier {
namespace {

template <typename T, bool kLog>
absl::Status Softmax(KernelContext& context) {
  using C = ComputeType<T>;
  const Tensor& x = context.input(0);
  if (x.rank() < 1)
    return absl::InvalidArgumentError("logits must have rank 1 or more, received a scalar");
  const int64_t n = x.dim(x.rank() - 1);
  ASSIGN_OR_RETURN(Tensor y, context.ForwardOrAllocate(0, x.shape()));
  const T* in = x.data<T>();
  T* out = y.mutable_data<T>();
  context.ParallelFor(
      n == 0 ? 0 : x.num_elements() / n, std::max<int64_t>(1, 1024 / std::max<int64_t>(n, 1)),
      [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          const RowSum<C> total(in + row * n, n);
          const C log_sum = std::log(total.sum);
          for (int64_t i = row * n; i < (row + 1) * n; ++i) {
            const C above = static_cast<C>(in[i]) - total.largest;
            out[i] = static_cast<T>(kLog ? above - log_sum : std::exp(above) / total.sum);
          }
        }
      });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// Rows and columns of features and labels broadcast: a step is 0 where there is one for all.
struct MatrixSteps {
  int64_t row, column;
  MatrixSteps(const Shape& own, const Shape& both)
      : row(own.dim(0) == both.dim(0) ? own.dim(1) : 0),
        column(own.dim(1) == both.dim(1) ? 1 : 0) {}
};

template <typename T>
absl::Status CrossEntropy(KernelContext& context) {
  using C = ComputeType<T>;
  const Tensor& features = context.input(0);
  const Tensor& labels = context.input(1);
  if (features.rank() != 2 || labels.rank() != 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("features and labels must be matrices, received ", features.shape().ToString(),
                     " and ", labels.shape().ToString()));
  }
  ASSIGN_OR_RETURN(const Shape shape, Shape::Broadcast(features.shape(), labels.shape()));
  const int64_t rows = shape.dim(0), n = shape.dim(1);
  ASSIGN_OR_RETURN(Tensor loss, context.Allocate(DTypeOf<T>, {rows}));
  ASSIGN_OR_RETURN(Tensor backprop, context.Allocate(DTypeOf<T>, shape));
  const MatrixSteps at_x(features.shape(), shape), at_p(labels.shape(), shape);
  context.ParallelFor(rows, std::max<int64_t>(1, 1024 / std::max<int64_t>(n, 1)),
                      [&](int64_t begin, int64_t end) {
                        std::vector<C> x(n);
                        for (int64_t row = begin; row < end; ++row) {
                          const T* from = features.data<T>() + row * at_x.row;
                          const T* p = labels.data<T>() + row * at_p.row;
                          T* b = backprop.mutable_data<T>() + row * n;
                          for (int64_t i = 0; i < n; ++i)
                            x[i] = static_cast<C>(from[i * at_x.column]);
                          const RowSum<C> total(x.data(), n);
                          const C log_sum = std::log(total.sum);
                          C sum(0);
                          for (int64_t i = 0; i < n; ++i) {
                            const C above = x[i] - total.largest;
                            const C label = static_cast<C>(p[i * at_p.column]);
                            if (label != C(0)) sum -= label * (above - log_sum);
                            b[i] = static_cast<T>(std::exp(above) / total.sum - label);
                          }
                          loss.mutable_data<T>()[row] = static_cast<T>(sum);
                        }
                      });
  context.set_output(0, std::move(loss));
  context.set_output(1, std::move(backprop));
  return absl::OkStatus();
}

template <typename T>
absl::Status HalfSquareSum(KernelContext& context) {
  using C = ComputeType<T>;
  const Tensor& x = context.input(0);
  const int64_t blocks = (x.num_elements() + kElementwiseBlock - 1) / kElementwiseBlock;
  std::vector<C> partial(blocks);
  context.ParallelFor(x.num_elements(), kElementwiseBlock, [&](int64_t begin, int64_t end) {
    C lanes[kReduceLanes] = {};
    for (int64_t i = begin; i < end; ++i) {
      const C v = static_cast<C>(x.data<T>()[i]);
      lanes[(i - begin) % kReduceLanes] += v * v;
    }
    partial[begin / kElementwiseBlock] = ReduceSpan<SumOf>(lanes, kReduceLanes);
  });
  context.set_output(0, Tensor(static_cast<T>(ReduceSpan<SumOf>(partial.data(), blocks) / 2)));
  return absl::OkStatus();
}

template <bool kLog>
absl::StatusOr<KernelFunction> MakeSoftmax(const Node& node) {
  return DispatchType(RealTypes(), RemoveRef(node.input(0).dtype()),
                      []<typename T>() -> KernelFunction { return Softmax<T, kLog>; });
}

std::vector<Output> SoftmaxGradient(const GradientContext& g) {
  return {GradientOfSoftmax(g, g(g.dy()), g(g.y(0)))};
}

std::vector<Output> LogSoftmaxGradient(const GradientContext& g) {
  return {g(g.dy()) - g(g.Op("Exp", {g.y(0)})) * g(LastAxisSum(g, g.dy()))};
}

// The second output is the gradient already; its own gradient is that of softmax.
std::vector<Output> CrossEntropyGradient(const GradientContext& g) {
  const Output per_row = g.Op("ExpandDims", {g.dy(0), g.Scalar(g.ShapeOf(g.x(0)), -1)});
  Expression d_logits = g(per_row) * g(g.y(1));
  if (g.dy_or_empty(1).valid()) {
    const Expression softmax = g(g.Op("Softmax", {g.x(0)}));
    d_logits = d_logits + GradientOfSoftmax(g, g(g.dy_or_empty(1)), softmax);
  }
  Expression d_labels = g(per_row) * -g(g.Op("LogSoftmax", {g.x(0)}));
  if (g.dy_or_empty(1).valid()) d_labels = d_labels - g(g.dy_or_empty(1));
  return {SumToShapeOf(g, d_logits, g.x(0), g.x(1)), SumToShapeOf(g, d_labels, g.x(1), g.x(0))};
}

absl::Status CrossEntropyShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(0, 2));
  RETURN_IF_ERROR(c.WithRank(1, 2));
  ASSIGN_OR_RETURN(Shape shape, Shape::Broadcast(c.input(0), c.input(1)));
  if (!shape.has_rank()) shape = Shape::UnknownOfRank(2);
  c.set_output(0, {shape.dim(0)});
  c.set_output(1, shape);
  return absl::OkStatus();
}

absl::Status SoftmaxShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRankAtLeast(0, 1));
  c.set_output(0, c.input(0));
  return absl::OkStatus();
}

}  // namespace

void RegisterSoftmax(OpRegistry& registry) {
  const Tensor logits = F({2, 3}, {1, 2, 3, 0, 0, 0});
  registry.Add("Softmax")
      .Doc("e^x / Σ e^x over the last axis.")
      .In("logits", "T")
      .Out("softmax", "T")
      .TypeAttr("T", kRealDTypes)
      .Shape(SoftmaxShape)
      .Kernel(MakeSoftmax<false>)
      .Gradient(SoftmaxGradient)
      .Example({.name = "rows",
                .inputs = {logits},
                .expected = {F(
                    {2, 3}, {0.09003057f, 0.24472847f, 0.66524096f, 1.f / 3, 1.f / 3, 1.f / 3})}})
      .Example(
          {.name = "large", .inputs = {F({2}, {1000, 1000})}, .expected = {F({2}, {0.5f, 0.5f})}})
      .Example({.name = "empty", .inputs = {F({0, 3}, {})}, .expected = {F({0, 3}, {})}});
  registry.Add("LogSoftmax")
      .Doc("x - log Σ e^x over the last axis.")
      .In("logits", "T")
      .Out("logsoftmax", "T")
      .TypeAttr("T", kRealDTypes)
      .Shape(SoftmaxShape)
      .Kernel(MakeSoftmax<true>)
      .Gradient(LogSoftmaxGradient)
      .Example({.name = "rows",
                .inputs = {logits},
                .expected = {F({2, 3}, {-2.4076059f, -1.4076059f, -0.40760596f, -1.0986123f,
                                        -1.0986123f, -1.0986123f})}})
      .Example({.name = "large",
                .inputs = {F({2}, {1000, 0})},
                .expected = {F({2}, {0, -1000})},
                .check_gradient = false})
      .Example({.name = "empty", .inputs = {F({0, 3}, {})}, .expected = {F({0, 3}, {})}});
  registry.Add("SoftmaxCrossEntropyWithLogits")
      .Doc(
          "The cross entropy of softmax(features) against labels for each row, and its gradient by "
          "the features.")
      .In("features", "T")
      .In("labels", "T")
      .Out("loss", "T")
      .Out("backprop", "T")
      .TypeAttr("T", kRealDTypes)
      .Shape(CrossEntropyShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(RealTypes(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction { return CrossEntropy<T>; });
      })
      .Gradient(CrossEntropyGradient)
      .Example({.name = "rows",
                .inputs = {logits, F({2, 3}, {0, 0, 1, 1, 0, 0})},
                .expected = {F({2}, {0.40760596f, 1.0986123f}),
                             F({2, 3}, {0.09003057f, 0.24472847f, -0.33475904f, -2.f / 3, 1.f / 3,
                                        1.f / 3})}})
      .Example({.name = "one row of labels for all",
                .inputs = {logits, F({1, 3}, {0, 0, 1})},
                .expected = {F({2}, {0.40760596f, 1.0986123f}),
                             F({2, 3}, {0.09003057f, 0.24472847f, -0.33475904f, 1.f / 3, 1.f / 3,
                                        -2.f / 3})}})
      .Example({.name = "soft labels",
                .inputs = {F({1, 2}, {0, 0}), F({1, 2}, {0.5f, 0.5f})},
                .expected = {F({1}, {0.6931472f}), F({1, 2}, {0, 0})}})
      .Example({.name = "empty",
                .inputs = {F({0, 2}, {}), F({0, 2}, {})},
                .expected = {F({0}, {}), F({0, 2}, {})}});
  registry.Add("L2Loss")
      .Doc("Σ x² / 2.")
      .In("t", "T")
      .Out("output", "T")
      .TypeAttr("T", kRealDTypes)
      .Shape(ScalarShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(RealTypes(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction { return HalfSquareSum<T>; });
      })
      .Gradient(
          [](const GradientContext& g) -> std::vector<Output> { return {g(g.x(0)) * g(g.dy())}; })
      .Example({.name = "vector", .inputs = {F({3}, {1, 2, 3})}, .expected = {F({}, {7})}})
      .Example({.name = "scalar", .inputs = {F({}, {2})}, .expected = {F({}, {2})}})
      .Example({.name = "empty", .inputs = {F({0}, {})}, .expected = {F({}, {0})}});
}

}  // namespace espalier
