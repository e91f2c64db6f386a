// FusedBatchNorm in its three versions and their gradient ops. Tested by the registry test and
// batch_normalization_test.cc.
//
// Ioffe & Szegedy 2015. Training: the batch's own mean and (biased) variance normalise; outputs 1
// and 2 are the mean and the unbiased variance (n / (n - 1)), as TensorFlow's kernel has them. The
// variance is summed around the mean, in a second pass, so a large mean costs no digits. The
// reserved outputs carry what the gradient needs: mean and biased variance in training, the given
// statistics otherwise. The work is done in rows of channels, in float or double: other layouts and
// half are copied there and back.
#include "absl/strings/str_cat.h"
#include "espalier/graph/channel_map.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/channel_sums.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

template <typename T>
struct Statistics {
  std::vector<T> mean;
  std::vector<T> variance;  // biased
};

template <typename T>
Statistics<T> BatchStatistics(const KernelContext& context, const T* x, int64_t rows,
                              int64_t channels) {
  Statistics<T> s;
  s.mean = ChannelSums<T>(context, rows, channels, [&](int64_t at, int64_t n, T* sums) {
    for (int64_t i = 0; i < n; ++i) sums[i] += x[at + i];
  });
  for (T& mean : s.mean) mean /= static_cast<T>(rows);
  const std::vector<T> wide = Widen(s.mean);
  s.variance = ChannelSums<T>(context, rows, channels, [&](int64_t at, int64_t n, T* sums) {
    const T* mean = wide.data();
    for (int64_t i = 0; i < n; ++i) {
      const T d = x[at + i] - mean[i];
      sums[i] += d * d;
    }
  });
  for (T& variance : s.variance) variance /= static_cast<T>(rows);
  return s;
}

struct NormAttrs {
  float epsilon = 0;
  float average_factor = 1;
  bool training = true;
  int rank = 4;
  bool channels_first = false;
  int channel_axis() const { return channels_first ? 1 : rank - 1; }
};

absl::StatusOr<NormAttrs> AttrsOf(const Node& node) {
  NormAttrs attrs;
  const auto& format = node.attr<std::string>("data_format");
  attrs.rank = static_cast<int>(format.size());
  attrs.channels_first = format[1] == 'C';
  attrs.epsilon = node.attr<float>("epsilon");
  if (!(attrs.epsilon >= 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("attr epsilon must not be negative, received ", attrs.epsilon));
  }
  attrs.average_factor = node.FindAttr("exponential_avg_factor") == nullptr
                             ? 1
                             : node.attr<float>("exponential_avg_factor");
  attrs.training = node.attr<bool>("is_training");
  return attrs;
}

absl::Status CheckRank(const Tensor& x, const NormAttrs& attrs) {
  if (x.rank() == attrs.rank) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("x must have rank ", attrs.rank, ", received ", x.shape().ToString()));
}

// The order of axes that brings the channels to the end, or (`back`) from there.
std::vector<int> ChannelOrder(const NormAttrs& attrs, bool back) {
  std::vector<int> order = {0};
  if (back) order.push_back(attrs.rank - 1);
  for (int d = back ? 1 : 2; d < attrs.rank - (back ? 1 : 0); ++d) order.push_back(d);
  if (!back) order.push_back(1);
  return order;
}

// x in another order of axes and another element type; x itself when nothing changes.
template <typename To>
absl::StatusOr<Tensor> Rearrange(const KernelContext& context, const Tensor& x,
                                 const NormAttrs& attrs, bool back) {
  if (!attrs.channels_first && x.dtype() == DTypeOf<To>) return x;
  Shape shape = x.shape();
  std::vector<int64_t> strides = StridesOf(x.shape());
  if (attrs.channels_first) {
    const std::vector<int64_t> old = strides;
    const std::vector<int> order = ChannelOrder(attrs, back);
    for (int d = 0; d < attrs.rank; ++d) {
      shape.set_dim(d, x.dim(order[d]));
      strides[d] = old[order[d]];
    }
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<To>, shape));
  To* to = y.mutable_data<To>();
  DispatchType(RealTypes(), x.dtype(), [&]<typename From>() {
    const From* from = x.data<From>();
    ForEachStrided(context, shape, strides,
                   [&](int64_t i, int64_t at) { to[i] = static_cast<To>(from[at]); });
  });
  return y;
}

