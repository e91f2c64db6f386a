// Cast. Tested by the registry test.
#include <cmath>
#include <limits>

#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

// Floating to integer: towards zero. What does not fit gives the smallest value of a 32- or 64-bit
// integer, as x86's own conversion does, and wraps through int32 for smaller types; a C++ cast
// would be undefined there.
template <typename To, typename From>
To CastFloatToInteger(From value) {
  using Wide = std::conditional_t<(sizeof(To) > 4), int64_t,
                                  std::conditional_t<(sizeof(To) == 4), To, int32_t>>;
  using Signed = std::make_signed_t<Wide>;
  constexpr double kLow = static_cast<double>(std::numeric_limits<Signed>::min());
  const auto x = static_cast<double>(value);
  if (!(x >= kLow && x < -kLow)) return static_cast<To>(std::numeric_limits<Signed>::min());
  return static_cast<To>(static_cast<Signed>(x));
}

template <typename To, typename From>
To CastOne(From value) {
  const auto x = static_cast<ComputeType<From>>(value);
  if constexpr (std::is_same_v<To, bool>) {
    return x != 0;
  } else if constexpr (std::is_floating_point_v<ComputeType<From>> && std::is_integral_v<To>) {
    return CastFloatToInteger<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

template <typename From, typename To>
absl::Status CastTensor(KernelContext& context) {
  const Tensor& x = context.input(0);
  if constexpr (std::is_same_v<From, To>) {
    context.set_output(0, x);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<To>, x.shape()));
  const From* in = x.data<From>();
  To* out = y.mutable_data<To>();
  context.ParallelFor(x.num_elements(), kElementwiseBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = CastOne<To>(in[i]);
  });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeCast(const Node& node) {
  const DType to = node.attr<DType>("DstT");
  return DispatchType(
      PlainTypes(), RemoveRef(node.input(0).dtype()), [to]<typename From>() -> KernelFunction {
        return DispatchType(PlainTypes(), to,
                            []<typename To>() -> KernelFunction { return CastTensor<From, To>; });
      });
}

std::vector<Output> CastGradient(const GradientContext& g) {
  const DType from = RemoveRef(g.x(0).dtype());
  if (!IsDifferentiable(from) || !IsDifferentiable(g.y(0).dtype())) return {Output()};
  return {g.Op("Cast", {g.dy()}, {{"DstT", from}})};
}

}  // namespace

void RegisterCast(OpRegistry& registry) {
  registry.Add("Cast")
      .Doc(
          "Converts to DstT. Floating to integer rounds towards zero; NaN and what does not fit "
          "give the smallest "
          "integer (through int32 for types of 8 and 16 bits).")
      .In("x", "SrcT")
      .Out("y", "DstT")
      .TypeAttr("SrcT")
      .TypeAttr("DstT")
      .Attr("Truncate", false)
      .Traits({.elementwise = true})
      .Shape(UnchangedShape)
      .PartialValue(
          [](const Node& node, int depth) { return PartialIntegers(node.input(0), depth); })
      .Kernel(MakeCast)
      .Gradient(CastGradient)
      .Example({.name = "to int",
                .inputs = {F({4}, {-1.7f, 1.7f, 3e9f, 0})},
                .attrs = {{"DstT", kInt32}},
                .expected = {I({4}, {-1, 1, -2147483647 - 1, 0})}})
      .Example({.name = "from bool",
                .inputs = {B({2}, {true, false})},
                .attrs = {{"DstT", kFloat}},
                .expected = {F({2}, {1, 0})}})
      .Example({.name = "to double and empty",
                .inputs = {F({0, 2}, {})},
                .attrs = {{"DstT", kDouble}},
                .expected = {Tensor::Of<double>({0, 2}, {})}});
}

}  // namespace espalier
