// SparseSoftmaxCrossEntropyWithLogits: labels are class numbers. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"
#include "espalier/ops/softmax.h"

namespace espalier {
namespace {

template <typename T>
absl::Status CrossEntropy(KernelContext& context) {
  using C = ComputeType<T>;
  const Tensor& logits = context.input(0);
  const Tensor& labels = context.input(1);
  if (logits.rank() != 2 || labels.rank() != 1 || labels.dim(0) != logits.dim(0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("logits must be a matrix and labels a vector of as many rows, received ",
                     logits.shape().ToString(), " and ", labels.shape().ToString()));
  }
  const int64_t rows = logits.dim(0), classes = logits.dim(1);
  const Indices label(labels);
  RETURN_IF_ERROR(label.Check(classes, "labels"));
  ASSIGN_OR_RETURN(Tensor loss, context.Allocate(DTypeOf<T>, labels.shape()));
  ASSIGN_OR_RETURN(Tensor backprop, context.Allocate(DTypeOf<T>, logits.shape()));
  T* l = loss.mutable_data<T>();
  T* b = backprop.mutable_data<T>();
  context.ParallelFor(
      rows, std::max<int64_t>(1, 1024 / std::max<int64_t>(classes, 1)),
      [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          const T* x = logits.data<T>() + row * classes;
          const RowSum<C> total(x, classes);
          l[row] =
              static_cast<T>(std::log(total.sum) - (static_cast<C>(x[label[row]]) - total.largest));
          for (int64_t k = 0; k < classes; ++k) {
            const C probability = std::exp(static_cast<C>(x[k]) - total.largest) / total.sum;
            b[row * classes + k] = static_cast<T>(probability - (k == label[row] ? C(1) : C(0)));
          }
        }
      });
  context.set_output(0, std::move(loss));
  context.set_output(1, std::move(backprop));
  return absl::OkStatus();
}

absl::Status CrossEntropyShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(0, 2));
  RETURN_IF_ERROR(c.WithRank(1, 1));
  ASSIGN_OR_RETURN(Shape rows, Shape::Merge({c.dim(0, 0)}, {c.dim(1, 0)}));
  c.set_output(0, rows);
  c.set_output(1, {rows.dim(0), c.dim(0, 1)});
  return absl::OkStatus();
}

// The second output is the gradient already; its own gradient is that of softmax.
std::vector<Output> CrossEntropyGradient(const GradientContext& g) {
  const Output axis = g.Scalar(g.ShapeOf(g.x(0)), -1);
  Expression d_logits = g(g.Op("ExpandDims", {g.dy(0), axis})) * g(g.y(1));
  if (g.dy_or_empty(1).valid()) {
    const Expression softmax = g(g.Op("Softmax", {g.x(0)}));
    d_logits = d_logits + GradientOfSoftmax(g, g(g.dy_or_empty(1)), softmax);
  }
  return {d_logits, Output()};
}

}  // namespace

void RegisterSparseSoftmax(OpRegistry& registry) {
  registry.Add("SparseSoftmaxCrossEntropyWithLogits")
      .Doc(
          "The cross entropy of softmax(features) against class numbers for each row, and its "
          "gradient by the features.")
      .In("features", "T")
      .In("labels", "Tlabels")
      .Out("loss", "T")
      .Out("backprop", "T")
      .TypeAttr("T", kRealDTypes)
      .TypeAttr("Tlabels", kIndexDTypes, kInt64)
      .Shape(CrossEntropyShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(RealTypes(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction { return CrossEntropy<T>; });
      })
      .Gradient(CrossEntropyGradient)
      .Example({.name = "rows",
                .inputs = {F({2, 3}, {1, 2, 3, 0, 0, 0}), I({2}, {2, 0})},
                .expected = {F({2}, {0.40760596f, 1.0986123f}),
                             F({2, 3}, {0.09003057f, 0.24472847f, -0.33475904f, -2.f / 3, 1.f / 3,
                                        1.f / 3})}})
      .Example({.name = "large logits",
                .inputs = {F({1, 2}, {1000, 0}), L({1}, {1})},
                .expected = {F({1}, {1000}), F({1, 2}, {1, -1})},
                .check_gradient = false})
      .Example({.name = "empty",
                .inputs = {F({0, 3}, {}), I({0}, {})},
                .expected = {F({0}, {}), F({0, 3}, {})}});
}

}  // namespace espalier
