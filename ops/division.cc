// The divisions beside RealDiv: Div, FloorDiv, FloorMod, TruncateDiv, TruncateMod, Mod, DivNoNan,
// MulNoNan; and Xlogy, Xdivy, Xlog1py, Atan2. Tested by the registry test.
#include <cmath>

#include "espalier/ops/binary.h"

namespace espalier {
namespace {

// Integer functors see no zero divisor (the kernel has checked); the smallest integer over -1
// wraps.
template <typename T>
T Quotient(T x, T y) {
  if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
    return y == -1 ? WrapSub(T(0), x) : static_cast<T>(x / y);
  } else {
    return static_cast<T>(x / y);
  }
}
template <typename T>
T Remainder(T x, T y) {
  if constexpr (std::is_floating_point_v<T>) {
    return std::fmod(x, y);
  } else if constexpr (std::is_signed_v<T>) {
    return y == -1 ? T(0) : static_cast<T>(x % y);
  } else {
    return static_cast<T>(x % y);
  }
}

struct Divided {
  auto operator()(auto x, auto y) const { return Quotient(x, y); }
};
struct Truncated {
  auto operator()(auto x, auto y) const {
    if constexpr (std::is_floating_point_v<decltype(x)>) return std::trunc(x / y);
    return Quotient(x, y);
  }
};
struct TruncatedRemainder {
  auto operator()(auto x, auto y) const { return Remainder(x, y); }
};
struct Floored {
  auto operator()(auto x, auto y) const {
    using T = decltype(x);
    if constexpr (std::is_floating_point_v<T>) {
      return std::floor(x / y);
    } else {
      const T quotient = Quotient(x, y);
      const bool down = Remainder(x, y) != 0 && (x < 0) != (y < 0);
      return static_cast<T>(quotient - (down ? 1 : 0));
    }
  }
};
// The remainder with the sign of the divisor.
struct FlooredRemainder {
  auto operator()(auto x, auto y) const {
    using T = decltype(x);
    const T rest = Remainder(x, y);
    return rest != 0 && (rest < 0) != (y < 0) ? static_cast<T>(rest + y) : rest;
  }
};
struct QuotientOrZero {
  auto operator()(auto x, auto y) const { return y == 0 ? decltype(x)(0) : x / y; }
};
struct ProductOrZero {
  auto operator()(auto x, auto y) const { return y == 0 ? decltype(x)(0) : x * y; }
};
struct TimesLog {
  auto operator()(auto x, auto y) const { return x == 0 ? decltype(x)(0) : x * std::log(y); }
};
struct TimesLog1p {
  auto operator()(auto x, auto y) const { return x == 0 ? decltype(x)(0) : x * std::log1p(y); }
};
struct ZeroOrQuotient {
  auto operator()(auto x, auto y) const { return x == 0 ? decltype(x)(0) : x / y; }
};
struct Angle {
  auto operator()(auto y, auto x) const { return std::atan2(y, x); }
};

// Integer division by zero is an error, not a signal.
template <typename T, typename Functor>
absl::Status CheckedBinary(KernelContext& context) {
  if constexpr (std::is_integral_v<T>) {
    const Tensor& divisor = context.input(1);
    const auto values = divisor.flat<T>();
    if (std::find(values.begin(), values.end(), T(0)) != values.end())
      return absl::InvalidArgumentError("Integer division by zero");
  }
  return BroadcastBinary<T, Functor>(context);
}

template <typename Functor>
absl::StatusOr<KernelFunction> MakeChecked(const Node& node) {
  return DispatchType(ArithmeticTypes(), RemoveRef(node.input(0).dtype()),
                      []<typename T>() -> KernelFunction { return CheckedBinary<T, Functor>; });
}

// dz/dx = 1 / y, dz/dy = -x / y².
std::vector<Output> DivGradient(const GradientContext& g) {
  const Expression dy = g(g.dy()), x = g(g.x(0)), y = g(g.x(1));
  return {Reduced(g, dy / y, 0), Reduced(g, dy * (-x / y / y), 1)};
}
std::vector<Output> DivNoNanGradient(const GradientContext& g) {
  const auto over = [&](const Output& a) { return g.Op("DivNoNan", {a, g.x(1)}); };
  return {Reduced(g, over(g.dy()), 0), Reduced(g, g(g.dy()) * g(over(over(-g(g.x(0))))), 1)};
}
std::vector<Output> MulNoNanGradient(const GradientContext& g) {
  return {Reduced(g, g.Op("MulNoNan", {g.dy(), g.x(1)}), 0),
          Reduced(g, g.Op("MulNoNan", {g.x(0), g.dy()}), 1)};
}
// x mod y = x - floor(x / y) y: the slope by y is -floor(x / y).
std::vector<Output> ModGradient(const GradientContext& g) {
  const Output quotient = g.Op("FloorDiv", {g.x(0), g.x(1)});
  return {Reduced(g, g.dy(), 0), Reduced(g, -(g(g.dy()) * g(quotient)), 1)};
}
// 0 where x is 0, whatever y.
Expression NonZero(const GradientContext& g) {
  const Output nonzero = g.Op("NotEqual", {g.x(0), g.Scalar(g.x(0), 0)});
  return g(g.Op("Cast", {nonzero}, {{"DstT", RemoveRef(g.x(0).dtype())}}));
}
std::vector<Output> XlogyGradient(const GradientContext& g) {
  const Output log = g.Op("Xlogy", {NonZero(g), g.x(1)});
  return {Reduced(g, g(g.dy()) * g(log), 0),
          Reduced(g, g(g.dy()) * g(g.Op("Xdivy", {g.x(0), g.x(1)})), 1)};
}
std::vector<Output> Xlog1pyGradient(const GradientContext& g) {
  const Output log = g.Op("Xlog1py", {NonZero(g), g.x(1)});
  return {Reduced(g, g(g.dy()) * g(log), 0),
          Reduced(g, g(g.dy()) * g(g.Op("Xdivy", {g.x(0), g(g.x(1)) + 1})), 1)};
}
std::vector<Output> XdivyGradient(const GradientContext& g) {
  const Output inverse = g.Op("Xdivy", {NonZero(g), g.x(1)});
  const Expression y = g(g.x(1));
  return {Reduced(g, g(g.dy()) * g(inverse), 0),
          Reduced(g, g(g.dy()) * g(g.Op("Xdivy", {-g(g.x(0)), y * y})), 1)};
}
std::vector<Output> Atan2Gradient(const GradientContext& g) {
  const Expression y = g(g.x(0)), x = g(g.x(1));
  const Expression scaled = g(g.dy()) / (x * x + y * y);
  return {Reduced(g, scaled * x, 0), Reduced(g, -(scaled * y), 1)};
}

template <typename Functor>
OpSchema& AddChecked(OpRegistry& registry, const char* name, const char* doc,
                     double (*reference)(double, double), std::initializer_list<int32_t> integers) {
  return DeclareBinary(registry, name, doc, kArithmeticDTypes, reference,
                       /*has_steps=*/integers.begin()[1] == 1)
      .Kernel(MakeChecked<Functor>)
      .Example({.name = "integers",
                .inputs = {I({4}, {7, -7, 7, -7}), I({4}, {2, 2, -2, -2})},
                .expected = {I({4}, integers)}});
}

template <typename Functor>
OpSchema& AddReal(OpRegistry& registry, const char* name, const char* doc,
                  double (*reference)(double, double)) {
  return DeclareBinary(registry, name, doc, kRealDTypes, reference)
      .Kernel(BinaryKernel<Functor>(RealTypes()));
}

double FloorMod(double x, double y) { return x - std::floor(x / y) * y; }

}  // namespace

