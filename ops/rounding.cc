// Floor, Ceil, Rint, Round, and the tests IsFinite, IsInf, IsNan. Tested by the registry test.
#include <cmath>

#include "espalier/ops/unary.h"

namespace espalier {
namespace {

struct FloorOf {
  auto operator()(auto x) const { return std::floor(x); }
};
struct CeilOf {
  auto operator()(auto x) const { return std::ceil(x); }
};
// Halves go to the even neighbour: the default rounding mode.
struct RintOf {
  auto operator()(auto x) const {
    if constexpr (std::is_floating_point_v<decltype(x)>) {
      return std::nearbyint(x);
    } else {
      return x;
    }
  }
};
struct FiniteOf {
  bool operator()(auto x) const { return std::isfinite(x); }
};
struct InfiniteOf {
  bool operator()(auto x) const { return std::isinf(x); }
};
struct NanOf {
  bool operator()(auto x) const { return std::isnan(x); }
};

constexpr char kStep[] = "it is a step: its slope is 0 or undefined";

template <typename Functor>
void AddTest(OpRegistry& registry, const char* name, const char* doc,
             std::initializer_list<bool> expected) {
  const float infinity = std::numeric_limits<float>::infinity();
  registry.Add(name)
      .Doc(doc)
      .In("x", "T")
      .Out("y", kBool)
      .TypeAttr("T", kRealDTypes)
      .Traits({.elementwise = true})
      .Shape(UnchangedShape)
      .Kernel(UnaryKernel<Functor>(RealTypes()))
      .NotDifferentiable("its output is bool")
      .Example({.name = "vector",
                .inputs = {F({4}, {1, -infinity, infinity, std::nanf("")})},
                .expected = {B({4}, expected)}})
      .Example({.name = "scalar", .inputs = {F({}, {2})}, .expected = {B({}, {*expected.begin()})}})
      .Example({.name = "empty", .inputs = {F({0}, {})}, .expected = {B({0}, {})}});
}

}  // namespace

void RegisterRounding(OpRegistry& registry) {
  const std::initializer_list<float> points = {-2.5f, -0.3f, 0.5f, 1.7f};
  AddUnary<FloorOf>(registry, "Floor", "The largest integer not above x, elementwise.", points,
                    [](double x) { return std::floor(x); })
      .NotDifferentiable(kStep);
  AddUnary<CeilOf>(registry, "Ceil", "The smallest integer not below x, elementwise.", points,
                   [](double x) { return std::ceil(x); })
      .NotDifferentiable(kStep);
  AddUnary<RintOf>(registry, "Rint", "The nearest integer, halves to the even one, elementwise.",
                   points, [](double x) { return std::nearbyint(x); })
      .NotDifferentiable(kStep);
  registry.Add("Round")
      .Doc("The nearest integer, halves to the even one, elementwise; integers stay.")
      .In("x", "T")
      .Out("y", "T")
      .TypeAttr("T", kArithmeticDTypes)
      .Traits({.elementwise = true})
      .Shape(UnchangedShape)
      .Kernel(UnaryKernel<RintOf>(ArithmeticTypes()))
      .NotDifferentiable(kStep)
      .Examples(UnaryExamples([](double x) { return std::nearbyint(x); }, points));
  AddTest<FiniteOf>(registry, "IsFinite", "Whether x is neither infinite nor NaN.",
                    {true, false, false, false});
  AddTest<InfiniteOf>(registry, "IsInf", "Whether x is infinite.", {false, true, true, false});
  AddTest<NanOf>(registry, "IsNan", "Whether x is NaN.", {false, false, false, true});
}

}  // namespace espalier
