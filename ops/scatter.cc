// Slices written or added by index: ScatterNd, TensorScatter…, and Scatter… and ScatterNd… on
// variables. Tested by the registry test.
#include "espalier/ops/scatter.h"

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

template <typename T>
absl::Status ScatterNd(KernelContext& context) {
  ASSIGN_OR_RETURN(Shape shape, ShapeFromTensor(context.input(2), "shape"));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, shape));
  std::fill_n(y.mutable_data<T>(), y.num_elements(), T{});
  ASSIGN_OR_RETURN(NdIndex index, NdIndex::Make(shape, context.input(0)));
  RETURN_IF_ERROR(CheckUpdates(shape, index, context.input(1).shape()));
  if constexpr (std::is_same_v<T, bool>) {
    ScatterSlices<T, ScatterSet>(index, context.input(1).data<T>(), y.mutable_data<T>());
  } else {
    ScatterSlices<T, ScatterAddTo>(index, context.input(1).data<T>(), y.mutable_data<T>());
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <typename T, typename Step>
absl::Status TensorScatter(KernelContext& context) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(NdIndex index, NdIndex::Make(x.shape(), context.input(1)));
  RETURN_IF_ERROR(CheckUpdates(x.shape(), index, context.input(2).shape()));
  std::optional<Tensor> y = context.TryForward(0, x.shape(), x.dtype());
  if (!y) {
    ASSIGN_OR_RETURN(y, x.Clone(context.allocator()));
  }
  ScatterSlices<T, Step>(index, context.input(2).data<T>(), y->mutable_data<T>());
  context.set_output(0, *std::move(y));
  return absl::OkStatus();
}

template <typename T, typename Step>
absl::Status ScatterNdRef(KernelContext& context) {
  RETURN_IF_ERROR(
      (ScatterNdRows<T, Step>(context, *context.variable(0), context.input(1), context.input(2))));
  context.ForwardValue(0, 0);
  return absl::OkStatus();
}

template <typename T, typename Step>
absl::Status ScatterRef(KernelContext& context) {
  RETURN_IF_ERROR(
      (ScatterRows<T, Step>(context, *context.variable(0), context.input(1), context.input(2))));
  context.ForwardValue(0, 0);
  return absl::OkStatus();
}

absl::Status ScatterNdShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(Shape shape, c.ShapeFromInput(2));
  c.set_output(0, shape);
  return absl::OkStatus();
}

OpSchema& Inputs(OpSchema& op) { return op.In("indices", "Tindices").In("updates", "T"); }

template <typename Step>
OpSchema& AddTensorScatter(OpRegistry& registry, const char* name, const char* doc,
                           std::initializer_list<float> expected) {
  return Inputs(registry.Add(name).Doc(doc).In("tensor", "T"))
      .Out("output", "T")
      .TypeAttr("T", ScatterDTypes<Step>())
      .TypeAttr("Tindices", {kInt16, kInt32, kInt64})
      .StringAttr("bad_indices_policy", {"", "DEFAULT", "ERROR"}, "")
      .Shape(UnchangedShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(ScatterTypes<Step>(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction { return TensorScatter<T, Step>; });
      })
      .Example({.name = "elements",
                .inputs = {F({3}, {1, 2, 3}), I({2, 1}, {2, 0}), F({2}, {5, 0.5f})},
                .expected = {F({3}, expected)}})
      .Example({.name = "no updates",
                .inputs = {F({2}, {1, 2}), I({0, 1}, {}), F({0}, {})},
                .expected = {F({2}, {1, 2})}})
      .Example({.name = "empty",
                .inputs = {F({2, 0}, {}), I({1, 1}, {1}), F({1, 0}, {})},
                .expected = {F({2, 0}, {})}});
}

template <typename Step, bool kNd>
void AddRef(OpRegistry& registry, const char* name, const char* doc,
            std::initializer_list<float> expected) {
  const Tensor indices = kNd ? I({2, 1}, {2, 0}) : I({2}, {2, 0});
  const Tensor none = kNd ? I({0, 1}, {}) : I({0}, {});
  OpSchema& op = Inputs(registry.Add(name).Doc(doc).RefIn("ref", "T"));
  if (kNd) op.StringAttr("bad_indices_policy", {"", "DEFAULT", "ERROR"}, "");
  op.RefOut("output_ref", "T")
      .TypeAttr("T", ScatterDTypes<Step>())
      .TypeAttr("Tindices", kIndexDTypes)
      .Attr("use_locking", true)
      .Traits({.stateful = true, .forwards_ref = true})
      .Shape(UnchangedShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(ScatterTypes<Step>(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction {
                              if constexpr (kNd) return ScatterNdRef<T, Step>;
                              return ScatterRef<T, Step>;
                            });
      })
      .NotDifferentiable("it changes a variable")
      .Example({.name = "elements",
                .inputs = {F({3}, {1, 2, 4}), indices, F({2}, {5, 0.5f})},
                .expected = {F({3}, expected)}})
      .Example({.name = "no updates",
                .inputs = {F({2}, {1, 2}), none, F({0}, {})},
                .expected = {F({2}, {1, 2})}});
}

std::vector<Output> GatheredUpdates(const GradientContext& g, const Output& d_tensor, double sign) {
  const Output gathered = g.Op("GatherNd", {g.dy(), g.x(1)});
  return {d_tensor, Output(), sign < 0 ? Output(-g(gathered)) : gathered};
}