void RegisterDivision(OpRegistry& registry) {
  const auto over = [](double x, double y) { return x / y; };
  AddChecked<Divided>(registry, "Div", "x / y; integers round towards zero.", over, {3, -3, -3, 3})
      .Gradient(DivGradient);
  AddChecked<Truncated>(registry, "TruncateDiv", "x / y rounded towards zero.",
                        [](double x, double y) { return std::trunc(x / y); }, {3, -3, -3, 3})
      .NotDifferentiable("it is a step: its slope is 0 or undefined");
  AddChecked<Floored>(registry, "FloorDiv", "The largest integer not above x / y.",
                      [](double x, double y) { return std::floor(x / y); }, {3, -4, -4, 3})
      .NotDifferentiable("it is a step: its slope is 0 or undefined");
  AddChecked<FlooredRemainder>(registry, "FloorMod", "x - floor(x / y) y: the sign of y.", FloorMod,
                               {1, 1, -1, -1})
      .Gradient(ModGradient)
      .Example({.name = "off the steps",
                .inputs = {F({2}, {7, -5.5f}), F({2}, {2.25f, 3})},
                .expected = {F({2}, {0.25f, 0.5f})}});
  AddChecked<TruncatedRemainder>(registry, "Mod", "The remainder with the sign of x.",
                                 [](double x, double y) { return std::fmod(x, y); }, {1, -1, 1, -1})
      .NotDifferentiable("TensorFlow has no gradient for it; FloorMod has one");
  AddChecked<TruncatedRemainder>(registry, "TruncateMod", "The remainder with the sign of x.",
                                 [](double x, double y) { return std::fmod(x, y); }, {1, -1, 1, -1})
      .NotDifferentiable("TensorFlow has no gradient for it; FloorMod has one");
  AddReal<QuotientOrZero>(registry, "DivNoNan", "x / y, and 0 where y is 0.", over)
      .Gradient(DivNoNanGradient)
      .Example({.name = "zero",
                .inputs = {F({1}, {3}), F({1}, {0})},
                .expected = {F({1}, {0})},
                .check_gradient = false});
  AddReal<ProductOrZero>(registry, "MulNoNan", "x y, and 0 where y is 0, even for infinite x.",
                         [](double x, double y) { return x * y; })
      .Gradient(MulNoNanGradient);
  AddReal<TimesLog>(registry, "Xlogy", "x log y, and 0 where x is 0.",
                    [](double x, double y) { return x * std::log(y); })
      .Gradient(XlogyGradient)
      .Example({.name = "zero",
                .inputs = {F({1}, {0}), F({1}, {0})},
                .expected = {F({1}, {0})},
                .check_gradient = false});
  AddReal<TimesLog1p>(registry, "Xlog1py", "x log(1 + y), and 0 where x is 0.",
                      [](double x, double y) { return x * std::log1p(y); })
      .Gradient(Xlog1pyGradient);
  AddReal<ZeroOrQuotient>(registry, "Xdivy", "x / y, and 0 where x is 0.", over)
      .Gradient(XdivyGradient)
      .Example({.name = "zero",
                .inputs = {F({1}, {0}), F({1}, {0})},
                .expected = {F({1}, {0})},
                .check_gradient = false});
  AddReal<Angle>(registry, "Atan2", "The angle of the point (x, y), first y.",
                 [](double y, double x) { return std::atan2(y, x); })
      .Gradient(Atan2Gradient);
}

}  // namespace espalier
