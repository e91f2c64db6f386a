// LinSpace. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

absl::StatusOr<int64_t> CountFrom(const Tensor& num) {
  if (num.rank() != 0) return absl::InvalidArgumentError("num must be a scalar");
  const int64_t count = Indices(num)[0];
  if (count > 0) return count;
  return absl::InvalidArgumentError(absl::StrCat("Requires num > 0: ", count));
}

// The ends are exact: the last value is `stop`, not what the steps add up to.
template <typename T>
absl::Status LinSpace(KernelContext& context) {
  if (context.input(0).rank() != 0 || context.input(1).rank() != 0)
    return absl::InvalidArgumentError("start and stop must be scalars");
  const T start = context.input(0).scalar<T>(), stop = context.input(1).scalar<T>();
  ASSIGN_OR_RETURN(const int64_t count, CountFrom(context.input(2)));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, {count}));
  T* out = y.mutable_data<T>();
  out[0] = start;
  if (count > 1) {
    const T step = (stop - start) / static_cast<T>(count - 1);
    for (int64_t i = 1; i + 1 < count; ++i) out[i] = start + step * static_cast<T>(i);
    out[count - 1] = stop;
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::Status LinSpaceShape(InferenceContext& c) {
  for (int i = 0; i < 3; ++i) RETURN_IF_ERROR(c.WithRank(i, 0));
  const auto count = c.constant_ints(2);
  if (count && (*count)[0] <= 0)
    return absl::InvalidArgumentError(absl::StrCat("Requires num > 0: ", (*count)[0]));
  c.set_output(0, {count ? (*count)[0] : -1});
  return absl::OkStatus();
}

}  // namespace

void RegisterLinSpace(OpRegistry& registry) {
  registry.Add("LinSpace")
      .Doc("num values at equal distances from start to stop, both included.")
      .In("start", "T")
      .In("stop", "T")
      .In("num", "Tidx")
      .Out("output", "T")
      .TypeAttr("T", {kFloat, kDouble})
      .TypeAttr("Tidx", kIndexDTypes, kInt32)
      .Shape(LinSpaceShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(TypeList<float, double>(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction { return LinSpace<T>; });
      })
      .NotDifferentiable("TensorFlow has no gradient for it")
      .Example({.name = "five",
                .inputs = {F({}, {1}), F({}, {3}), I({}, {5})},
                .expected = {F({5}, {1, 1.5f, 2, 2.5f, 3})}})
      .Example({.name = "one",
                .inputs = {F({}, {1}), F({}, {3}), L({}, {1})},
                .expected = {F({1}, {1})}})
      .Example({.name = "falling",
                .inputs = {F({}, {3}), F({}, {1}), I({}, {2})},
                .expected = {F({2}, {3, 1})}});
}

}  // namespace espalier
