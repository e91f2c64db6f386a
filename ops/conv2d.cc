// Conv2D and DepthwiseConv2dNative, each with its two gradient ops. A depthwise convolution is one
// with as many groups as channels: its filter [h, w, c, m] is [h, w, 1, c m] in memory. Floats in
// NHWC take the fast way (conv_nhwc.cc); other types, layouts, dilations and groups a plain loop.
// Tested by the registry test and conv2d_test.cc.
#include "absl/strings/str_cat.h"
#include "espalier/graph/channel_map.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/conv_geometry.h"
#include "espalier/ops/conv_nhwc.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

// Visits every product of the convolution: body(index into x, index into the filter, index into y).
template <typename Body>
void ForEachProduct(const ConvGeometry& g, int64_t image, Body&& body) {
  const auto at = [](bool nchw, int64_t n, int64_t h, int64_t w, int64_t c, int64_t height,
                     int64_t width, int64_t channels) {
    return nchw ? ((n * channels + c) * height + h) * width + w
                : ((n * height + h) * width + w) * channels + c;
  };
  const int64_t per_group = g.out_channels / std::max<int64_t>(1, g.groups());
  for (int64_t oh = 0; oh < g.out_height; ++oh) {
    for (int64_t ow = 0; ow < g.out_width; ++ow) {
      for (int64_t a = 0; a < g.filter_height; ++a) {
        const int64_t ih = oh * g.stride_height - g.pad_top + a * g.dilation_height;
        if (ih < 0 || ih >= g.in_height) continue;
        for (int64_t b = 0; b < g.filter_width; ++b) {
          const int64_t iw = ow * g.stride_width - g.pad_left + b * g.dilation_width;
          if (iw < 0 || iw >= g.in_width) continue;
          for (int64_t o = 0; o < g.out_channels; ++o) {
            const int64_t first = o / per_group * g.group_channels;
            const int64_t y =
                at(g.nchw, image, oh, ow, o, g.out_height, g.out_width, g.out_channels);
            for (int64_t i = 0; i < g.group_channels; ++i) {
              body(at(g.nchw, image, ih, iw, first + i, g.in_height, g.in_width, g.in_channels),
                   ((a * g.filter_width + b) * g.group_channels + i) * g.out_channels + o, y);
            }
          }
        }
      }
    }
  }
}

enum class Pass { kForward, kInput, kFilter };

// The plain loop, accumulating in ComputeType.
template <typename T, Pass kPass>
void PlainConv(const KernelContext& context, const ConvGeometry& g, const T* x, const T* filter,
               const T* y, T* result, int64_t size) {
  using C = ComputeType<T>;
  std::vector<C> sums(size, C(0));
  const auto image = [&](int64_t n) {
    ForEachProduct(g, n, [&](int64_t xi, int64_t fi, int64_t yi) {
      if constexpr (kPass == Pass::kForward)
        sums[yi] += static_cast<C>(x[xi]) * static_cast<C>(filter[fi]);
      if constexpr (kPass == Pass::kInput)
        sums[xi] += static_cast<C>(y[yi]) * static_cast<C>(filter[fi]);
      if constexpr (kPass == Pass::kFilter)
        sums[fi] += static_cast<C>(x[xi]) * static_cast<C>(y[yi]);
    });
  };
  if constexpr (kPass == Pass::kFilter) {
    for (int64_t n = 0; n < g.batch; ++n) image(n);
  } else {
    context.ParallelFor(g.batch, 1, [&](int64_t begin, int64_t) { image(begin); });
  }
  for (int64_t i = 0; i < size; ++i) result[i] = static_cast<T>(sums[i]);
}