// Output i, in the layout of the attributes and of type T.
template <typename T>
absl::Status SetRearranged(KernelContext& context, int i, const Tensor& rows,
                           const NormAttrs& attrs) {
  ASSIGN_OR_RETURN(Tensor y, Rearrange<T>(context, rows, attrs, /*back=*/true));
  context.set_output(i, std::move(y));
  return absl::OkStatus();
}

absl::Status CheckVector(const Tensor& t, int64_t channels, const char* what) {
  if (t.rank() == 1 && t.dim(0) == channels) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " must have shape [", channels, "], received ", t.shape().ToString()));
}

template <typename T>
Tensor VectorOf(const std::vector<T>& values) {
  return Tensor::FromVector<T>({static_cast<int64_t>(values.size())}, values);
}

// X is the type of x and y, T that of the statistics.
template <typename X, typename T>
absl::Status Forward(KernelContext& context, const NormAttrs& attrs) {
  RETURN_IF_ERROR(CheckRank(context.input(0), attrs));
  const int64_t channels = context.input(0).dim(attrs.channel_axis());
  const int64_t rows = channels == 0 ? 0 : context.input(0).num_elements() / channels;
  for (int i = 1; i <= 2; ++i)
    RETURN_IF_ERROR(CheckVector(context.input(i), channels, i == 1 ? "scale" : "offset"));
  const T* scale = context.input(1).data<T>();
  const T* offset = context.input(2).data<T>();
  ASSIGN_OR_RETURN(const Tensor x, Rearrange<T>(context, context.input(0), attrs, /*back=*/false));
  Statistics<T> s;
  std::vector<T> running_mean, running_variance;
  const bool given = !attrs.training || attrs.average_factor != 1;
  if (given) {
    for (int i = 3; i <= 4; ++i)
      RETURN_IF_ERROR(CheckVector(context.input(i), channels, i == 3 ? "mean" : "variance"));
    running_mean.assign(context.input(3).data<T>(), context.input(3).data<T>() + channels);
    running_variance.assign(context.input(4).data<T>(), context.input(4).data<T>() + channels);
  }
  if (attrs.training && rows == 0) {
    s.mean.assign(channels, T(0));
    s.variance.assign(channels, T(0));
    running_mean.assign(channels, std::numeric_limits<T>::quiet_NaN());
    running_variance = running_mean;
  } else if (attrs.training) {
    s = BatchStatistics<T>(context, x.data<T>(), rows, channels);
    const T unbiased = rows > 1 ? static_cast<T>(rows) / static_cast<T>(rows - 1) : T(1);
    const T factor = static_cast<T>(attrs.average_factor);
    running_mean.resize(channels);
    running_variance.resize(channels);
    for (int64_t c = 0; c < channels; ++c) {
      const T variance = s.variance[c] * unbiased;
      running_mean[c] =
          factor == 1 ? s.mean[c] : (1 - factor) * running_mean[c] + factor * s.mean[c];
      running_variance[c] =
          factor == 1 ? variance : (1 - factor) * running_variance[c] + factor * variance;
    }
  } else {
    s.mean = running_mean;
    s.variance = running_variance;
  }
  std::vector<T> multiplier(channels), addend(channels);
  for (int64_t c = 0; c < channels; ++c) {
    multiplier[c] = scale[c] / std::sqrt(s.variance[c] + static_cast<T>(attrs.epsilon));
    addend[c] = offset[c] - s.mean[c] * multiplier[c];
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, x.shape()));
  const std::vector<T> wide_multiplier = Widen(multiplier);
  const std::vector<T> wide_addend = Widen(addend);
  const T* in = x.data<T>();
  T* out = y.mutable_data<T>();
  ForEachWide(context, rows, channels, [&](int64_t at, int64_t n) {
    const T* m = wide_multiplier.data();
    const T* a = wide_addend.data();
    for (int64_t i = 0; i < n; ++i) out[at + i] = in[at + i] * m[i] + a[i];
  });
  RETURN_IF_ERROR(SetRearranged<X>(context, 0, y, attrs));
  context.set_output(1, VectorOf(running_mean));
  context.set_output(2, VectorOf(running_variance));
  context.set_output(3, VectorOf(s.mean));
  context.set_output(4, VectorOf(s.variance));
  if (context.num_outputs() > 5) context.set_output(5, Tensor::Of<float>({0}, {}));
  return absl::OkStatus();
}

