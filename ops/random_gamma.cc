// RandomGamma and the stateless ones, with TensorFlow's numbers. Tested by the registry test and
// random_test.cc.
#include <cmath>

#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/random_numbers.h"

namespace espalier {
namespace {

// Doubles of one sample, which has a stretch of the generator's groups to itself. A group gives two
// of a kind; the second is used first, as TensorFlow does.
class SampleDraws {
 public:
  SampleDraws(Philox generator, int64_t sample) : generator_(generator) {
    generator_.Skip(kReservedPerOutput * static_cast<uint64_t>(sample));
  }
  double Uniform() { return Next<espalier::Uniform>(uniforms_, uniforms_left_); }
  double Normal() { return Next<espalier::Normal>(normals_, normals_left_); }

 private:
  template <typename Distribution>
  double Next(double* pair, int& left) {
    if (left == 0) {
      Distribution::Group(generator_, pair);
      left = 2;
    }
    return pair[--left];
  }

  Philox generator_;
  double uniforms_[2] = {}, normals_[2] = {};
  int uniforms_left_ = 0, normals_left_ = 0;
};

// Marsaglia and Tsang (2000): a normal, cubed, accepted nearly always. alpha < 1 draws for alpha +
// 1 and shrinks the result by a power of a uniform.
double DrawGamma(double alpha, SampleDraws draws) {
  if (alpha == 1) return -std::log1p(-draws.Uniform());
  const bool small = alpha < 1;
  const double d = alpha + (small ? 2.0 / 3 : -1.0 / 3);
  const double c = 1.0 / 3 / std::sqrt(d);
  // NaN and negative alphas would never be accepted.
  if (!(alpha > 0)) return std::numeric_limits<double>::quiet_NaN();
  while (true) {
    const double x = draws.Normal();
    double v = 1 + c * x;
    if (v <= 0) continue;
    v = v * v * v;
    const double u = draws.Uniform();
    if (u < 1 - 0.0331 * (x * x) * (x * x) ||
        std::log(u) < 0.5 * x * x + d * (1 - v + std::log(v))) {
      const double result = d * v;
      return small ? result * std::pow(draws.Uniform(), 1 / alpha) : result;
    }
  }
}

// out[sample, k] for `samples` samples of each of the alphas, numbered alpha by alpha.
template <typename T>
void FillGamma(const KernelContext& context, const Tensor& alphas, int64_t samples,
               const Philox& start, T* out) {
  const int64_t count = alphas.num_elements();
  context.ParallelFor(count * samples, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t k = i / samples;
      const auto alpha = static_cast<double>(alphas.data<T>()[k]);
      out[i % samples * count + k] = static_cast<T>(DrawGamma(alpha, SampleDraws(start, i)));
    }
  });
}

// The output's shape is that in input 0 followed by that of alpha.
template <typename T>
absl::Status RandomGamma(KernelContext& context, NodeGenerator& generator) {
  ASSIGN_OR_RETURN(Shape shape, ShapeFromTensor(context.input(0), "shape"));
  const Tensor& alphas = context.input(1);
  ASSIGN_OR_RETURN(const int64_t samples, shape.CheckedNumElements());
  for (const int64_t dim : alphas.shape().dims()) shape.push_back(dim);
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, shape));
  if (y.num_elements() > 0) {
    FillGamma<T>(context, alphas, samples, generator.Reserve(y.num_elements()),
                 y.mutable_data<T>());
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// Input 0 holds the output's whole shape, which must end in that of alpha.
template <typename T, bool kKeyed>
absl::Status StatelessGamma(KernelContext& context) {
  ASSIGN_OR_RETURN(Shape shape, ShapeFromTensor(context.input(0), "shape"));
  const absl::StatusOr<Philox> start =
      kKeyed ? StartFromKey(context.input(1), context.input(2), context.input(3))
             : StartFromSeed(context.input(1));
  if (!start.ok()) return start.status();
  const Tensor& alphas = context.input(kKeyed ? 4 : 2);
  const int outer = shape.rank() - alphas.rank();
  bool fits = outer >= 0;
  for (int d = 0; fits && d < alphas.rank(); ++d) fits = shape.dim(outer + d) == alphas.dim(d);
  if (!fits) {
    return absl::InvalidArgumentError(absl::StrCat("shape ", shape.ToString(), " must end in ",
                                                   alphas.shape().ToString(), ", that of alpha"));
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, shape));
  if (y.num_elements() > 0) {
    FillGamma<T>(context, alphas, y.num_elements() / alphas.num_elements(), *start,
                 y.mutable_data<T>());
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <bool kKeyed>
absl::StatusOr<KernelFunction> MakeStateless(const Node& node) {
  return DispatchType(RealTypes(), node.attr<DType>("dtype"),
                      []<typename T>() -> KernelFunction { return StatelessGamma<T, kKeyed>; });
}

absl::Status GammaShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(Shape shape, c.ShapeFromInput(0));
  if (!shape.has_rank() || !c.input(1).has_rank()) return absl::OkStatus();
  for (const int64_t dim : c.input(1).dims()) shape.push_back(dim);
  c.set_output(0, shape);
  return absl::OkStatus();
}

// A sample moves with its alpha as its quantile does: the slope of the distribution, which the
// drawing by rejection does not follow draw by draw.
Output SlopeByAlpha(const GradientContext& g, const Output& alpha) {
  return g(g.dy()) * g(g.Op("RandomGammaGrad", {alpha, g.y(0)}));
}
// Summed over the samples of each alpha: the leading dimensions.
Output SumOverSamples(const GradientContext& g, const Output& x, const Output& alpha) {
  const Expression extra = g(g.Op("Rank", {x})) - g(g.Op("Rank", {alpha}));
  const Output axes = g.Op("Range", {g.Scalar(extra, 0), extra, g.Scalar(extra, 1)});
  return g.Op("Sum", {x, axes}, {{"keep_dims", false}});
}
template <int kAlpha>
std::vector<Output> GammaGradient(const GradientContext& g) {
  std::vector<Output> gradients(g.node().num_inputs());
  const Output alpha = g.x(kAlpha);
  if (RemoveRef(alpha.dtype()) == kHalf) return gradients;
  gradients[kAlpha] = SumOverSamples(g, SlopeByAlpha(g, alpha), alpha);
  return gradients;
}

}  // namespace

