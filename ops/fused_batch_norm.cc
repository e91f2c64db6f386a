// FusedBatchNorm in its three versions and their gradient ops, in NHWC. Tested by the registry test
// and batch_normalization_test.cc.
//
// Ioffe & Szegedy 2015. Training: the batch's own mean and (biased) variance normalise; outputs 1
// and 2 are the mean and the unbiased variance (n / (n - 1)), as TensorFlow's kernel has them. The
// variance is summed around the mean, in a second pass, so a large mean costs no digits. The
// reserved outputs carry what the gradient needs: mean and biased variance in training, the given
// statistics otherwise.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/reduce.h"

namespace espalier {
namespace {

using NormTypes = TypeList<float, double>;

struct Plus {
  auto operator()(auto x, auto y) const { return x + y; }
};
struct Times {
  auto operator()(auto x, auto y) const { return x * y; }
};

// Sums of a function of the row elements for each channel, over blocks of rows in parallel, in a
// fixed order. term(value, channel) is called for runs of rows laid side by side, so the inner loop
// stays wide.
template <typename T, typename Term>
std::vector<T> ChannelSums(const KernelContext& context, int64_t rows, int64_t channels,
                           Term&& term) {
  const int64_t block = std::max<int64_t>(1, 16384 / std::max<int64_t>(channels, 1));
  const int64_t blocks = std::max<int64_t>(1, (rows + block - 1) / block);
  const int64_t copies = std::max<int64_t>(1, 64 / std::max<int64_t>(channels, 1));
  const int64_t wide = copies * channels;
  std::vector<T> partial(blocks * channels, T(0));
  context.ParallelFor(rows, block, [&](int64_t begin, int64_t end) {
    std::vector<T> lanes(wide, T(0));
    int64_t row = begin;
    for (; row + copies <= end; row += copies) term(row * channels, wide, lanes.data());
    if (row < end) term(row * channels, (end - row) * channels, lanes.data());
    T* to = partial.data() + begin / block * channels;
    for (int64_t k = 0; k < copies; ++k) {
      for (int64_t c = 0; c < channels; ++c) to[c] += lanes[k * channels + c];
    }
  });
  std::vector<T> sums(channels, T(0));
  ReduceRows<SumOf>(partial.data(), blocks, channels, sums.data());
  return sums;
}

// `values` repeated to the width that ChannelSums works in.
template <typename T>
std::vector<T> Widen(const std::vector<T>& values) {
  const auto channels = static_cast<int64_t>(values.size());
  std::vector<T> wide;
  const int64_t copies = std::max<int64_t>(1, 64 / std::max<int64_t>(channels, 1));
  for (int64_t k = 0; k < copies; ++k) wide.insert(wide.end(), values.begin(), values.end());
  return wide;
}

// out[i] = f(i, channel of i) over all rows in parallel, wide.
template <typename F>
void ForEachWide(const KernelContext& context, int64_t rows, int64_t channels, F&& f) {
  const int64_t copies = std::max<int64_t>(1, 64 / std::max<int64_t>(channels, 1));
  const int64_t wide = copies * channels;
  context.ParallelFor(
      rows, std::max<int64_t>(copies, 16384 / std::max<int64_t>(channels, 1) / copies * copies),
      [&](int64_t begin, int64_t end) {
        int64_t row = begin;
        for (; row + copies <= end; row += copies) f(row * channels, wide);
        if (row < end) f(row * channels, (end - row) * channels);
      });
}

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
};

absl::StatusOr<NormAttrs> AttrsOf(const Node& node) {
  if (node.attr<std::string>("data_format") != "NHWC") {
    return absl::UnimplementedError("data_format must be NHWC");
  }
  NormAttrs attrs;
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

absl::Status CheckVector(const Tensor& t, int64_t channels, const char* what) {
  if (t.rank() == 1 && t.dim(0) == channels) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " must have shape [", channels, "], received ", t.shape().ToString()));
}

template <typename T>
Tensor VectorOf(const std::vector<T>& values) {
  return Tensor::FromVector<T>({static_cast<int64_t>(values.size())}, values);
}