// With x̂ = (x - mean) / sqrt(variance + epsilon) and n rows:
//   d offset = Σ dy, d scale = Σ dy x̂,
//   training: dx = scale / sqrt(variance + epsilon) (dy - Σ dy / n - x̂ Σ dy x̂ / n); else dx = scale
//   / sqrt(…) dy.
template <typename X, typename T>
absl::Status Backward(KernelContext& context, const NormAttrs& attrs) {
  RETURN_IF_ERROR(CheckRank(context.input(1), attrs));
  if (!(context.input(0).shape() == context.input(1).shape())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "y_backprop and x must have one shape, received ", context.input(0).shape().ToString(),
        " and ", context.input(1).shape().ToString()));
  }
  const int64_t channels = context.input(1).dim(attrs.channel_axis());
  const int64_t rows = channels == 0 ? 0 : context.input(1).num_elements() / channels;
  RETURN_IF_ERROR(CheckVector(context.input(2), channels, "scale"));
  RETURN_IF_ERROR(CheckVector(context.input(3), channels, "reserve_space_1"));
  RETURN_IF_ERROR(CheckVector(context.input(4), channels, "reserve_space_2"));
  const std::vector<T> mean(context.input(3).data<T>(), context.input(3).data<T>() + channels);
  std::vector<T> inverse(channels);
  for (int64_t c = 0; c < channels; ++c) {
    inverse[c] = 1 / std::sqrt(context.input(4).data<T>()[c] + static_cast<T>(attrs.epsilon));
  }
  ASSIGN_OR_RETURN(const Tensor dy, Rearrange<T>(context, context.input(0), attrs, /*back=*/false));
  ASSIGN_OR_RETURN(const Tensor x, Rearrange<T>(context, context.input(1), attrs, /*back=*/false));
  const T* g = dy.data<T>();
  const T* in = x.data<T>();
  const std::vector<T> wide_mean = Widen(mean);
  const std::vector<T> sum =
      ChannelSums<T>(context, rows, channels, [&](int64_t at, int64_t n, T* sums) {
        for (int64_t i = 0; i < n; ++i) sums[i] += g[at + i];
      });
  std::vector<T> product =
      ChannelSums<T>(context, rows, channels, [&](int64_t at, int64_t n, T* sums) {
        const T* m = wide_mean.data();
        for (int64_t i = 0; i < n; ++i) sums[i] += g[at + i] * (in[at + i] - m[i]);
      });
  for (int64_t c = 0; c < channels; ++c) product[c] *= inverse[c];
  // dx = a dy + b x + d, for each channel.
  std::vector<T> a(channels), b(channels, T(0)), d(channels, T(0));
  for (int64_t c = 0; c < channels; ++c) {
    a[c] = context.input(2).data<T>()[c] * inverse[c];
    if (attrs.training && rows > 0) {
      const T n = static_cast<T>(rows);
      b[c] = -a[c] * inverse[c] * product[c] / n;
      d[c] = -a[c] * sum[c] / n - b[c] * mean[c];
    }
  }
  const std::vector<T> wide_a = Widen(a), wide_b = Widen(b), wide_d = Widen(d);
  ASSIGN_OR_RETURN(Tensor dx, context.Allocate(DTypeOf<T>, x.shape()));
  T* out = dx.mutable_data<T>();
  ForEachWide(context, rows, channels, [&](int64_t at, int64_t n) {
    const T* pa = wide_a.data();
    const T* pb = wide_b.data();
    const T* pd = wide_d.data();
    for (int64_t i = 0; i < n; ++i) out[at + i] = g[at + i] * pa[i] + (in[at + i] * pb[i] + pd[i]);
  });
  RETURN_IF_ERROR(SetRearranged<X>(context, 0, dx, attrs));
  context.set_output(1, VectorOf(product));
  context.set_output(2, VectorOf(sum));
  context.set_output(3, Tensor::Of<T>({0}, {}));
  context.set_output(4, Tensor::Of<T>({0}, {}));
  return absl::OkStatus();
}

