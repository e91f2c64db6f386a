// Elementwise arithmetic of two inputs with broadcasting: AddV2, Sub, Mul, … Tested by the registry
// test.
#include <cmath>

#include "espalier/graph/channel_map.h"
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

// Which of the two operands is constant, as numbers for the channels of the other.
struct ConstantOperand {
  int other;
  std::vector<double> values;
};

std::optional<ConstantOperand> FindConstant(const Node& node,
                                            absl::Span<const Tensor* const> constants) {
  const int other = constants[0] == nullptr ? 0 : 1;
  if (constants[other] != nullptr || constants[1 - other] == nullptr) return std::nullopt;
  std::optional<std::vector<double>> values = PerChannel(*constants[1 - other], node, other);
  if (!values) return std::nullopt;
  return ConstantOperand{other, *std::move(values)};
}

// x + c, with `sign` for x and c: x - c is (1, -1), c - x is (-1, 1).
std::optional<ChannelMap> SumMap(const Node& node, absl::Span<const Tensor* const> constants,
                                 double first, double second) {
  std::optional<ConstantOperand> c = FindConstant(node, constants);
  if (!c) return std::nullopt;
  const double of_x = c->other == 0 ? first : second;
  const double of_c = c->other == 0 ? second : first;
  ChannelMap map = {.input = c->other, .scale = std::vector<double>(c->values.size(), of_x)};
  for (const double value : c->values) map.offset.push_back(of_c * value);
  return map;
}

std::optional<ChannelMap> AddChannelMap(const Node& node,
                                        absl::Span<const Tensor* const> constants) {
  return SumMap(node, constants, 1, 1);
}
std::optional<ChannelMap> SubChannelMap(const Node& node,
                                        absl::Span<const Tensor* const> constants) {
  return SumMap(node, constants, 1, -1);
}
std::optional<ChannelMap> MulChannelMap(const Node& node,
                                        absl::Span<const Tensor* const> constants) {
  std::optional<ConstantOperand> c = FindConstant(node, constants);
  if (!c) return std::nullopt;
  const std::vector<double> zeros(c->values.size());
  return ChannelMap{.input = c->other, .scale = std::move(c->values), .offset = zeros};
}
std::optional<ChannelMap> DivChannelMap(const Node& node,
                                        absl::Span<const Tensor* const> constants) {
  std::optional<ChannelMap> map = MulChannelMap(node, constants);
  if (!map || map->input != 0) return std::nullopt;
  for (double& scale : map->scale) scale = 1 / scale;
  return map;
}

}  // namespace

void RegisterBinaryArithmetic(OpRegistry& registry) {
  const OpTraits commutative = {.elementwise = true, .commutative = true};
  const auto sum = [](double x, double y) { return x + y; };
  Add<Plus>(registry, "AddV2", "x + y with broadcasting; integers wrap around.", AddGradient, sum)
      .Traits(commutative)
      .ChannelMap(AddChannelMap);
  Add<Plus>(registry, "Add", "x + y with broadcasting: the older form of AddV2.", AddGradient, sum)
      .Traits(commutative)
      .ChannelMap(AddChannelMap);
  Add<Minus>(registry, "Sub", "x - y with broadcasting; integers wrap around.", SubGradient,
             [](double x, double y) { return x - y; })
      .ChannelMap(SubChannelMap);
  Add<Times>(registry, "Mul", "x * y with broadcasting; integers wrap around.", MulGradient,
             [](double x, double y) { return x * y; })
      .Traits(commutative)
      .ChannelMap(MulChannelMap);
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
      .ChannelMap(DivChannelMap)
      .Gradient(RealDivGradient);
}

}  // namespace espalier
