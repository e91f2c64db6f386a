// Relu6, LeakyRelu, Elu, Selu and their gradient ops. Tested by the registry test.
#include <cmath>

#include "espalier/ops/unary.h"

namespace espalier {
namespace {

// Klambauer et al. 2017, equation 2.
constexpr double kSeluScale = 1.0507009873554804934193349852946;
constexpr double kSeluAlpha = 1.6732632423543772848170429916717;

struct Relu6Of {
  auto operator()(auto x) const {
    using T = decltype(x);
    return x < 0 ? T(0) : x > 6 ? T(6) : x;
  }
};
struct Relu6GradOf {
  auto operator()(auto dy, auto x) const { return x > 0 && x < 6 ? dy : decltype(dy)(0); }
};
struct EluOf {
  auto operator()(auto x) const { return x < 0 ? std::expm1(x) : x; }
};
// Of the output y: e^x is y + 1 where x < 0.
struct EluGradOf {
  auto operator()(auto dy, auto y) const { return y < 0 ? dy * (y + 1) : dy; }
};
struct SeluOf {
  auto operator()(auto x) const {
    using T = decltype(x);
    return x < 0 ? T(kSeluScale * kSeluAlpha) * std::expm1(x) : T(kSeluScale) * x;
  }
};
struct SeluGradOf {
  auto operator()(auto dy, auto y) const {
    using T = decltype(dy);
    return y < 0 ? dy * (y + T(kSeluScale * kSeluAlpha)) : dy * T(kSeluScale);
  }
};

// y = x where x > 0, else alpha x; the gradient op takes (dy, x).
template <bool kGradient>
absl::StatusOr<KernelFunction> MakeLeakyRelu(const Node& node) {
  const auto alpha = node.attr<float>("alpha");
  return DispatchType(
      RealTypes(), RemoveRef(node.input(0).dtype()), [alpha]<typename T>() -> KernelFunction {
        return [alpha](KernelContext& context) -> absl::Status {
          using C = ComputeType<T>;
          const Tensor& x = context.input(kGradient ? 1 : 0);
          const Tensor& value = context.input(0);
          if (!(x.shape() == value.shape())) {
            return absl::InvalidArgumentError(
                absl::StrCat("gradients and features must have one shape, received ",
                             value.shape().ToString(), " and ", x.shape().ToString()));
          }
          ASSIGN_OR_RETURN(Tensor y, context.ForwardOrAllocate(0, x.shape()));
          const T* in = x.data<T>();
          const T* from = value.data<T>();
          T* out = y.mutable_data<T>();
          context.ParallelFor(x.num_elements(), kElementwiseBlock, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
              const C v = static_cast<C>(from[i]);
              out[i] = static_cast<T>(static_cast<C>(in[i]) > 0 ? v : v * static_cast<C>(alpha));
            }
          });
          context.set_output(0, std::move(y));
          return absl::OkStatus();
        };
      });
}

template <int kOf>
std::vector<Output> ThroughGradOp(const GradientContext& g, const char* op) {
  return {g.Op(op, {g.dy(), kOf == 0 ? g.x(0) : g.y(0)})};
}
std::vector<Output> Relu6Gradient(const GradientContext& g) {
  return ThroughGradOp<1>(g, "Relu6Grad");
}
std::vector<Output> EluGradient(const GradientContext& g) { return ThroughGradOp<1>(g, "EluGrad"); }
std::vector<Output> SeluGradient(const GradientContext& g) {
  return ThroughGradOp<1>(g, "SeluGrad");
}
std::vector<Output> LeakyReluGradient(const GradientContext& g) {
  return {g.Op("LeakyReluGrad", {g.dy(), g.x(0)}, {{"alpha", g.node().attr<float>("alpha")}})};
}
std::vector<Output> Relu6GradGradient(const GradientContext& g) {
  return {g.Op("Relu6Grad", {g.dy(), g.x(1)}), g.Op("ZerosLike", {g.x(1)})};
}
std::vector<Output> LeakyReluGradGradient(const GradientContext& g) {
  return {g.Op("LeakyReluGrad", {g.dy(), g.x(1)}, {{"alpha", g.node().attr<float>("alpha")}}),
          g.Op("ZerosLike", {g.x(1)})};
}
// z = dy (y + a) where y < 0, with a the value that the exponential's side adds.
template <bool kSelu>
std::vector<Output> ExponentialGradGradient(const GradientContext& g) {
  const Output below = g.Op("Less", {g.x(1), g.Scalar(g.x(1), 0)});
  const Output product = g(g.dy()) * g(g.x(0));
  return {g.Op(kSelu ? "SeluGrad" : "EluGrad", {g.dy(), g.x(1)}),
          g.Op("SelectV2", {below, product, g.Op("ZerosLike", {g.x(1)})})};
}

}  // namespace