template <bool kGrad, typename X, typename T>
KernelFunction KernelFor(const NormAttrs& attrs) {
  return [attrs](KernelContext& context) {
    return kGrad ? Backward<X, T>(context, attrs) : Forward<X, T>(context, attrs);
  };
}

template <bool kGrad>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  ASSIGN_OR_RETURN(NormAttrs attrs, AttrsOf(node));
  const DType x = node.attr<DType>("T");
  const DType statistics = node.FindAttr("U") == nullptr ? x : node.attr<DType>("U");
  if (statistics != (x == kDouble ? kDouble : kFloat)) {
    return absl::UnimplementedError(absl::StrCat(
        "attr U must be float (double for double x), received ", DTypeName(statistics)));
  }
  if (x == kDouble) return KernelFor<kGrad, double, double>(attrs);
  if (x == kHalf) return KernelFor<kGrad, Eigen::half, float>(attrs);
  return KernelFor<kGrad, float, float>(attrs);
}

absl::Status ForwardShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(const NormAttrs attrs, AttrsOf(c.node()));
  RETURN_IF_ERROR(c.WithRank(0, attrs.rank));
  Shape x = c.input(0).has_rank() ? c.input(0) : Shape::UnknownOfRank(attrs.rank);
  const bool given = !attrs.training || attrs.average_factor != 1;
  Shape channels = {x.dim(attrs.channel_axis())};
  for (int i = 1; i <= (given ? 4 : 2); ++i) {
    ASSIGN_OR_RETURN(channels, Shape::Merge(channels, c.input(i)));
  }
  x.set_dim(attrs.channel_axis(), channels.dim(0));
  c.set_output(0, x);
  for (int i = 1; i <= 4; ++i) c.set_output(i, channels);
  return absl::OkStatus();
}

absl::Status BackwardShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(const NormAttrs attrs, AttrsOf(c.node()));
  ASSIGN_OR_RETURN(Shape x, Shape::Merge(c.input(0), c.input(1)));
  c.set_output(0, x);
  const Shape channels = {x.rank() == attrs.rank ? x.dim(attrs.channel_axis()) : -1};
  c.set_output(1, channels);
  c.set_output(2, channels);
  c.set_output(3, {0});
  c.set_output(4, {0});
  return absl::OkStatus();
}

std::vector<Output> ForwardGradient(const GradientContext& g) {
  const Node& node = g.node();
  const AttrMap attrs = {{"epsilon", node.attr<float>("epsilon")},
                         {"data_format", node.attr<std::string>("data_format")},
                         {"is_training", node.attr<bool>("is_training")}};
  // In inference the statistics that normalised are the inputs.
  const bool training = node.attr<bool>("is_training");
  const std::string version = node.op().substr(std::string("FusedBatchNorm").size());
  const Output scale = version.empty() ? g.x(1) : g.Op("Cast", {g.x(1)}, {{"DstT", kFloat}});
  std::vector<Output> inputs = {g.dy(), g.x(0), scale, training ? g.y(3) : g.x(3),
                                training ? g.y(4) : g.x(4)};
  if (node.num_outputs() > 5) inputs.push_back(g.y(5));
  const Node* grad = g.OpNode(("FusedBatchNormGrad" + version).c_str(), inputs, attrs);
  if (grad == nullptr) return {};
  return {grad->output(0), grad->output(1), grad->output(2)};
}