// The filter as Conv2D's.
absl::StatusOr<Shape> FilterShape(const Shape& filter, int64_t channels, bool depthwise) {
  if (!depthwise || filter.rank() != 4) return filter;
  if (filter.dim(2) >= 0 && channels >= 0 && filter.dim(2) != channels) {
    return absl::InvalidArgumentError(absl::StrCat("the filter ", filter.ToString(), " is for ",
                                                   filter.dim(2), " channels, the input has ",
                                                   channels));
  }
  const int64_t in = std::max(filter.dim(2), channels);
  const bool known = in >= 0 && filter.dim(3) >= 0;
  int64_t out = -1;
  if (known) {
    ASSIGN_OR_RETURN(out, CheckedMultiply(in, filter.dim(3)));
  }
  return Shape{filter.dim(0), filter.dim(1), 1, out};
}

absl::StatusOr<ConvGeometry> GeometryOf(const WindowAttrs& attrs, const Shape& input,
                                        const Shape& filter, bool depthwise) {
  const int64_t channels = input.rank() == 4 ? input.dim(attrs.channel_axis()) : -1;
  ASSIGN_OR_RETURN(Shape as_grouped, FilterShape(filter, channels, depthwise));
  return ConvGeometry::Make(attrs, input, as_grouped);
}

template <typename T>
absl::Status Forward(KernelContext& context, const WindowAttrs& attrs, bool depthwise) {
  const Tensor& x = context.input(0);
  const Tensor& filter = context.input(1);
  ASSIGN_OR_RETURN(ConvGeometry g, GeometryOf(attrs, x.shape(), filter.shape(), depthwise));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, g.OutputShape()));
  if (y.num_elements() > 0) {
    if constexpr (std::is_same_v<T, float>) {
      if (FitsFastConv(g)) {
        RETURN_IF_ERROR(
            FastConvForward(context, g, x.data<T>(), filter.data<T>(), y.mutable_data<T>()));
        context.set_output(0, std::move(y));
        return absl::OkStatus();
      }
    }
    PlainConv<T, Pass::kForward>(context, g, x.data<T>(), filter.data<T>(), nullptr,
                                 y.mutable_data<T>(), y.num_elements());
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::Status CheckGradientShape(const ConvGeometry& g, const Tensor& dy) {
  if (dy.shape() == g.OutputShape()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("out_backprop must have the shape of the convolution's output, ",
                   g.OutputShape().ToString(), ", received ", dy.shape().ToString()));
}

template <typename T>
absl::Status BackwardInput(KernelContext& context, const WindowAttrs& attrs, bool depthwise) {
  ASSIGN_OR_RETURN(Shape input_shape, ShapeFromTensor(context.input(0), "input_sizes"));
  const Tensor& filter = context.input(1);
  const Tensor& dy = context.input(2);
  ASSIGN_OR_RETURN(ConvGeometry g, GeometryOf(attrs, input_shape, filter.shape(), depthwise));
  RETURN_IF_ERROR(CheckGradientShape(g, dy));
  ASSIGN_OR_RETURN(Tensor dx, context.Allocate(DTypeOf<T>, input_shape));
  if (dx.num_elements() > 0) {
    if constexpr (std::is_same_v<T, float>) {
      if (FitsFastConv(g)) {
        RETURN_IF_ERROR(FastConvBackwardInput(context, g, dy.data<T>(), filter.data<T>(),
                                              dx.mutable_data<T>()));
        context.set_output(0, std::move(dx));
        return absl::OkStatus();
      }
    }
    PlainConv<T, Pass::kInput>(context, g, nullptr, filter.data<T>(), dy.data<T>(),
                               dx.mutable_data<T>(), dx.num_elements());
  }
  context.set_output(0, std::move(dx));
  return absl::OkStatus();
}

template <typename T>
absl::Status BackwardFilter(KernelContext& context, const WindowAttrs& attrs, bool depthwise) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(Shape filter_shape, ShapeFromTensor(context.input(1), "filter_sizes"));
  const Tensor& dy = context.input(2);
  ASSIGN_OR_RETURN(ConvGeometry g, GeometryOf(attrs, x.shape(), filter_shape, depthwise));
  RETURN_IF_ERROR(CheckGradientShape(g, dy));
  ASSIGN_OR_RETURN(Tensor df, context.Allocate(DTypeOf<T>, filter_shape));
  if (df.num_elements() > 0) {
    if constexpr (std::is_same_v<T, float>) {
      if (FitsFastConv(g)) {
        RETURN_IF_ERROR(
            FastConvBackwardFilter(context, g, x.data<T>(), dy.data<T>(), df.mutable_data<T>()));
        context.set_output(0, std::move(df));
        return absl::OkStatus();
      }
    }
    PlainConv<T, Pass::kFilter>(context, g, x.data<T>(), nullptr, dy.data<T>(),
                                df.mutable_data<T>(), df.num_elements());
  }
  context.set_output(0, std::move(df));
  return absl::OkStatus();
}

