// Elementwise functions of one floating input: Sqrt, Exp, Log, … One kernel, one table.
// Tested by the registry test.
#include <cmath>

#include "espalier/ops/unary.h"

namespace espalier {
namespace {

struct SqrtOf {
  auto operator()(auto x) const { return std::sqrt(x); }
};
struct RsqrtOf {
  auto operator()(auto x) const { return 1 / std::sqrt(x); }
};
struct ExpOf {
  auto operator()(auto x) const { return std::exp(x); }
};
struct LogOf {
  auto operator()(auto x) const { return std::log(x); }
};
struct Log1pOf {
  auto operator()(auto x) const { return std::log1p(x); }
};
struct TanhOf {
  auto operator()(auto x) const { return std::tanh(x); }
};
struct SigmoidOf {
  auto operator()(auto x) const { return 1 / (1 + std::exp(-x)); }
};
struct ReciprocalOf {
  auto operator()(auto x) const { return 1 / x; }
};
struct SoftplusOf {
  // log(1 + e^x), without overflow and without losing small e^x.
  auto operator()(auto x) const {
    return std::max(x, decltype(x)(0)) + std::log1p(std::exp(-std::abs(x)));
  }
};

std::vector<Output> SqrtGradient(const GradientContext& g) { return {g(g.dy()) * 0.5 / g(g.y(0))}; }
std::vector<Output> RsqrtGradient(const GradientContext& g) {
  const Expression y = g(g.y(0));
  return {g(g.dy()) * (y * y * y) * -0.5};
}
std::vector<Output> ExpGradient(const GradientContext& g) { return {g(g.dy()) * g(g.y(0))}; }
std::vector<Output> LogGradient(const GradientContext& g) { return {g(g.dy()) / g(g.x(0))}; }
std::vector<Output> Log1pGradient(const GradientContext& g) {
  return {g(g.dy()) / (g(g.x(0)) + 1)};
}
std::vector<Output> TanhGradient(const GradientContext& g) {
  const Expression y = g(g.y(0));
  return {g(g.dy()) * (1 - y * y)};
}
std::vector<Output> SigmoidGradient(const GradientContext& g) {
  const Expression y = g(g.y(0));
  return {g(g.dy()) * (y * (1 - y))};
}
std::vector<Output> ReciprocalGradient(const GradientContext& g) {
  const Expression y = g(g.y(0));
  return {-(g(g.dy()) * (y * y))};
}
std::vector<Output> SoftplusGradient(const GradientContext& g) {
  return {g(g.dy()) * g(g.Op("Sigmoid", {g.x(0)}))};
}

// Floats go through Eigen's vector functions, which TensorFlow's kernels use as well. What is left
// of a block is padded to a whole vector: a value does not depend on where it stands.
namespace vectors = Eigen::internal;
using FloatVector = vectors::packet_traits<float>::type;
constexpr int64_t kLanes = vectors::packet_traits<float>::size;

struct ExpVector {
  static FloatVector Of(const FloatVector& x) { return vectors::pexp(x); }
};
struct LogVector {
  static FloatVector Of(const FloatVector& x) { return vectors::plog(x); }
};
struct TanhVector {
  static FloatVector Of(const FloatVector& x) {
    return vectors::scalar_tanh_op<float>().packetOp(x);
  }
};
struct SigmoidVector {
  static FloatVector Of(const FloatVector& x) {
    return vectors::scalar_logistic_op<float>().packetOp(x);
  }
};

template <typename Vector>
void Apply(const float* x, float* y, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    vectors::pstoreu(y + i, Vector::Of(vectors::ploadu<FloatVector>(x + i)));
  if (i == n) return;
  float rest[kLanes] = {};
  std::copy(x + i, x + n, rest);
  vectors::pstoreu(rest, Vector::Of(vectors::ploadu<FloatVector>(rest)));
  std::copy(rest, rest + (n - i), y + i);
}

template <typename Vector, typename Functor>
absl::StatusOr<KernelFunction> MakeVectorized(const Node& node) {
  const DType dtype = RemoveRef(node.input(0).dtype());
  if (dtype != kFloat) return UnaryFor<Functor>(RealTypes(), dtype);
  return KernelFunction([](KernelContext& context) -> absl::Status {
    const Tensor& x = context.input(0);
    ASSIGN_OR_RETURN(Tensor y, context.ForwardOrAllocate(0, x.shape()));
    float* out = y.mutable_data<float>();
    context.ParallelFor(x.num_elements(), kElementwiseBlock, [&](int64_t begin, int64_t end) {
      Apply<Vector>(x.data<float>() + begin, out + begin, end - begin);
    });
    context.set_output(0, std::move(y));
    return absl::OkStatus();
  });
}

}  // namespace

void RegisterUnaryMath(OpRegistry& registry) {
  AddUnary<SqrtOf>(registry, "Sqrt", "The square root, elementwise.", {0.25f, 1, 2, 9},
                   [](double x) { return std::sqrt(x); })
      .Gradient(SqrtGradient);
  AddUnary<RsqrtOf>(registry, "Rsqrt", "1 / sqrt(x), elementwise.", {0.25f, 1, 2, 9}, [](double x) {
    return 1 / std::sqrt(x);
  }).Gradient(RsqrtGradient);
  AddUnary<ExpOf>(registry, "Exp", "e to the power of x, elementwise.", {-2, 0, 0.5f, 1},
                  [](double x) { return std::exp(x); })
      .Kernel(MakeVectorized<ExpVector, ExpOf>)
      .Gradient(ExpGradient);
  AddUnary<LogOf>(registry, "Log", "The natural logarithm, elementwise.", {0.25f, 1, 2, 9},
                  [](double x) { return std::log(x); })
      .Kernel(MakeVectorized<LogVector, LogOf>)
      .Gradient(LogGradient);
  AddUnary<Log1pOf>(registry, "Log1p", "log(1 + x), exact for small x, elementwise.",
                    {-0.5f, 1e-6f, 1, 2}, [](double x) { return std::log1p(x); })
      .Gradient(Log1pGradient);
  AddUnary<TanhOf>(registry, "Tanh", "The hyperbolic tangent, elementwise.", {-2, -0.5f, 0, 1},
                   [](double x) { return std::tanh(x); })
      .Kernel(MakeVectorized<TanhVector, TanhOf>)
      .Gradient(TanhGradient);
  AddUnary<SigmoidOf>(registry, "Sigmoid", "1 / (1 + e^-x), elementwise.", {-2, -0.5f, 0, 1},
                      [](double x) { return 1 / (1 + std::exp(-x)); })
      .Kernel(MakeVectorized<SigmoidVector, SigmoidOf>)
      .Gradient(SigmoidGradient);
  AddUnary<ReciprocalOf>(registry, "Inv", "1 / x: the older name of Reciprocal.",
                         {-2, -0.5f, 0.25f, 1}, [](double x) { return 1 / x; })
      .Gradient(ReciprocalGradient);
  AddUnary<ReciprocalOf>(registry, "Reciprocal", "1 / x, elementwise.", {-2, -0.5f, 0.25f, 1},
                         [](double x) { return 1 / x; })
      .Gradient(ReciprocalGradient);
  AddUnary<SoftplusOf>(registry, "Softplus", "log(1 + e^x), elementwise.", {-20, -0.5f, 0, 1, 20},
                       [](double x) { return std::log1p(std::exp(x)); })
      .Gradient(SoftplusGradient);
}

}  // namespace espalier