// Second order: the first gradient again, out of simple ops, which have gradients of their own. Its
// inputs go through identities, so that what they depend on is left to the caller.
std::vector<Output> BackwardGradient(const GradientContext& g) {
  const absl::StatusOr<NormAttrs> attrs = AttrsOf(g.node());
  if (!attrs.ok()) return {};
  const DType statistics = RemoveRef(g.x(3).dtype());
  const std::vector<Output> inputs = {g.Op("Identity", {g.x(0)}), g.Op("Identity", {g.x(1)}),
                                      g.Op("Identity", {g.x(2)})};
  const auto permutation = [&](bool back) {
    const std::vector<int> order = ChannelOrder(*attrs, back);
    return g.Int32s({order.begin(), order.end()});
  };
  const auto rows = [&](const Output& x) {
    const Output last = attrs->channels_first ? g.Op("Transpose", {x, permutation(false)}) : x;
    return g(g.Op("Cast", {last}, {{"DstT", statistics}}));
  };
  std::vector<int32_t> axes(attrs->rank - 1);
  for (int d = 0; d + 1 < attrs->rank; ++d) axes[d] = d;
  const auto reduce = [&](const char* op, const Output& x) {
    return g(g.Op(op, {x, g.Int32s(axes)}, {{"keep_dims", false}}));
  };
  const Expression dy = rows(inputs[0]), x = rows(inputs[1]);
  const Expression scale = g(g.Op("Cast", {inputs[2]}, {{"DstT", statistics}}));
  const Expression mean = attrs->training ? reduce("Mean", x) : g(g.x(3));
  const Expression centred = x - mean;
  const Expression variance = attrs->training ? reduce("Mean", centred * centred) : g(g.x(4));
  const Expression inverse = g(g.Op("Rsqrt", {variance + attrs->epsilon}));
  const Expression normal = centred * inverse;
  Expression dx = dy;
  if (attrs->training) dx = dy - reduce("Mean", dy) - normal * reduce("Mean", dy * normal);
  dx = dx * (scale * inverse);
  Output first = dx;
  if (attrs->channels_first) first = g.Op("Transpose", {first, permutation(true)});
  first = g.Op("Cast", {first}, {{"DstT", RemoveRef(g.x(1).dtype())}});
  return Gradients(
      g.scope(), {first, reduce("Sum", dy * normal), reduce("Sum", dy)}, inputs,
      {.grad_ys = {g.dy(0), g.dy(1), g.dy(2)}, .stop_gradients = {g.x(0), g.x(1), g.x(2)}});
}

OpSchema& AddNormAttrs(OpSchema& op, bool statistics_type) {
  op.TypeAttr("T", statistics_type ? std::vector<DType>{kFloat, kDouble, kHalf}
                                   : std::vector<DType>{kFloat, kDouble});
  if (statistics_type) op.TypeAttr("U", {kFloat, kDouble});
  return op.Attr("epsilon", 0.0001)
      .StringAttr("data_format", {"NHWC", "NCHW", "NDHWC", "NCDHW"}, "NHWC")
      .Attr("is_training", true);
}

// Without training: gamma (x - mean) / sqrt(variance + epsilon) + beta.
std::optional<ChannelMap> NormChannelMap(const Node& node,
                                         absl::Span<const Tensor* const> constants) {
  if (node.attr<bool>("is_training") || constants[0] != nullptr) return std::nullopt;
  std::vector<double> values[4];
  for (int i = 0; i < 4; ++i) {
    if (constants[i + 1] == nullptr) return std::nullopt;
    values[i] = AsDoubles(*constants[i + 1]);
    if (values[i].size() != values[0].size()) return std::nullopt;
  }
  const auto& [gamma, beta, mean, variance] = values;
  ChannelMap map;
  for (size_t c = 0; c < gamma.size(); ++c) {
    const double scale = gamma[c] / std::sqrt(variance[c] + node.attr<float>("epsilon"));
    map.scale.push_back(scale);
    map.offset.push_back(beta[c] - mean[c] * scale);
  }
  return map;
}

}  // namespace