template <Pass kPass, bool kDepthwise = false>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  ASSIGN_OR_RETURN(WindowAttrs attrs, WindowAttrs::Make(node));
  return DispatchType(RealTypes(), node.attr<DType>("T"), [&]<typename T>() -> KernelFunction {
    return [attrs](KernelContext& context) {
      if constexpr (kPass == Pass::kForward) return Forward<T>(context, attrs, kDepthwise);
      if constexpr (kPass == Pass::kInput) return BackwardInput<T>(context, attrs, kDepthwise);
      if constexpr (kPass == Pass::kFilter) return BackwardFilter<T>(context, attrs, kDepthwise);
    };
  });
}

template <bool kDepthwise>
absl::Status ForwardShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(WindowAttrs attrs, WindowAttrs::Make(c.node()));
  const int64_t channels = c.input(0).rank() == 4 ? c.input(0).dim(attrs.channel_axis()) : -1;
  ASSIGN_OR_RETURN(Shape filter, FilterShape(c.input(1), channels, kDepthwise));
  ASSIGN_OR_RETURN(Shape shape, ConvOutputShape(attrs, c.input(0), filter));
  c.set_output(0, shape);
  return absl::OkStatus();
}

template <int kSizes>
absl::Status SizesShape(InferenceContext& c) {
  RETURN_IF_ERROR(WindowAttrs::Make(c.node()).status());
  ASSIGN_OR_RETURN(Shape shape, c.ShapeFromInput(kSizes));
  if (shape.has_rank() && shape.rank() != 4 && c.constant(kSizes) != nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("the sizes must be 4 numbers, received ", shape.ToString()));
  }
  c.set_output(0, shape.rank() == 4 ? shape : Shape::UnknownOfRank(4));
  return absl::OkStatus();
}

AttrMap ConvAttrs(const Node& node) {
  AttrMap attrs;
  for (const char* name : {"strides", "padding", "explicit_paddings", "data_format", "dilations"}) {
    attrs[name] = *node.FindAttr(name);
  }
  return attrs;
}

// The names of the ops that the gradients of a convolution are made of.
template <bool kDepthwise>
struct Names {
  static constexpr const char* kForward = kDepthwise ? "DepthwiseConv2dNative" : "Conv2D";
  static constexpr const char* kInput =
      kDepthwise ? "DepthwiseConv2dNativeBackpropInput" : "Conv2DBackpropInput";
  static constexpr const char* kFilter =
      kDepthwise ? "DepthwiseConv2dNativeBackpropFilter" : "Conv2DBackpropFilter";
};

template <bool kDepthwise>
std::vector<Output> ForwardGradient(const GradientContext& g) {
  using Op = Names<kDepthwise>;
  const AttrMap attrs = ConvAttrs(g.node());
  return {g.Op(Op::kInput, {g.ShapeOf(g.x(0)), g.x(1), g.dy()}, attrs),
          g.Op(Op::kFilter, {g.x(0), g.ShapeOf(g.x(1)), g.dy()}, attrs)};
}

template <bool kDepthwise>
std::vector<Output> InputGradient(const GradientContext& g) {
  using Op = Names<kDepthwise>;
  const AttrMap attrs = ConvAttrs(g.node());
  return {Output(), g.Op(Op::kFilter, {g.dy(), g.ShapeOf(g.x(1)), g.x(2)}, attrs),
          g.Op(Op::kForward, {g.dy(), g.x(1)}, attrs)};
}