template <typename T>
absl::Status Forward(KernelContext& context, const NormAttrs& attrs) {
  const Tensor& x = context.input(0);
  if (x.rank() != 4)
    return absl::InvalidArgumentError(
        absl::StrCat("x must have rank 4, received ", x.shape().ToString()));
  const int64_t channels = x.dim(3);
  const int64_t rows = channels == 0 ? 0 : x.num_elements() / channels;
  for (int i = 1; i <= 2; ++i)
    RETURN_IF_ERROR(CheckVector(context.input(i), channels, i == 1 ? "scale" : "offset"));
  const T* scale = context.input(1).data<T>();
  const T* offset = context.input(2).data<T>();
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
  context.set_output(0, std::move(y));
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
template <typename T>
absl::Status Backward(KernelContext& context, const NormAttrs& attrs) {
  const Tensor& dy = context.input(0);
  const Tensor& x = context.input(1);
  if (x.rank() != 4 || !(dy.shape() == x.shape())) {
    return absl::InvalidArgumentError(
        absl::StrCat("y_backprop and x must have one shape of rank 4, received ",
                     dy.shape().ToString(), " and ", x.shape().ToString()));
  }
  const int64_t channels = x.dim(3);
  const int64_t rows = channels == 0 ? 0 : x.num_elements() / channels;
  RETURN_IF_ERROR(CheckVector(context.input(2), channels, "scale"));
  RETURN_IF_ERROR(CheckVector(context.input(3), channels, "reserve_space_1"));
  RETURN_IF_ERROR(CheckVector(context.input(4), channels, "reserve_space_2"));
  const std::vector<T> mean(context.input(3).data<T>(), context.input(3).data<T>() + channels);
  std::vector<T> inverse(channels);
  for (int64_t c = 0; c < channels; ++c) {
    inverse[c] = 1 / std::sqrt(context.input(4).data<T>()[c] + static_cast<T>(attrs.epsilon));
  }
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
  ASSIGN_OR_RETURN(Tensor dx, context.ForwardOrAllocate(0, x.shape()));
  T* out = dx.mutable_data<T>();
  ForEachWide(context, rows, channels, [&](int64_t at, int64_t n) {
    const T* pa = wide_a.data();
    const T* pb = wide_b.data();
    const T* pd = wide_d.data();
    for (int64_t i = 0; i < n; ++i) out[at + i] = g[at + i] * pa[i] + (in[at + i] * pb[i] + pd[i]);
  });
  context.set_output(0, std::move(dx));
  context.set_output(1, VectorOf(product));
  context.set_output(2, VectorOf(sum));
  context.set_output(3, Tensor::Of<T>({0}, {}));
  context.set_output(4, Tensor::Of<T>({0}, {}));
  return absl::OkStatus();
}

template <bool kGrad>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  ASSIGN_OR_RETURN(NormAttrs attrs, AttrsOf(node));
  return DispatchType(NormTypes(), RemoveRef(node.input(0).dtype()),
                      [attrs]<typename T>() -> KernelFunction {
                        return [attrs](KernelContext& context) {
                          return kGrad ? Backward<T>(context, attrs) : Forward<T>(context, attrs);
                        };
                      });
}

absl::Status ForwardShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(0, 4));
  RETURN_IF_ERROR(AttrsOf(c.node()).status());
  Shape x = c.input(0).has_rank() ? c.input(0) : Shape::UnknownOfRank(4);
  const bool given =
      !c.node().attr<bool>("is_training") || c.node().attr<float>("exponential_avg_factor") != 1;
  Shape channels = {x.dim(3)};
  for (int i = 1; i <= (given ? 4 : 2); ++i) {
    ASSIGN_OR_RETURN(channels, Shape::Merge(channels, c.input(i)));
  }
  x.set_dim(3, channels.dim(0));
  c.set_output(0, x);
  for (int i = 1; i <= 4; ++i) c.set_output(i, channels);
  return absl::OkStatus();
}

absl::Status BackwardShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(Shape x, Shape::Merge(c.input(0), c.input(1)));
  c.set_output(0, x);
  const Shape channels = {x.rank() == 4 ? x.dim(3) : -1};
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

OpSchema& AddNormAttrs(OpSchema& op, bool statistics_type) {
  op.TypeAttr("T", {kFloat, kDouble});
  if (statistics_type) op.TypeAttr("U", {kFloat, kDouble});
  return op.Attr("epsilon", 0.0001)
      .StringAttr("data_format", {"NHWC", "NCHW", "NDHWC", "NCDHW"}, "NHWC")
      .Attr("is_training", true);
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
        .GradientMissing(
            "second order goes through Moments and BatchNormalization, which are made "
            "of simple ops")
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