void RegisterFusedBatchNorm(OpRegistry& registry) {
  const Tensor x = F({1, 2, 2, 2}, {1, 10, 2, 30, 4, 20, 5, 40});
  const Tensor ones = F({2}, {1, 1});
  const Tensor zeros = F({2}, {0, 0});
  const Tensor none = F({0}, {});
  // The versions differ in the type of the statistics and in a last output that is empty on CPUs.
  for (const std::string version : {"", "V2", "V3"}) {
    const char* type = version.empty() ? "T" : "U";
    const bool third = version == "V3";
    const auto with_third = [&](std::vector<Tensor> tensors) {
      if (third) tensors.push_back(none);
      return tensors;
    };
    OpSchema& forward =
        registry.Add("FusedBatchNorm" + version)
            .Doc(
                "Batch normalisation: by the batch's statistics in training, by the "
                "given ones else. Outputs the normalised tensor, mean, unbiased "
                "variance, and what the gradient needs.")
            .In("x", "T");
    for (const char* name : {"scale", "offset", "mean", "variance"}) forward.In(name, type);
    forward.Out("y", "T");
    for (const char* name : {"batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2"})
      forward.Out(name, type);
    if (third) forward.Out("reserve_space_3", kFloat);
    AddNormAttrs(forward, !version.empty())
        .Attr("exponential_avg_factor", 1.0)
        .Shape(ForwardShape)
        .Kernel(Make<false>)
        .ChannelMap(NormChannelMap)
        .Gradient(ForwardGradient)
        .Example({.name = "inference",
                  .inputs = {F({1, 1, 2, 1}, {1, 3}), F({1}, {2}), F({1}, {1}), F({1}, {1}),
                             F({1}, {4})},
                  .attrs = {{"is_training", false}, {"epsilon", 0.0}},
                  .expected = with_third({F({1, 1, 2, 1}, {1, 3}), F({1}, {1}), F({1}, {4}),
                                          F({1}, {1}), F({1}, {4})}),
                  .check_gradient = false})
        .Example({.name = "training",
                  .inputs = {x, ones, zeros, none, none},
                  .attrs = {{"epsilon", 0.0}},
                  .expected = with_third(
                      {F({1, 2, 2, 2}, {-1.2649111f, -1.3416408f, -0.63245553f, 0.4472136f,
                                        0.63245553f, -0.4472136f, 1.2649111f, 1.3416408f}),
                       F({2}, {3, 25}), F({2}, {10.f / 3, 500.f / 3}), F({2}, {3, 25}),
                       F({2}, {2.5f, 125})}),
                  .check_gradient = false,
                  .tolerance = 1e-4})
        .Example(
            {.name = "empty",
             .inputs = {F({0, 2, 2, 1}, {}), F({1}, {1}), F({1}, {0}), F({1}, {0}), F({1}, {1})},
             .attrs = {{"is_training", false}},
             .check_gradient = false});
    OpSchema& backward = registry.Add("FusedBatchNormGrad" + version)
                             .Doc("The gradients of FusedBatchNorm by x, scale and offset.")
                             .In("y_backprop", "T")
                             .In("x", "T");
    if (version.empty()) {
      backward.In("scale", "T");
    } else {
      backward.In("scale", kFloat);
    }
    backward.In("reserve_space_1", type).In("reserve_space_2", type);
    if (third) backward.In("reserve_space_3", "U");
    backward.Out("x_backprop", "T");
    for (const char* name :
         {"scale_backprop", "offset_backprop", "reserve_space_3", "reserve_space_4"})
      backward.Out(name, type);
    AddNormAttrs(backward, !version.empty())
        .Shape(BackwardShape)
        .Kernel(Make<true>)
        .Gradient(BackwardGradient)
        .Example({.name = "inference",
                  .inputs = with_third({F({1, 1, 2, 1}, {1, 2}), F({1, 1, 2, 1}, {1, 3}),
                                        F({1}, {2}), F({1}, {1}), F({1}, {4})}),
                  .attrs = {{"is_training", false}, {"epsilon", 0.0}},
                  .expected = {F({1, 1, 2, 1}, {1, 2}), F({1}, {2}), F({1}, {3}), none, none},
                  .check_gradient = false})
        .Example({.name = "training sums to zero",
                  .inputs = with_third({F({1, 1, 2, 1}, {1, 2}), F({1, 1, 2, 1}, {1, 3}),
                                        F({1}, {2}), F({1}, {2}), F({1}, {1})}),
                  .attrs = {{"epsilon", 0.0}},
                  .expected = {F({1, 1, 2, 1}, {0, 0}), F({1}, {1}), F({1}, {3}), none, none},
                  .check_gradient = false})
        .Example({.name = "empty",
                  .inputs = with_third({F({0, 1, 1, 1}, {}), F({0, 1, 1, 1}, {}), F({1}, {2}),
                                        F({1}, {1}), F({1}, {4})}),
                  .expected = {F({0, 1, 1, 1}, {}), F({1}, {0}), F({1}, {0}), none, none},
                  .check_gradient = false});
  }
}

}  // namespace espalier