void RegisterRandomGamma(OpRegistry& registry) {
  registry.Add("RandomGamma")
      .Doc("Samples of the gamma distribution with scale 1 for each alpha.")
      .In("shape", "S")
      .In("alpha", "T")
      .Out("output", "T")
      .Attr("seed", 0)
      .Attr("seed2", 0)
      .TypeAttr("S", kIndexDTypes)
      .TypeAttr("T", kRealDTypes)
      .Traits({.stateful = true})
      .Shape(GammaShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        const std::shared_ptr<NodeGenerator> generator = GeneratorOf(node);
        return DispatchType(
            RealTypes(), node.attr<DType>("T"), [&]<typename T>() -> KernelFunction {
              return [generator](KernelContext& c) { return RandomGamma<T>(c, *generator); };
            });
      })
      .Gradient(GammaGradient<1>)
      .Example({.name = "two alphas",
                .inputs = {I({1}, {3}), F({2}, {0.5f, 2})},
                .attrs = {{"seed", 1}, {"seed2", 2}},
                .check_gradient = false,
                .constant_inputs = {0}})
      .Example({.name = "exponential",
                .inputs = {L({2}, {2, 2}), F({}, {1})},
                .attrs = {{"seed", 1}, {"seed2", 2}},
                .check_gradient = false})
      .Example({.name = "empty",
                .inputs = {I({1}, {0}), F({2}, {1, 2})},
                .attrs = {{"seed", 1}, {"seed2", 2}},
                .expected = {F({0, 2}, {})}});
  registry.Add("StatelessRandomGammaV2")
      .Doc("Samples of the gamma distribution with scale 1, by the seed alone.")
      .In("shape", "T")
      .In("seed", "Tseed")
      .In("alpha", "dtype")
      .Out("output", "dtype")
      .TypeAttr("dtype", kRealDTypes)
      .TypeAttr("T", kIndexDTypes, kInt32)
      .TypeAttr("Tseed", kIndexDTypes, kInt64)
      .Shape(RandomShape)
      .Kernel(MakeStateless<false>)
      .Gradient(GammaGradient<2>)
      .Example({.name = "two alphas",
                .inputs = {I({2}, {3, 2}), I({2}, {1, 2}), F({2}, {0.5f, 2})},
                .check_gradient = false,
                .constant_inputs = {0}})
      .Example({.name = "scalar",
                .inputs = {I({1}, {3}), L({2}, {1, 2}), F({}, {1})},
                .check_gradient = false})
      .Example({.name = "empty",
                .inputs = {I({1}, {0}), I({2}, {1, 2}), F({}, {1})},
                .expected = {F({0}, {})}});
  registry.Add("StatelessRandomGammaV3")
      .Doc("Samples of the gamma distribution with scale 1, by the generator's key and counter.")
      .In("shape", "shape_dtype")
      .In("key", kUInt64)
      .In("counter", kUInt64)
      .In("alg", kInt32)
      .In("alpha", "dtype")
      .Out("output", "dtype")
      .TypeAttr("dtype", kRealDTypes)
      .TypeAttr("shape_dtype", kIndexDTypes, kInt32)
      .Shape(RandomShape)
      .Kernel(MakeStateless<true>)
      .Gradient(GammaGradient<4>)
      .Example({.name = "two alphas",
                .inputs = {I({2}, {3, 2}), Tensor::Of<uint64_t>({1}, {1}),
                           Tensor::Of<uint64_t>({2}, {2, 3}), I({}, {1}), F({2}, {0.5f, 2})},
                .check_gradient = false,
                .constant_inputs = {0}})
      .Example({.name = "scalar",
                .inputs = {I({1}, {3}), Tensor::Of<uint64_t>({1}, {1}),
                           Tensor::Of<uint64_t>({2}, {2, 3}), I({}, {3}), F({}, {1})},
                .check_gradient = false})
      .Example({.name = "empty",
                .inputs = {I({1}, {0}), Tensor::Of<uint64_t>({1}, {1}),
                           Tensor::Of<uint64_t>({2}, {2, 3}), I({}, {1}), F({}, {1})},
                .expected = {F({0}, {})}});
}

}  // namespace espalier
