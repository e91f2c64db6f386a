// Slices of tensors and variables replaced: TensorStridedSliceUpdate, StridedSliceAssign and
// ResourceStridedSliceAssign. Tested by the registry test and resource_variables_test.cc.
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/strided_slice.h"

namespace espalier {
namespace {

// Inputs 1 to 3 are begin, end and strides, input 4 the slice's new value.
absl::StatusOr<StridedSlicePlan> PlanFor(const KernelContext& context, const Shape& shape,
                                         const SliceMasks& masks) {
  ASSIGN_OR_RETURN(StridedSlicePlan plan, PlanFromInputs(context, shape, 1, masks));
  const Shape& value = context.input(4).shape();
  if (value == plan.output) return plan;
  return absl::InvalidArgumentError(absl::StrCat("the value must have the shape of the slice, ",
                                                 plan.output.ToString(), ", received ",
                                                 value.ToString()));
}

template <typename S>
absl::Status Update(KernelContext& context, const SliceMasks& masks) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(const StridedSlicePlan plan, PlanFor(context, x.shape(), masks));
  ASSIGN_OR_RETURN(Tensor y, x.Clone(context.allocator()));
  WriteSlice(context, x.shape(), plan, context.input(4), MutableStorage<S>(y));
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <typename S>
absl::Status Assign(KernelContext& context, const SliceMasks& masks) {
  RETURN_IF_ERROR(Require(context.variable(0) != nullptr, "input 0 names no variable"));
  VariableWriter writer({context.variable(0).get()});
  RETURN_IF_ERROR(writer.Check());
  RETURN_IF_ERROR(Require(writer.value(0).dtype() == context.input(4).dtype(),
                          "the variable and the value must have one type"));
  const Shape shape = writer.value(0).shape();
  ASSIGN_OR_RETURN(const StridedSlicePlan plan, PlanFor(context, shape, masks));
  ASSIGN_OR_RETURN(Tensor * value, writer.Mutable(0, context.allocator()));
  WriteSlice(context, shape, plan, context.input(4), MutableStorage<S>(*value));
  if (context.num_outputs() > 0) context.ForwardValue(0, 0);
  return absl::OkStatus();
}

template <bool kVariable>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  return DispatchStorage(RemoveRef(node.input(4).dtype()),
                         [masks = SliceMasksOf(node)]<typename S>() -> KernelFunction {
                           return [masks](KernelContext& context) {
                             return kVariable ? Assign<S>(context, masks)
                                              : Update<S>(context, masks);
                           };
                         });
}

constexpr const char* kMasks[] = {"begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask",
                                  "shrink_axis_mask"};

OpSchema& AddSlice(OpSchema& op) {
  op.In("begin", "Index")
      .In("end", "Index")
      .In("strides", "Index")
      .In("value", "T")
      .TypeAttr("T")
      .TypeAttr("Index", kIndexDTypes);
  for (const char* mask : kMasks) op.Attr(mask, 0);
  return op;
}

std::vector<Output> UpdateGradient(const GradientContext& g) {
  AttrMap masks;
  for (const char* mask : kMasks) masks[mask] = *g.node().FindAttr(mask);
  const std::vector<Output> slice = {g.dy(), g.x(1), g.x(2), g.x(3)};
  std::vector<Output> cleared = slice;
  cleared.push_back(g.Op("ZerosLike", {g.x(4)}));
  return {g.Op("TensorStridedSliceUpdate", cleared, masks), Output(), Output(), Output(),
          g.Op("StridedSlice", slice, masks)};
}

void AddExamples(OpSchema& op) {
  const Tensor x = F({2, 3}, {1, 2, 3, 4, 5, 6});
  op.Example({.name = "a column",
              .inputs = {x, I({2}, {0, 1}), I({2}, {2, 2}), I({2}, {1, 1}), F({2, 1}, {8, 9})},
              .expected = {F({2, 3}, {1, 8, 3, 4, 9, 6})},
              .constant_inputs = {1, 2, 3}})
      .Example({.name = "a row, shrunk",
                .inputs = {x, L({1}, {-1}), L({1}, {0}), L({1}, {1}), F({3}, {7, 8, 9})},
                .attrs = {{"shrink_axis_mask", 1}},
                .expected = {F({2, 3}, {1, 2, 3, 7, 8, 9})},
                .constant_inputs = {1, 2, 3}})
      .Example({.name = "nothing",
                .inputs = {x, I({1}, {0}), I({1}, {0}), I({1}, {1}), F({0, 3}, {})},
                .expected = {x},
                .constant_inputs = {1, 2, 3}});
}

}  // namespace

void RegisterStridedSliceAssign(OpRegistry& registry) {
  AddExamples(AddSlice(registry.Add("TensorStridedSliceUpdate")
                           .Doc("The tensor with a strided slice replaced.")
                           .In("input", "T"))
                  .Out("output", "T")
                  .Shape(UnchangedShape)
                  .Kernel(Make<false>)
                  .Gradient(UpdateGradient));
  AddExamples(AddSlice(registry.Add("StridedSliceAssign")
                           .Doc("Replaces a strided slice of the variable.")
                           .RefIn("ref", "T"))
                  .RefOut("output_ref", "T")
                  .Traits({.stateful = true, .forwards_ref = true})
                  .Shape(UnchangedShape)
                  .Kernel(Make<true>)
                  .NotDifferentiable("it changes a variable"));
  AddSlice(registry.Add("ResourceStridedSliceAssign")
               .Doc("Replaces a strided slice of the variable.")
               .In("ref", kResource))
      .Traits({.stateful = true})
      .Shape(NoOutputs)
      .Kernel(Make<true>)
      .NotDifferentiable("it changes a variable")
      .NoExample("its variable is a resource; resource_variables_test.cc runs it");
}

}  // namespace espalier
