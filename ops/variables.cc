// Variables reached through ref edges: VariableV2, Assign, AssignAdd, AssignSub,
// IsVariableInitialized. Tested by the registry test and runtime/order_state_test.cc.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/variable_update.h"

namespace espalier {
namespace {

constexpr char kNoGradient[] = "it changes a variable";

absl::Status VariableShape(InferenceContext& c) {
  c.set_output(0, c.node().attr<Shape>("shape"));
  return absl::OkStatus();
}

absl::Status AssignShape(InferenceContext& c) {
  if (!c.node().attr<bool>("validate_shape")) {
    c.set_output(0, c.input(1));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(Shape merged, Shape::Merge(c.input(0), c.input(1)));
  c.set_output(0, merged);
  return absl::OkStatus();
}

absl::Status UpdateShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(Shape merged, Shape::Merge(c.input(0), c.input(1)));
  c.set_output(0, merged);
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeAssign(const Node& node) {
  const Shape declared =
      node.attr<bool>("validate_shape") ? node.input(0).shape() : Shape::Unknown();
  return KernelFunction([declared](KernelContext& context) -> absl::Status {
    const Tensor& value = context.input(1);
    if (!Shape::Compatible(declared, value.shape())) {
      return absl::InvalidArgumentError(absl::StrCat("the variable has shape ", declared.ToString(),
                                                     ", received a value of shape ",
                                                     value.shape().ToString()));
    }
    // Taking over a buffer that others hold is safe: the next write copies it.
    context.variable(0)->Write(value);
    context.ForwardValue(0, 0);
    return absl::OkStatus();
  });
}

template <int kSign, typename T>
absl::Status Update(KernelContext& context) {
  RETURN_IF_ERROR((AddToVariable<T, kSign>(context, *context.variable(0), context.input(1))));
  context.ForwardValue(0, 0);
  return absl::OkStatus();
}

template <int kSign>
absl::StatusOr<KernelFunction> MakeUpdate(const Node& node) {
  return DispatchType(ArithmeticTypes(), RemoveRef(node.input(1).dtype()),
                      []<typename T>() -> KernelFunction { return Update<kSign, T>; });
}

template <int kSign>
void AddUpdate(OpRegistry& registry, const char* name, const char* doc) {
  registry.Add(name)
      .Doc(doc)
      .RefIn("ref", "T")
      .In("value", "T")
      .RefOut("output_ref", "T")
      .TypeAttr("T", kArithmeticDTypes)
      .Attr("use_locking", false)
      .Traits({.stateful = true, .forwards_ref = true})
      .Shape(UpdateShape)
      .Kernel(MakeUpdate<kSign>)
      .NotDifferentiable(kNoGradient)
      .Example({.name = "vector",
                .inputs = {F({2}, {1, 2}), F({2}, {0.5f, 4})},
                .expected = {F({2}, {1 + 0.5f * kSign, 2 + 4.f * kSign})}})
      .Example({.name = "integer",
                .inputs = {L({}, {5}), L({}, {2})},
                .expected = {L({}, {5 + 2 * kSign})}})
      .Example({.name = "empty", .inputs = {F({0}, {}), F({0}, {})}, .expected = {F({0}, {})}});
}

void AddVariable(OpRegistry& registry, const char* name, const char* doc) {
  registry.Add(name)
      .Doc(doc)
      .RefOut("ref", "dtype")
      .RequiredAttr("shape", AttrKind::kShape)
      .TypeAttr("dtype")
      .Attr("container", "")
      .Attr("shared_name", "")
      .Traits({.stateful = true, .is_variable = true})
      .Shape(VariableShape)
      .Kernel([](const Node&) -> absl::StatusOr<KernelFunction> {
        return KernelFunction(
            [](KernelContext&) { return absl::InternalError("a plan resolves variables"); });
      })
      .NotDifferentiable("it has no inputs")
      .NoExample("it has no value until it is assigned; the examples of Assign use it");
}

}  // namespace

void RegisterVariables(OpRegistry& registry) {
  AddVariable(registry, "VariableV2",
              "State of the session, shared by name. Uninitialised until it is assigned.");
  AddVariable(registry, "Variable", "VariableV2 as graphs of old producers have it.");
  registry.Add("Assign")
      .Doc(
          "Sets the variable. Its shape must be that of the variable unless validate_shape is "
          "false.")
      .RefIn("ref", "T")
      .In("value", "T")
      .RefOut("output_ref", "T")
      .TypeAttr("T")
      .Attr("validate_shape", true)
      .Attr("use_locking", true)
      .Traits({.stateful = true, .forwards_ref = true, .initializes = true})
      .Shape(AssignShape)
      .Kernel(MakeAssign)
      .NotDifferentiable(kNoGradient)
      .Example({.name = "vector",
                .inputs = {F({2}, {1, 2}), F({2}, {3, 4})},
                .expected = {F({2}, {3, 4})}})
      .Example({.name = "another shape",
                .inputs = {F({2}, {1, 2}), F({1}, {3})},
                .attrs = {{"validate_shape", false}},
                .expected = {F({1}, {3})}})
      .Example({.name = "empty", .inputs = {F({0}, {}), F({0}, {})}, .expected = {F({0}, {})}});
  AddUpdate<1>(registry, "AssignAdd", "Adds to the variable in place.");
  AddUpdate<-1>(registry, "AssignSub", "Subtracts from the variable in place.");
  registry.Add("IsVariableInitialized")
      .Doc("Whether the variable has a value.")
      .RefIn("ref", "dtype")
      .Out("is_initialized", kBool)
      .TypeAttr("dtype")
      .Traits({.stateful = true, .initializes = true})
      .Shape(ScalarShape)
      .Kernel([](const Node&) -> absl::StatusOr<KernelFunction> {
        return KernelFunction([](KernelContext& context) {
          context.set_output(0, Tensor(context.variable(0)->initialized()));
          return absl::OkStatus();
        });
      })
      .NotDifferentiable("its output is bool")
      .Example({.name = "assigned", .inputs = {F({2}, {1, 2})}, .expected = {B({}, {true})}});
}

}  // namespace espalier
