// LRN (local response normalisation, Krizhevsky et al. 2012) and its gradient. Tested by the
// registry test.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

using LrnTypes = TypeList<float, double, Eigen::half>;

struct LrnAttrs {
  int64_t radius;
  double bias, alpha, beta;
};

// The norm of channel c: bias + alpha Σ x² over the channels within the radius.
template <typename C, typename T>
std::vector<C> Norms(const T* x, int64_t channels, const LrnAttrs& attrs) {
  std::vector<C> norms(channels);
  for (int64_t c = 0; c < channels; ++c) {
    C sum(0);
    const int64_t end = std::min(channels, c + attrs.radius + 1);
    for (int64_t k = std::max<int64_t>(0, c - attrs.radius); k < end; ++k)
      sum += static_cast<C>(x[k]) * static_cast<C>(x[k]);
    norms[c] = static_cast<C>(attrs.bias) + static_cast<C>(attrs.alpha) * sum;
  }
  return norms;
}

absl::Status CheckRank(const Tensor& x) {
  return Require(x.rank() == 4,
                 absl::StrCat("the input must have rank 4, received shape ", x.shape().ToString()));
}

// y = x norm^-beta.
template <typename T>
absl::Status Forward(KernelContext& context, const LrnAttrs& attrs) {
  using C = ComputeType<T>;
  const Tensor& x = context.input(0);
  RETURN_IF_ERROR(CheckRank(x));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), x.shape()));
  const int64_t channels = x.dim(3);
  const int64_t pixels = channels == 0 ? 0 : x.num_elements() / channels;
  context.ParallelFor(pixels, 64, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const T* in = x.data<T>() + p * channels;
      const std::vector<C> norms = Norms<C>(in, channels, attrs);
      for (int64_t c = 0; c < channels; ++c) {
        y.mutable_data<T>()[p * channels + c] =
            static_cast<T>(static_cast<C>(in[c]) * std::pow(norms[c], static_cast<C>(-attrs.beta)));
      }
    }
  });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// dx_k = dy_k norm_k^-beta - 2 alpha beta x_k Σ_c dy_c y_c / norm_c over the channels c near k.
template <typename T>
absl::Status Backward(KernelContext& context, const LrnAttrs& attrs) {
  using C = ComputeType<T>;
  const Tensor& dy = context.input(0);
  const Tensor& x = context.input(1);
  const Tensor& y = context.input(2);
  RETURN_IF_ERROR(CheckRank(x));
  if (!(dy.shape() == x.shape()) || !(y.shape() == x.shape()))
    return absl::InvalidArgumentError("gradients, input and output must have one shape");
  ASSIGN_OR_RETURN(Tensor dx, context.Allocate(x.dtype(), x.shape()));
  const int64_t channels = x.dim(3);
  const int64_t pixels = channels == 0 ? 0 : x.num_elements() / channels;
  context.ParallelFor(pixels, 64, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t at = p * channels;
      const T* in = x.data<T>() + at;
      const std::vector<C> norms = Norms<C>(in, channels, attrs);
      for (int64_t k = 0; k < channels; ++k) {
        C near(0);
        const int64_t last = std::min(channels, k + attrs.radius + 1);
        for (int64_t c = std::max<int64_t>(0, k - attrs.radius); c < last; ++c)
          near +=
              static_cast<C>(dy.data<T>()[at + c]) * static_cast<C>(y.data<T>()[at + c]) / norms[c];
        dx.mutable_data<T>()[at + k] = static_cast<T>(
            static_cast<C>(dy.data<T>()[at + k]) * std::pow(norms[k], static_cast<C>(-attrs.beta)) -
            static_cast<C>(2 * attrs.alpha * attrs.beta) * static_cast<C>(in[k]) * near);
      }
    }
  });
  context.set_output(0, std::move(dx));
  return absl::OkStatus();
}

template <bool kGradient>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  // No input has more channels than that.
  const int64_t radius = std::clamp<int64_t>(node.attr<int64_t>("depth_radius"), 0, 1 << 30);
  const LrnAttrs attrs = {radius, node.attr<float>("bias"), node.attr<float>("alpha"),
                          node.attr<float>("beta")};
  return DispatchType(
      LrnTypes(), RemoveRef(node.input(0).dtype()), [attrs]<typename T>() -> KernelFunction {
        return [attrs](KernelContext& context) {
          return kGradient ? Backward<T>(context, attrs) : Forward<T>(context, attrs);
        };
      });
}

OpSchema& AddAttrs(OpSchema& op) {
  return op.Out("output", "T")
      .Attr("depth_radius", 5)
      .Attr("bias", 1.0)
      .Attr("alpha", 1.0)
      .Attr("beta", 0.5)
      .TypeAttr("T", kRealDTypes, kFloat)
      .Shape(AllInputsEqualShape);
}

}  // namespace

void RegisterLrn(OpRegistry& registry) {
  const Tensor x = F({1, 1, 1, 3}, {1, 2, 0.5f});
  const Tensor empty = F({0, 1, 1, 3}, {});
  const AttrMap attrs = {{"depth_radius", 1}, {"bias", 1.0}, {"alpha", 0.5}, {"beta", 0.75}};
  AddAttrs(registry.Add("LRN")
               .Doc("Each value over a power of 1 plus the squares of the channels near it.")
               .In("input", "T"))
      .Kernel(Make<false>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        AttrMap all;
        for (const char* name : {"depth_radius", "bias", "alpha", "beta"})
          all[name] = *g.node().FindAttr(name);
        return {g.Op("LRNGrad", {g.dy(), g.x(0), g.y(0)}, all)};
      })
      .Example({.name = "near channels", .inputs = {x}, .attrs = attrs})
      .Example({.name = "square root",
                .inputs = {F({1, 1, 1, 2}, {2, 2})},
                .attrs = {{"alpha", 1.0}},
                .expected = {F({1, 1, 1, 2}, {2.f / 3, 2.f / 3})}})
      .Example({.name = "empty", .inputs = {empty}, .expected = {empty}});
  AddAttrs(registry.Add("LRNGrad")
               .Doc("The gradient of LRN.")
               .In("input_grads", "T")
               .In("input_image", "T")
               .In("output_image", "T"))
      .Kernel(Make<true>)
      .GradientMissing("the second order of LRN is not built")
      .Example({.name = "near channels", .inputs = {x, x, x}, .attrs = attrs})
      .Example({.name = "no weight on the neighbours",
                .inputs = {x, x, x},
                .attrs = {{"alpha", 0.0}},
                .expected = {x}})
      .Example({.name = "empty", .inputs = {empty, empty, empty}, .expected = {empty}});
}

}  // namespace espalier