void RegisterActivations(OpRegistry& registry) {
  const std::initializer_list<float> points = {-2, -0.5f, 0.25f, 3};
  registry.Add("Relu6")
      .Doc("min(max(x, 0), 6), elementwise.")
      .In("features", "T")
      .Out("activations", "T")
      .TypeAttr("T", kArithmeticDTypes)
      .Traits({.elementwise = true})
      .Shape(UnchangedShape)
      .Kernel(UnaryKernel<Relu6Of>(ArithmeticTypes()))
      .Gradient(Relu6Gradient)
      .Examples(
          UnaryExamples([](double x) { return std::clamp(x, 0.0, 6.0); }, {-2, 0.5f, 3, 7.5f}));
  AddUnaryGradient<Relu6GradOf>(registry, "Relu6Grad", "dy where 0 < x < 6, else 0.", "gradients",
                                "features", ArithmeticTypes(), kArithmeticDTypes,
                                [](double dy, double x) { return x > 0 && x < 6 ? dy : 0; })
      .Gradient(Relu6GradGradient);
  AddUnary<EluOf>(registry, "Elu", "x where positive, else e^x - 1.", points, [](double x) {
    return x < 0 ? std::expm1(x) : x;
  }).Gradient(EluGradient);
  AddUnaryGradient<EluGradOf>(registry, "EluGrad", "The gradient of Elu from its output.",
                              "gradients", "outputs", RealTypes(), kRealDTypes,
                              [](double dy, double y) { return y < 0 ? dy * (y + 1) : dy; })
      .Gradient(ExponentialGradGradient<false>);
  AddUnary<SeluOf>(registry, "Selu", "The scaled Elu of self-normalising networks.", points,
                   [](double x) { return kSeluScale * (x < 0 ? kSeluAlpha * std::expm1(x) : x); })
      .Gradient(SeluGradient);
  AddUnaryGradient<SeluGradOf>(registry, "SeluGrad", "The gradient of Selu from its output.",
                               "gradients", "outputs", RealTypes(), kRealDTypes,
                               [](double dy, double y) {
                                 return y < 0 ? dy * (y + kSeluScale * kSeluAlpha)
                                              : dy * kSeluScale;
                               })
      .Gradient(ExponentialGradGradient<true>);
  registry.Add("LeakyRelu")
      .Doc("x where positive, else alpha x.")
      .In("features", "T")
      .Out("activations", "T")
      .Attr("alpha", 0.2f)
      .TypeAttr("T", kRealDTypes, kFloat)
      .Traits({.elementwise = true})
      .Shape(UnchangedShape)
      .Kernel(MakeLeakyRelu<false>)
      .Gradient(LeakyReluGradient)
      .Examples(UnaryExamples([](double x) { return x > 0 ? x : 0.2f * x; }, points));
  registry.Add("LeakyReluGrad")
      .Doc("dy where the feature is positive, else alpha dy.")
      .In("gradients", "T")
      .In("features", "T")
      .Out("backprops", "T")
      .Attr("alpha", 0.2f)
      .TypeAttr("T", kRealDTypes, kFloat)
      .Traits({.elementwise = true})
      .Shape(AllInputsEqualShape)
      .Kernel(MakeLeakyRelu<true>)
      .Gradient(LeakyReluGradGradient)
      .Example({.name = "vector",
                .inputs = {F({2}, {5, 6}), F({2}, {-1, 1})},
                .expected = {F({2}, {1, 6})}})
      .Example({.name = "alpha",
                .inputs = {F({2}, {5, 6}), F({2}, {-1, 1})},
                .attrs = {{"alpha", 0.5f}},
                .expected = {F({2}, {2.5f, 6})}})
      .Example({.name = "empty", .inputs = {F({0}, {}), F({0}, {})}, .expected = {F({0}, {})}});
}

}  // namespace espalier
