// NextAfter, PopulationCount, ApproximateEqual. Tested by the registry test.
#include <bit>
#include <cmath>

#include "espalier/ops/binary.h"

namespace espalier {
namespace {

struct Next {
  auto operator()(auto x, auto y) const { return std::nextafter(x, y); }
};

template <typename T>
absl::Status CountBits(KernelContext& context) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(kUInt8, x.shape()));
  for (int64_t i = 0; i < x.num_elements(); ++i) {
    y.mutable_data<uint8_t>()[i] =
        static_cast<uint8_t>(std::popcount(static_cast<std::make_unsigned_t<T>>(x.data<T>()[i])));
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <typename T>
absl::Status NearlyEqual(KernelContext& context, float tolerance) {
  using C = ComputeType<T>;
  const Tensor& x = context.input(0);
  const Tensor& y = context.input(1);
  if (!(x.shape() == y.shape())) return absl::InvalidArgumentError("x and y must have one shape");
  ASSIGN_OR_RETURN(Tensor z, context.Allocate(kBool, x.shape()));
  for (int64_t i = 0; i < x.num_elements(); ++i) {
    const C a = static_cast<C>(x.data<T>()[i]), b = static_cast<C>(y.data<T>()[i]);
    const C distance = a > b ? static_cast<C>(a - b) : static_cast<C>(b - a);
    z.mutable_data<bool>()[i] = distance < static_cast<C>(tolerance);
  }
  context.set_output(0, std::move(z));
  return absl::OkStatus();
}

using BitTypes = TypeList<int32_t, int64_t, uint8_t, int8_t, int16_t, uint16_t, uint32_t, uint64_t>;

}  // namespace

void RegisterNextAfter(OpRegistry& registry) {
  DeclareBinary(registry, "NextAfter", "The next number after x in the direction of y.",
                {kFloat, kDouble}, [](double x, double) { return x; })
      .Kernel(BinaryKernel<Next>(TypeList<float, double>()))
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {Reduced(g, g.dy(), 0), Reduced(g, g.Op("ZerosLike", {g.dy()}), 1)};
      })
      .Example({.name = "one step",
                .inputs = {F({2}, {1, 0}), F({2}, {2, -1})},
                .expected = {F({2}, {1.0000001f, -1e-45f})},
                .check_gradient = false});
  registry.Add("PopulationCount")
      .Doc("The number of bits that are set in each element.")
      .In("x", "T")
      .Out("y", kUInt8)
      .TypeAttr("T", {kInt32, kInt64, kUInt8, kInt8, kInt16, kUInt16, kUInt32, kUInt64})
      .Traits({.elementwise = true})
      .Shape(UnchangedShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(BitTypes(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction { return CountBits<T>; });
      })
      .NotDifferentiable("it works on the bits of integers")
      .Example({.name = "int32",
                .inputs = {I({3}, {0, 7, -1})},
                .expected = {Tensor::Of<uint8_t>({3}, {0, 3, 32})}})
      .Example(
          {.name = "int64", .inputs = {L({1}, {-1})}, .expected = {Tensor::Of<uint8_t>({1}, {64})}})
      .Example(
          {.name = "empty", .inputs = {I({0}, {})}, .expected = {Tensor::Of<uint8_t>({0}, {})}});
  registry.Add("ApproximateEqual")
      .Doc("Whether |x - y| < tolerance, elementwise.")
      .In("x", "T")
      .In("y", "T")
      .Out("z", kBool)
      .TypeAttr("T", {kFloat, kDouble})
      .Attr("tolerance", 1e-5)
      .Traits({.elementwise = true, .commutative = true})
      .Shape(AllInputsEqualShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        const float tolerance = node.attr<float>("tolerance");
        return DispatchType(TypeList<float, double>(), RemoveRef(node.input(0).dtype()),
                            [tolerance]<typename T>() -> KernelFunction {
                              return [tolerance](KernelContext& context) {
                                return NearlyEqual<T>(context, tolerance);
                              };
                            });
      })
      .NotDifferentiable("its output is bool")
      .Example({.name = "near and far",
                .inputs = {F({2}, {1, 1}), F({2}, {1.000001f, 1.1f})},
                .expected = {B({2}, {true, false})}})
      .Example({.name = "wide",
                .inputs = {F({1}, {1}), F({1}, {1.5f})},
                .attrs = {{"tolerance", 1.0}},
                .expected = {B({1}, {true})}})
      .Example({.name = "empty", .inputs = {F({0}, {}), F({0}, {})}, .expected = {B({0}, {})}});
}

}  // namespace espalier