template <bool kDepthwise>
std::vector<Output> FilterGradient(const GradientContext& g) {
  using Op = Names<kDepthwise>;
  const AttrMap attrs = ConvAttrs(g.node());
  return {g.Op(Op::kInput, {g.ShapeOf(g.x(0)), g.dy(), g.x(2)}, attrs), Output(),
          g.Op(Op::kForward, {g.x(0), g.dy()}, attrs)};
}

OpSchema& AddConvAttrs(OpSchema& op, bool depthwise = false) {
  op.TypeAttr("T", kRealDTypes).RequiredAttr("strides", AttrKind::kIntList);
  if (!depthwise) op.Attr("use_cudnn_on_gpu", true);
  return op.StringAttr("padding", {"SAME", "VALID", "EXPLICIT"})
      .Attr("explicit_paddings", std::vector<int64_t>())
      .StringAttr("data_format", {"NHWC", "NCHW"}, "NHWC")
      .Attr("dilations", std::vector<int64_t>{1, 1, 1, 1});
}

AttrMap Strided(int64_t stride, const char* padding) {
  return {{"strides", std::vector<int64_t>{1, stride, stride, 1}}, {"padding", padding}};
}

// The output's channels are the last dimension of a filter, of a depthwise one the last two.
absl::StatusOr<Tensor> ScaleFilter(const Node&, const Tensor& filter,
                                   const std::vector<double>& scale) {
  const auto channels = static_cast<int64_t>(scale.size());
  if (filter.rank() != 4 || channels == 0 || filter.num_elements() % channels != 0)
    return absl::InvalidArgumentError("the filter has another number of channels");
  return ScaleElements(filter, scale, [&](int64_t i) { return i % channels; });
}

