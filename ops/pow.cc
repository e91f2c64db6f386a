// Pow. Tested by the registry test.
#include <cmath>

#include "espalier/ops/binary.h"

namespace espalier {
namespace {

struct Power {
  auto operator()(auto x, auto y) const {
    using T = decltype(x);
    if constexpr (std::is_floating_point_v<T>) {
      return std::pow(x, y);
    } else {
      // By squaring; negative exponents are refused before.
      T result = 1;
      for (; y > 0; y = static_cast<T>(y / 2)) {
        if (y % 2 != 0) result = WrapMul(result, x);
        x = WrapMul(x, x);
      }
      return result;
    }
  }
};

absl::StatusOr<KernelFunction> MakePow(const Node& node) {
  return DispatchType(ArithmeticTypes(), RemoveRef(node.input(0).dtype()),
                      []<typename T>() -> KernelFunction {
                        return [](KernelContext& context) -> absl::Status {
                          if constexpr (std::is_integral_v<T>) {
                            for (T exponent : context.input(1).flat<T>()) {
                              if (exponent < 0) {
                                return absl::InvalidArgumentError(
                                    "integers to negative integer powers are not allowed");
                              }
                            }
                          }
                          return BroadcastBinary<T, Power>(context);
                        };
                      });
}

std::vector<Output> PowGradient(const GradientContext& g) {
  const Expression dy = g(g.dy());
  const Expression x = g(g.x(0));
  const Expression y = g(g.x(1));
  const Output dx = dy * y * g(g.Op("Pow", {x, y - 1}));
  // log x where x > 0; elsewhere the power is 0 or has no derivative by y.
  const Output zeros = g.Op("ZerosLike", {x});
  const Output positive = g.Op("Greater", {x, zeros});
  const Output safe = g.Op("SelectV2", {positive, x, g.Op("OnesLike", {x})});
  const Output log = g.Op("SelectV2", {positive, g.Op("Log", {safe}), zeros});
  return {Reduced(g, dx, 0), Reduced(g, dy * g(g.y(0)) * g(log), 1)};
}

}  // namespace

void RegisterPow(OpRegistry& registry) {
  registry.Add("Pow")
      .Doc(
          "x to the power of y with broadcasting. A negative power of an integer is "
          "INVALID_ARGUMENT.")
      .In("x", "T")
      .In("y", "T")
      .Out("z", "T")
      .TypeAttr("T", kArithmeticDTypes)
      .Traits({.elementwise = true})
      .Shape(BroadcastShape)
      .Kernel(MakePow)
      .Gradient(PowGradient)
      .Examples(BinaryExamples([](double x, double y) { return std::pow(x, y); }))
      .Example({.name = "integers",
                .inputs = {I({3}, {2, -3, 10}), I({3}, {10, 3, 0})},
                .expected = {I({3}, {1024, -27, 1})}});
}

}  // namespace espalier