// To what the result equals: tensor, updates, or both in equal shares.
std::vector<Output> ExtremumGradient(const GradientContext& g) {
  const auto as_number = [&](const Output& equal) {
    return g(g.Op("Cast", {equal}, {{"DstT", RemoveRef(g.x(0).dtype())}}));
  };
  const Expression kept = as_number(g.Op("Equal", {g.x(0), g.y(0)}));
  const Expression written = as_number(g.Op("Equal", {g.x(2), g.Op("GatherNd", {g.y(0), g.x(1)})}));
  const Output count = g.Op("TensorScatterAdd", {kept, g.x(1), written});
  const Output share = g(g.dy()) / g(count);
  return {kept * g(share), Output(), written * g(g.Op("GatherNd", {share, g.x(1)}))};
}

}  // namespace

void RegisterScatter(OpRegistry& registry) {
  registry.Add("ScatterNd")
      .Doc("Zeros of a shape with updates added at the indices.")
      .In("indices", "Tindices")
      .In("updates", "T")
      .In("shape", "Tindices")
      .Out("output", "T")
      .TypeAttr("T")
      .TypeAttr("Tindices", {kInt16, kInt32, kInt64})
      .StringAttr("bad_indices_policy", {"", "DEFAULT", "ERROR"}, "")
      .Shape(ScatterNdShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(ComparableTypes(), RemoveRef(node.input(1).dtype()),
                            []<typename T>() -> KernelFunction { return ScatterNd<T>; });
      })
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {Output(), g.Op("GatherNd", {g.dy(), g.x(0)}), Output()};
      })
      .Example({.name = "equal indices add up",
                .inputs = {I({3, 1}, {1, 3, 1}), F({3}, {5, 6, 7}), I({1}, {4})},
                .expected = {F({4}, {0, 12, 0, 6})},
                .constant_inputs = {2}})
      .Example({.name = "rows",
                .inputs = {L({1, 1}, {1}), F({1, 2}, {5, 6}), L({2}, {2, 2})},
                .expected = {F({2, 2}, {0, 0, 5, 6})},
                .constant_inputs = {2}})
      .Example({.name = "empty",
                .inputs = {I({0, 1}, {}), F({0}, {}), I({1}, {2})},
                .expected = {F({2}, {0, 0})},
                .constant_inputs = {2}});
  AddTensorScatter<ScatterSet>(registry, "TensorScatterUpdate", "The tensor with slices replaced.",
                               {0.5f, 2, 5})
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        const Output zeros = g.Op("ZerosLike", {g.x(2)});
        return GatheredUpdates(g, g.Op("TensorScatterUpdate", {g.dy(), g.x(1), zeros}), 1);
      });
  AddTensorScatter<ScatterAddTo>(registry, "TensorScatterAdd", "The tensor with updates added.",
                                 {1.5f, 2, 8})
      .Gradient([](const GradientContext& g) { return GatheredUpdates(g, g.dy(), 1); });
  AddTensorScatter<ScatterSubtract>(registry, "TensorScatterSub",
                                    "The tensor with updates subtracted.", {0.5f, 2, -2})
      .Gradient([](const GradientContext& g) { return GatheredUpdates(g, g.dy(), -1); });
  AddTensorScatter<ScatterLarger>(registry, "TensorScatterMax", "The larger of tensor and updates.",
                                  {1, 2, 5})
      .Gradient(ExtremumGradient);
  AddTensorScatter<ScatterSmaller>(registry, "TensorScatterMin",
                                   "The smaller of tensor and updates.", {0.5f, 2, 3})
      .Gradient(ExtremumGradient);
  AddRef<ScatterSet, false>(registry, "ScatterUpdate", "Replaces rows of the variable.",
                            {0.5f, 2, 5});
  AddRef<ScatterAddTo, false>(registry, "ScatterAdd", "Adds to rows of the variable.",
                              {1.5f, 2, 9});
  AddRef<ScatterSubtract, false>(registry, "ScatterSub", "Subtracts from rows of the variable.",
                                 {0.5f, 2, -1});
  AddRef<ScatterMultiply, false>(registry, "ScatterMul", "Multiplies rows of the variable.",
                                 {0.5f, 2, 20});
  AddRef<ScatterDivide, false>(registry, "ScatterDiv", "Divides rows of the variable.",
                               {2, 2, 0.8f});
  AddRef<ScatterLarger, false>(registry, "ScatterMax", "The larger of row and update.", {1, 2, 5});
  AddRef<ScatterSmaller, false>(registry, "ScatterMin", "The smaller of row and update.",
                                {0.5f, 2, 4});
  AddRef<ScatterSet, true>(registry, "ScatterNdUpdate", "Replaces slices of the variable.",
                           {0.5f, 2, 5});
  AddRef<ScatterAddTo, true>(registry, "ScatterNdAdd", "Adds to slices of the variable.",
                             {1.5f, 2, 9});
  AddRef<ScatterSubtract, true>(registry, "ScatterNdSub", "Subtracts from slices of the variable.",
                                {0.5f, 2, -1});
  AddRef<ScatterLarger, true>(registry, "ScatterNdMax", "The larger of slice and update.",
                              {1, 2, 5});
  AddRef<ScatterSmaller, true>(registry, "ScatterNdMin", "The smaller of slice and update.",
                               {0.5f, 2, 4});
  AddTensorScatter<ScatterAddTo>(registry, "ScatterNdNonAliasingAdd",
                                 "TensorScatterAdd by its older name.", {1.5f, 2, 8})
      .Gradient([](const GradientContext& g) { return GatheredUpdates(g, g.dy(), 1); });
}

}  // namespace espalier