void AddDepthwise(OpRegistry& registry) {
  const Tensor image = F({1, 2, 2, 2}, {1, 10, 2, 20, 3, 30, 4, 40});
  const Tensor filter = F({1, 1, 2, 2}, {1, 2, 0.1f, -1});
  const Tensor large = Ramp({2, 5, 4, 3}), large_filter = Ramp({3, 3, 3, 2});
  AddConvAttrs(registry.Add("DepthwiseConv2dNative")
                   .Doc("Each channel convolved with filters of its own [height, width, channels, "
                        "multiplier].")
                   .In("input", "T")
                   .In("filter", "T")
                   .Out("output", "T"),
               true)
      .Shape(ForwardShape<true>)
      .Kernel(Make<Pass::kForward, true>)
      .ScaleWeights(ScaleFilter)
      .Gradient(ForwardGradient<true>)
      .Example(
          {.name = "one by one",
           .inputs = {image, filter},
           .attrs = Strided(1, "VALID"),
           .expected = {F({1, 2, 2, 4}, {1, 2, 1, -10, 2, 4, 2, -20, 3, 6, 3, -30, 4, 8, 4, -40})}})
      .Example({.name = "strided",
                .inputs = {large, large_filter},
                .attrs = Strided(2, "SAME"),
                .tolerance = 1e-4})
      .Example({.name = "empty",
                .inputs = {F({0, 2, 2, 2}, {}), filter},
                .attrs = Strided(1, "SAME"),
                .expected = {F({0, 2, 2, 4}, {})}});
  AddConvAttrs(registry.Add("DepthwiseConv2dNativeBackpropInput")
                   .Doc("The gradient of DepthwiseConv2dNative by its input, whose shape is "
                        "input_sizes.")
                   .In("input_sizes", kInt32)
                   .In("filter", "T")
                   .In("out_backprop", "T")
                   .Out("output", "T"),
               true)
      .Shape(SizesShape<0>)
      .Kernel(Make<Pass::kInput, true>)
      .Gradient(InputGradient<true>)
      .Example({.name = "one by one",
                .inputs = {I({4}, {1, 1, 1, 2}), filter, F({1, 1, 1, 4}, {1, 2, 3, 4})},
                .attrs = Strided(1, "VALID"),
                .expected = {F({1, 1, 1, 2}, {5, -3.7f})}})
      .Example({.name = "strided",
                .inputs = {I({4}, {2, 5, 4, 3}), large_filter, Ramp({2, 3, 2, 6})},
                .attrs = Strided(2, "SAME"),
                .tolerance = 1e-4})
      .Example({.name = "empty",
                .inputs = {I({4}, {0, 1, 1, 2}), filter, F({0, 1, 1, 4}, {})},
                .attrs = Strided(1, "VALID"),
                .expected = {F({0, 1, 1, 2}, {})}});
  AddConvAttrs(registry.Add("DepthwiseConv2dNativeBackpropFilter")
                   .Doc("The gradient of DepthwiseConv2dNative by its filter, whose shape is "
                        "filter_sizes.")
                   .In("input", "T")
                   .In("filter_sizes", kInt32)
                   .In("out_backprop", "T")
                   .Out("output", "T"),
               true)
      .Shape(SizesShape<1>)
      .Kernel(Make<Pass::kFilter, true>)
      .Gradient(FilterGradient<true>)
      .Example(
          {.name = "one by one",
           .inputs = {F({1, 1, 1, 2}, {2, 3}), I({4}, {1, 1, 2, 2}), F({1, 1, 1, 4}, {1, 2, 3, 4})},
           .attrs = Strided(1, "VALID"),
           .expected = {F({1, 1, 2, 2}, {2, 4, 9, 12})}})
      .Example({.name = "strided",
                .inputs = {large, I({4}, {3, 3, 3, 2}), Ramp({2, 3, 2, 6})},
                .attrs = Strided(2, "SAME"),
                .tolerance = 1e-4})
      .Example({.name = "empty",
                .inputs = {F({0, 1, 1, 2}, {}), I({4}, {1, 1, 2, 2}), F({0, 1, 1, 4}, {})},
                .attrs = Strided(1, "VALID"),
                .expected = {F({1, 1, 2, 2}, {0, 0, 0, 0})}});
}

}  // namespace

