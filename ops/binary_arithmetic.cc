// Elementwise arithmetic of two inputs with broadcasting: AddV2, Sub, Mul, … Tested by the registry
// test.
#include <cmath>

#include "espalier/ops/binary.h"

namespace espalier {
namespace {

struct Plus {
  auto operator()(auto x, auto y) const { return WrapAdd(x, y); }
};
struct Minus {
  auto operator()(auto x, auto y) const { return WrapSub(x, y); }
};
struct Times {
  auto operator()(auto x, auto y) const { return WrapMul(x, y); }
};
struct Over {
  auto operator()(auto x, auto y) const { return x / y; }
};
// NaN on either side gives NaN, as in TensorFlow.
struct Larger {
  auto operator()(auto x, auto y) const { return x != x ? x : (y > x || y != y ? y : x); }
};
struct Smaller {
  auto operator()(auto x, auto y) const { return x != x ? x : (y < x || y != y ? y : x); }
};
struct DifferenceSquared {
  auto operator()(auto x, auto y) const {
    const auto d = WrapSub(x, y);
    return WrapMul(d, d);
  }
};

std::vector<Output> AddGradient(const GradientContext& g) {
  return {Reduced(g, g.dy(), 0), Reduced(g, g.dy(), 1)};
}
std::vector<Output> SubGradient(const GradientContext& g) {
  return {Reduced(g, g.dy(), 0), Reduced(g, -g(g.dy()), 1)};
}
std::vector<Output> MulGradient(const GradientContext& g) {
  return {Reduced(g, g(g.dy()) * g(g.x(1)), 0), Reduced(g, g(g.dy()) * g(g.x(0)), 1)};
}
std::vector<Output> RealDivGradient(const GradientContext& g) {
  const Expression dy = g(g.dy());
  const Expression y = g(g.x(1));
  return {Reduced(g, dy / y, 0), Reduced(g, dy * (-g(g.y(0)) / y), 1)};
}
// The gradient goes to the input that was chosen; to the first on ties.
template <int kOp>
std::vector<Output> ChoiceGradient(const GradientContext& g) {
  const Output first = g.Op(kOp == 0 ? "GreaterEqual" : "LessEqual", {g.x(0), g.x(1)});
  const Output zeros = g.Op("ZerosLike", {g.dy()});
  return {Reduced(g, g.Op("SelectV2", {first, g.dy(), zeros}), 0),
          Reduced(g, g.Op("SelectV2", {first, zeros, g.dy()}), 1)};
}
std::vector<Output> SquaredDifferenceGradient(const GradientContext& g) {
  const Expression d = g(g.dy()) * ((g(g.x(0)) - g(g.x(1))) * 2);
  return {Reduced(g, d, 0), Reduced(g, -d, 1)};
}

template <typename Functor>
OpSchema& Add(OpRegistry& registry, const char* name, const char* doc, GradientFunction gradient,
              double (*reference)(double, double)) {
  return DeclareBinary(registry, name, doc, kArithmeticDTypes, reference)
      .Kernel(BinaryKernel<Functor>(ArithmeticTypes()))
      .Gradient(gradient);
}

}  // namespace

void RegisterBinaryArithmetic(OpRegistry& registry) {
  const OpTraits commutative = {.elementwise = true, .commutative = true};
  const auto sum = [](double x, double y) { return x + y; };
  Add<Plus>(registry, "AddV2", "x + y with broadcasting; integers wrap around.", AddGradient, sum)
      .Traits(commutative);
  Add<Plus>(registry, "Add", "x + y with broadcasting: the older form of AddV2.", AddGradient, sum)
      .Traits(commutative);
  Add<Minus>(registry, "Sub", "x - y with broadcasting; integers wrap around.", SubGradient,
             [](double x, double y) { return x - y; });
  Add<Times>(registry, "Mul", "x * y with broadcasting; integers wrap around.", MulGradient,
             [](double x, double y) { return x * y; })
      .Traits(commutative);
  Add<Larger>(registry, "Maximum", "The larger of x and y with broadcasting; NaN wins.",
              ChoiceGradient<0>, [](double x, double y) { return std::max(x, y); })
      .Traits(commutative);
  Add<Smaller>(registry, "Minimum", "The smaller of x and y with broadcasting; NaN wins.",
               ChoiceGradient<1>, [](double x, double y) { return std::min(x, y); })
      .Traits(commutative);
  Add<DifferenceSquared>(registry, "SquaredDifference", "(x - y)^2 with broadcasting.",
                         SquaredDifferenceGradient,
                         [](double x, double y) { return (x - y) * (x - y); })
      .Traits(commutative);
  DeclareBinary(registry, "RealDiv", "x / y with broadcasting, for floating types.", kRealDTypes,
                [](double x, double y) { return x / y; })
      .Kernel(BinaryKernel<Over>(RealTypes()))
      .Gradient(RealDivGradient);
}

}  // namespace espalier
