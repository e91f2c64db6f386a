// TemporaryVariable and DestroyTemporaryVariable: a variable that lives within one Run. Tested by
// the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/runtime/kernel.h"

namespace espalier {

void RegisterTemporaryVariable(OpRegistry& registry) {
  registry.Add("TemporaryVariable")
      .Doc("A variable of zeros that is gone after the Run.")
      .RefOut("ref", "dtype")
      .RequiredAttr("shape", AttrKind::kShape)
      .TypeAttr("dtype")
      .Attr("var_name", "")
      .Traits({.stateful = true})
      .Shape([](InferenceContext& c) {
        c.set_output(0, c.node().attr<Shape>("shape"));
        return absl::OkStatus();
      })
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        const Shape shape = node.attr<Shape>("shape");
        if (!shape.IsFullyKnown()) {
          return absl::InvalidArgumentError(
              absl::StrCat("attr shape must be known, received ", shape.ToString()));
        }
        return KernelFunction([shape, name = node.name(), dtype = node.attr<DType>("dtype")](
                                  KernelContext& context) -> absl::Status {
          ASSIGN_OR_RETURN(Tensor value, context.Allocate(dtype, shape));
          if (DTypeSize(dtype) > 0 && dtype != kString)
            std::memset(value.mutable_raw(), 0, value.num_bytes());
          auto slot = std::make_shared<VariableSlot>(name, dtype);
          slot->Write(std::move(value));
          context.set_output_variable(0, std::move(slot));
          return absl::OkStatus();
        });
      })
      .NotDifferentiable("it has no inputs")
      .Example({.name = "vector",
                .attrs = {{"shape", Shape{2}}, {"dtype", kFloat}},
                .expected = {F({2}, {0, 0})}})
      .Example({.name = "scalar",
                .attrs = {{"shape", Shape{}}, {"dtype", kInt32}},
                .expected = {I({}, {0})}})
      .Example({.name = "empty",
                .attrs = {{"shape", Shape{0}}, {"dtype", kFloat}},
                .expected = {F({0}, {})}});
  registry.Add("DestroyTemporaryVariable")
      .Doc("The final value of a temporary variable.")
      .RefIn("ref", "T")
      .Out("value", "T")
      .TypeAttr("T")
      .Attr("var_name", "")
      .Traits({.stateful = true})
      .Shape(UnchangedShape)
      .Kernel([](const Node&) -> absl::StatusOr<KernelFunction> {
        return KernelFunction([](KernelContext& context) -> absl::Status {
          RETURN_IF_ERROR(Require(context.variable(0) != nullptr, "ref is no variable"));
          Tensor value = context.variable(0)->Read();
          RETURN_IF_ERROR(Require(value.valid(), "the variable has no value"));
          context.set_output(0, std::move(value));
          return absl::OkStatus();
        });
      })
      .NotDifferentiable("it ends a variable")
      .Example({.name = "vector", .inputs = {F({2}, {1, 2})}, .expected = {F({2}, {1, 2})}})
      .Example({.name = "scalar", .inputs = {I({}, {3})}, .expected = {I({}, {3})}})
      .Example({.name = "empty", .inputs = {F({0}, {})}, .expected = {F({0}, {})}});
}

}  // namespace espalier
