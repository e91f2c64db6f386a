// CountUpTo and ResourceCountUpTo. Tested by the registry test and resource_variables_test.cc.
#include "absl/strings/str_cat.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/runtime/kernel.h"

namespace espalier {
namespace {

// The value before it is raised by one. OUT_OF_RANGE at the limit, and the variable stays.
template <typename T>
absl::Status CountUpTo(KernelContext& context, int64_t limit) {
  RETURN_IF_ERROR(Require(context.variable(0) != nullptr, "ref is no variable"));
  VariableWriter writer({context.variable(0).get()});
  RETURN_IF_ERROR(writer.Check());
  const Tensor before = writer.value(0);
  if (before.rank() != 0 || before.dtype() != DTypeOf<T>) {
    return absl::InvalidArgumentError(
        absl::StrCat("the variable must be a scalar ", DTypeName(DTypeOf<T>), ", it is ",
                     DTypeName(before.dtype()), before.shape().ToString()));
  }
  const T value = before.scalar<T>();
  if (static_cast<int64_t>(value) >= limit)
    return absl::OutOfRangeError(absl::StrCat("Reached limit of ", limit));
  writer.Set(0, Tensor(static_cast<T>(value + 1)));
  context.set_output(0, before);
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> Make(const Node& node) {
  return DispatchType(TypeList<int32_t, int64_t>(), node.attr<DType>("T"),
                      [limit = node.attr<int64_t>("limit")]<typename T>() -> KernelFunction {
                        return [limit](KernelContext& context) {
                          return CountUpTo<T>(context, limit);
                        };
                      });
}

OpSchema& Add(OpSchema& op) {
  return op.Doc("The counter, which is raised by one; OUT_OF_RANGE once it has reached limit.")
      .Out("output", "T")
      .RequiredAttr("limit", AttrKind::kInt)
      .TypeAttr("T", kIndexDTypes)
      .Traits({.stateful = true})
      .Shape(ScalarShape)
      .Kernel(Make)
      .NotDifferentiable("it counts");
}

}  // namespace

void RegisterCountUpTo(OpRegistry& registry) {
  Add(registry.Add("CountUpTo").RefIn("ref", "T"))
      .Example({.name = "below",
                .inputs = {I({}, {3})},
                .attrs = {{"limit", 10}},
                .expected = {I({}, {3})}})
      .Example({.name = "wide",
                .inputs = {L({}, {0})},
                .attrs = {{"limit", 1}},
                .expected = {L({}, {0})}})
      .Example({.name = "negative",
                .inputs = {I({}, {-5})},
                .attrs = {{"limit", -4}},
                .expected = {I({}, {-5})}});
  Add(registry.Add("ResourceCountUpTo").In("resource", kResource))
      .NoExample("its variable is a resource; resource_variables_test.cc runs it");
}

}  // namespace espalier