void RegisterConv2D(OpRegistry& registry) {
  const Tensor image = F({1, 3, 3, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const Tensor filter = F({2, 2, 1, 1}, {1, 0, 0, -1});
  AttrMap explicit_attrs = Strided(1, "EXPLICIT");
  explicit_attrs["explicit_paddings"] = std::vector<int64_t>{0, 0, 1, 0, 0, 2, 0, 0};
  AttrMap dilated = Strided(1, "SAME");
  dilated["dilations"] = std::vector<int64_t>{1, 2, 2, 1};
  AddConvAttrs(registry.Add("Conv2D")
                   .Doc("Two-dimensional convolution (cross-correlation) of images with a filter "
                        "[height, width, in, "
                        "out]; groups when the filter has fewer input channels than the image.")
                   .In("input", "T")
                   .In("filter", "T")
                   .Out("output", "T"))
      .Shape(ForwardShape<false>)
      .Kernel(Make<Pass::kForward>)
      .ScaleWeights(ScaleFilter)
      .Gradient(ForwardGradient<false>)
      .Example({.name = "valid",
                .inputs = {image, filter},
                .attrs = Strided(1, "VALID"),
                .expected = {F({1, 2, 2, 1}, {-4, -4, -4, -4})}})
      .Example({.name = "same strided",
                .inputs = {image, filter},
                .attrs = Strided(2, "SAME"),
                .expected = {F({1, 2, 2, 1}, {-4, 3, 7, 9})}})
      .Example({.name = "channels",
                .inputs = {Ramp({2, 5, 4, 3}), Ramp({3, 3, 3, 5})},
                .attrs = Strided(1, "SAME"),
                .tolerance = 1e-4})
      .Example({.name = "stride 2",
                .inputs = {Ramp({2, 6, 7, 2}), Ramp({3, 3, 2, 3})},
                .attrs = Strided(2, "SAME"),
                .tolerance = 1e-4})
      .Example({.name = "explicit padding",
                .inputs = {Ramp({1, 4, 3, 2}), Ramp({2, 2, 2, 2})},
                .attrs = explicit_attrs,
                .tolerance = 1e-4})
      .Example({.name = "dilated",
                .inputs = {Ramp({1, 5, 5, 1}), Ramp({2, 2, 1, 2})},
                .attrs = dilated,
                .tolerance = 1e-4})
      .Example({.name = "groups",
                .inputs = {Ramp({1, 3, 3, 4}), Ramp({2, 2, 2, 4})},
                .attrs = Strided(1, "VALID"),
                .tolerance = 1e-4})
      .Example({.name = "empty batch",
                .inputs = {F({0, 3, 3, 1}, {}), filter},
                .attrs = Strided(1, "VALID"),
                .expected = {F({0, 2, 2, 1}, {})}});
  AddConvAttrs(registry.Add("Conv2DBackpropInput")
                   .Doc("The gradient of Conv2D by its input, whose shape is input_sizes.")
                   .In("input_sizes", kInt32)
                   .In("filter", "T")
                   .In("out_backprop", "T")
                   .Out("output", "T"))
      .Shape(SizesShape<0>)
      .Kernel(Make<Pass::kInput>)
      .Gradient(InputGradient<false>)
      .Example({.name = "valid",
                .inputs = {I({4}, {1, 3, 3, 1}), filter, F({1, 2, 2, 1}, {1, 2, 3, 4})},
                .attrs = Strided(1, "VALID"),
                .expected = {F({1, 3, 3, 1}, {1, 2, 0, 3, 3, -2, 0, -3, -4})},
                .constant_inputs = {0}})
      .Example({.name = "stride 3 over a small filter",
                .inputs = {I({4}, {1, 7, 7, 2}), Ramp({2, 2, 2, 3}), Ramp({1, 3, 3, 3})},
                .attrs = Strided(3, "SAME"),
                .tolerance = 1e-4,
                .constant_inputs = {0}})
      .Example({.name = "empty",
                .inputs = {I({4}, {0, 3, 3, 1}), filter, F({0, 2, 2, 1}, {})},
                .attrs = Strided(1, "VALID"),
                .expected = {F({0, 3, 3, 1}, {})}});
  AddConvAttrs(registry.Add("Conv2DBackpropFilter")
                   .Doc("The gradient of Conv2D by its filter, whose shape is filter_sizes.")
                   .In("input", "T")
                   .In("filter_sizes", kInt32)
                   .In("out_backprop", "T")
                   .Out("output", "T"))
      .Shape(SizesShape<1>)
      .Kernel(Make<Pass::kFilter>)
      .Gradient(FilterGradient<false>)
      .Example({.name = "valid",
                .inputs = {image, I({4}, {2, 2, 1, 1}), F({1, 2, 2, 1}, {1, 0, 0, 1})},
                .attrs = Strided(1, "VALID"),
                .expected = {F({2, 2, 1, 1}, {6, 8, 12, 14})},
                .constant_inputs = {1}})
      .Example({.name = "stride 2",
                .inputs = {Ramp({2, 5, 4, 2}), I({4}, {3, 3, 2, 3}), Ramp({2, 3, 2, 3})},
                .attrs = Strided(2, "SAME"),
                .tolerance = 1e-4,
                .constant_inputs = {1}})
      .Example({.name = "empty batch",
                .inputs = {F({0, 3, 3, 1}, {}), I({4}, {2, 2, 1, 1}), F({0, 2, 2, 1}, {})},
                .attrs = Strided(1, "VALID"),
                .expected = {F({2, 2, 1, 1}, {0, 0, 0, 0})}});
  AddDepthwise(registry);
}

}  // namespace espalier
