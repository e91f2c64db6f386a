// MaxPool, AvgPool and their gradients. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/conv_geometry.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

struct PoolAttrs {
  WindowAttrs window;
  int64_t height = 1, width = 1;
};

absl::StatusOr<PoolAttrs> AttrsOf(const Node& node) {
  PoolAttrs attrs;
  ASSIGN_OR_RETURN(attrs.window, WindowAttrs::Make(node));
  const auto& ksize = node.attr<std::vector<int64_t>>("ksize");
  if (ksize.size() != 4 || ksize[0] != 1 || ksize[attrs.window.channel_axis()] != 1) {
    return absl::InvalidArgumentError("attr ksize must have 4 entries, 1 for batch and channels");
  }
  attrs.height = ksize[attrs.window.height_axis()];
  attrs.width = ksize[attrs.window.width_axis()];
  if (attrs.height < 1 || attrs.width < 1 || attrs.height > (1 << 30) || attrs.width > (1 << 30)) {
    return absl::InvalidArgumentError("attr ksize must be positive");
  }
  return attrs;
}

// Where the windows are, and how to find an element in either layout.
struct Pool {
  Shape input, output;
  int64_t batch, channels, in_height, in_width, out_height, out_width;
  int64_t pad_top, pad_left;
  bool nchw;
  PoolAttrs attrs;

  static absl::StatusOr<Pool> Make(const PoolAttrs& attrs, const Shape& input) {
    if (input.rank() != 4) {
      return absl::InvalidArgumentError(
          absl::StrCat("the input must have rank 4, received ", input.ToString()));
    }
    Pool p;
    p.attrs = attrs;
    p.input = input;
    p.nchw = attrs.window.nchw;
    p.batch = input.dim(0);
    p.channels = input.dim(attrs.window.channel_axis());
    p.in_height = input.dim(attrs.window.height_axis());
    p.in_width = input.dim(attrs.window.width_axis());
    ASSIGN_OR_RETURN(WindowSize rows,
                     SizeWindow(attrs.window, attrs.window.height_axis(), p.in_height, attrs.height,
                                attrs.window.stride_height, 1));
    ASSIGN_OR_RETURN(WindowSize columns,
                     SizeWindow(attrs.window, attrs.window.width_axis(), p.in_width, attrs.width,
                                attrs.window.stride_width, 1));
    p.out_height = rows.out;
    p.out_width = columns.out;
    p.pad_top = rows.pad_before;
    p.pad_left = columns.pad_before;
    p.output = input;
    p.output.set_dim(attrs.window.height_axis(), rows.out);
    p.output.set_dim(attrs.window.width_axis(), columns.out);
    return p;
  }

  int64_t In(int64_t n, int64_t h, int64_t w, int64_t c) const {
    return nchw ? ((n * channels + c) * in_height + h) * in_width + w
                : ((n * in_height + h) * in_width + w) * channels + c;
  }
  int64_t Out(int64_t n, int64_t h, int64_t w, int64_t c) const {
    return nchw ? ((n * channels + c) * out_height + h) * out_width + w
                : ((n * out_height + h) * out_width + w) * channels + c;
  }

  // body(output index, input rows [h0, h1), columns [w0, w1), channel) for each window of an image.
  template <typename Body>
  void ForEachWindow(int64_t n, Body&& body) const {
    for (int64_t oh = 0; oh < out_height; ++oh) {
      const int64_t h = oh * attrs.window.stride_height - pad_top;
      for (int64_t ow = 0; ow < out_width; ++ow) {
        const int64_t w = ow * attrs.window.stride_width - pad_left;
        for (int64_t c = 0; c < channels; ++c) {
          body(Out(n, oh, ow, c), std::max<int64_t>(h, 0), std::min(h + attrs.height, in_height),
               std::max<int64_t>(w, 0), std::min(w + attrs.width, in_width), c);
        }
      }
    }
  }

  // The largest element of a window, the first of equals; a NaN wins.
  template <typename T>
  int64_t Largest(const T* x, int64_t n, int64_t h0, int64_t h1, int64_t w0, int64_t w1,
                  int64_t c) const {
    int64_t best = -1;
    for (int64_t h = h0; h < h1; ++h) {
      for (int64_t w = w0; w < w1; ++w) {
        const int64_t at = In(n, h, w, c);
        if (best < 0 || x[at] > x[best] || (x[at] != x[at] && x[best] == x[best])) best = at;
      }
    }
    return best;
  }
};

template <typename T, bool kMax>
absl::Status Forward(KernelContext& context, const PoolAttrs& attrs) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(Pool pool, Pool::Make(attrs, x.shape()));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, pool.output));
  const T* in = x.data<T>();
  T* out = y.mutable_data<T>();
  context.ParallelFor(pool.batch, 1, [&](int64_t n, int64_t) {
    pool.ForEachWindow(
        n, [&](int64_t o, int64_t h0, int64_t h1, int64_t w0, int64_t w1, int64_t c) {
          if constexpr (kMax) {
            const int64_t at = pool.Largest(in, n, h0, h1, w0, w1, c);
            out[o] = at < 0 ? std::numeric_limits<T>::lowest() : in[at];
          } else {
            ComputeType<T> sum(0);
            for (int64_t h = h0; h < h1; ++h) {
              for (int64_t w = w0; w < w1; ++w)
                sum += static_cast<ComputeType<T>>(in[pool.In(n, h, w, c)]);
            }
            out[o] = static_cast<T>(
                sum / static_cast<ComputeType<T>>(std::max<int64_t>(1, (h1 - h0) * (w1 - w0))));
          }
        });
  });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::Status CheckOutputShape(const Pool& pool, const Tensor& t, const char* what) {
  if (t.shape() == pool.output) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " must have shape ", pool.output.ToString(),
                                                 ", received ", t.shape().ToString()));
}

template <typename T>
absl::Status MaxBackward(KernelContext& context, const PoolAttrs& attrs) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(Pool pool, Pool::Make(attrs, x.shape()));
  RETURN_IF_ERROR(CheckOutputShape(pool, context.input(1), "orig_output"));
  RETURN_IF_ERROR(CheckOutputShape(pool, context.input(2), "grad"));
  ASSIGN_OR_RETURN(Tensor dx, context.Allocate(DTypeOf<T>, x.shape()));
  T* out = dx.mutable_data<T>();
  std::fill_n(out, dx.num_elements(), T(0));
  const T* in = x.data<T>();
  const T* dy = context.input(2).data<T>();
  context.ParallelFor(pool.batch, 1, [&](int64_t n, int64_t) {
    pool.ForEachWindow(n,
                       [&](int64_t o, int64_t h0, int64_t h1, int64_t w0, int64_t w1, int64_t c) {
                         const int64_t at = pool.Largest(in, n, h0, h1, w0, w1, c);
                         if (at >= 0)
                           out[at] = static_cast<T>(static_cast<ComputeType<T>>(out[at]) +
                                                    static_cast<ComputeType<T>>(dy[o]));
                       });
  });
  context.set_output(0, std::move(dx));
  return absl::OkStatus();
}

template <typename T>
absl::Status AverageBackward(KernelContext& context, const PoolAttrs& attrs) {
  ASSIGN_OR_RETURN(Shape input, ShapeFromTensor(context.input(0), "orig_input_shape"));
  ASSIGN_OR_RETURN(Pool pool, Pool::Make(attrs, input));
  RETURN_IF_ERROR(CheckOutputShape(pool, context.input(1), "grad"));
  ASSIGN_OR_RETURN(Tensor dx, context.Allocate(DTypeOf<T>, input));
  using C = ComputeType<T>;
  std::vector<C> sums(dx.num_elements(), C(0));
  const T* dy = context.input(1).data<T>();
  context.ParallelFor(pool.batch, 1, [&](int64_t n, int64_t) {
    pool.ForEachWindow(
        n, [&](int64_t o, int64_t h0, int64_t h1, int64_t w0, int64_t w1, int64_t c) {
          const C share =
              static_cast<C>(dy[o]) / static_cast<C>(std::max<int64_t>(1, (h1 - h0) * (w1 - w0)));
          for (int64_t h = h0; h < h1; ++h) {
            for (int64_t w = w0; w < w1; ++w) sums[pool.In(n, h, w, c)] += share;
          }
        });
  });
  for (size_t i = 0; i < sums.size(); ++i) dx.mutable_data<T>()[i] = static_cast<T>(sums[i]);
  context.set_output(0, std::move(dx));
  return absl::OkStatus();
}

enum class Kind { kMax, kAverage, kMaxGrad, kAverageGrad };

template <Kind kKind>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  ASSIGN_OR_RETURN(PoolAttrs attrs, AttrsOf(node));
  return DispatchType(RealTypes(), node.attr<DType>("T"), [attrs]<typename T>() -> KernelFunction {
    return [attrs](KernelContext& context) {
      if constexpr (kKind == Kind::kMax) return Forward<T, true>(context, attrs);
      if constexpr (kKind == Kind::kAverage) return Forward<T, false>(context, attrs);
      if constexpr (kKind == Kind::kMaxGrad) return MaxBackward<T>(context, attrs);
      if constexpr (kKind == Kind::kAverageGrad) return AverageBackward<T>(context, attrs);
    };
  });
}

absl::Status PoolShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(PoolAttrs attrs, AttrsOf(c.node()));
  RETURN_IF_ERROR(c.WithRank(0, 4));
  if (!c.input(0).has_rank()) {
    c.set_output(0, Shape::UnknownOfRank(4));
    return absl::OkStatus();
  }
  Shape shape = c.input(0);
  for (const bool rows : {true, false}) {
    const int axis = rows ? attrs.window.height_axis() : attrs.window.width_axis();
    if (shape.dim(axis) < 0) continue;
    ASSIGN_OR_RETURN(
        WindowSize size,
        SizeWindow(attrs.window, axis, shape.dim(axis), rows ? attrs.height : attrs.width,
                   rows ? attrs.window.stride_height : attrs.window.stride_width, 1));
    shape.set_dim(axis, size.out);
  }
  c.set_output(0, shape);
  return absl::OkStatus();
}

AttrMap PoolAttrMap(const Node& node) {
  AttrMap attrs;
  for (const char* name : {"ksize", "strides", "padding", "data_format"})
    attrs[name] = *node.FindAttr(name);
  if (const AttrValue* paddings = node.FindAttr("explicit_paddings"))
    attrs["explicit_paddings"] = *paddings;
  return attrs;
}

OpSchema& AddPoolAttrs(OpSchema& op, bool explicit_paddings) {
  op.TypeAttr("T", kRealDTypes)
      .RequiredAttr("ksize", AttrKind::kIntList)
      .RequiredAttr("strides", AttrKind::kIntList)
      .StringAttr("padding", explicit_paddings
                                 ? std::vector<std::string>{"SAME", "VALID", "EXPLICIT"}
                                 : std::vector<std::string>{"SAME", "VALID"})
      .StringAttr("data_format", {"NHWC", "NCHW"}, "NHWC");
  if (explicit_paddings) op.Attr("explicit_paddings", std::vector<int64_t>());
  return op;
}

AttrMap Window(int64_t size, int64_t stride, const char* padding) {
  return {{"ksize", std::vector<int64_t>{1, size, size, 1}},
          {"strides", std::vector<int64_t>{1, stride, stride, 1}},
          {"padding", padding}};
}

}  // namespace

void RegisterPooling(OpRegistry& registry) {
  const Tensor image = F({1, 3, 3, 1}, {1, 8, 3, 4, 5, 6, 7, 2, 9});
  const Tensor two = F({1, 2, 2, 2}, {1, 8, 3, 4, 5, 6, 7, 2});
  const Tensor none = F({0, 3, 3, 1}, {});
  AddPoolAttrs(registry.Add("MaxPool")
                   .Doc("The largest of each window.")
                   .In("input", "T")
                   .Out("output", "T"),
               true)
      .Shape(PoolShape)
      .Kernel(Make<Kind::kMax>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("MaxPoolGrad", {g.x(0), g.y(0), g.dy()}, PoolAttrMap(g.node()))};
      })
      .Example({.name = "valid",
                .inputs = {image},
                .attrs = Window(2, 1, "VALID"),
                .expected = {F({1, 2, 2, 1}, {8, 8, 7, 9})}})
      .Example({.name = "same",
                .inputs = {image},
                .attrs = Window(2, 2, "SAME"),
                .expected = {F({1, 2, 2, 1}, {8, 6, 7, 9})}})
      .Example({.name = "channels",
                .inputs = {two},
                .attrs = Window(2, 2, "VALID"),
                .expected = {F({1, 1, 1, 2}, {7, 8})}})
      .Example({.name = "empty",
                .inputs = {none},
                .attrs = Window(2, 1, "VALID"),
                .expected = {F({0, 2, 2, 1}, {})}});
  AddPoolAttrs(registry.Add("AvgPool")
                   .Doc("The mean of each window; padding does not count.")
                   .In("value", "T")
                   .Out("output", "T"),
               false)
      .Shape(PoolShape)
      .Kernel(Make<Kind::kAverage>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("AvgPoolGrad", {g.Op("Shape", {g.x(0)}), g.dy()}, PoolAttrMap(g.node()))};
      })
      .Example({.name = "valid",
                .inputs = {image},
                .attrs = Window(2, 1, "VALID"),
                .expected = {F({1, 2, 2, 1}, {4.5f, 5.5f, 4.5f, 5.5f})}})
      .Example({.name = "same",
                .inputs = {image},
                .attrs = Window(2, 2, "SAME"),
                .expected = {F({1, 2, 2, 1}, {4.5f, 4.5f, 4.5f, 9})}})
      .Example({.name = "empty",
                .inputs = {none},
                .attrs = Window(2, 1, "VALID"),
                .expected = {F({0, 2, 2, 1}, {})}});
  AddPoolAttrs(
      registry.Add("MaxPoolGrad")
          .Doc("The gradient of MaxPool: to the largest of each window, the first of equals.")
          .In("orig_input", "T")
          .In("orig_output", "T")
          .In("grad", "T")
          .Out("output", "T"),
      true)
      .Shape(UnchangedShape)
      .Kernel(Make<Kind::kMaxGrad>)
      .GradientMissing("MaxPoolGradGrad is not there yet")
      .Example({.name = "valid",
                .inputs = {image, F({1, 2, 2, 1}, {8, 8, 7, 9}), F({1, 2, 2, 1}, {1, 2, 3, 4})},
                .attrs = Window(2, 1, "VALID"),
                .expected = {F({1, 3, 3, 1}, {0, 3, 0, 0, 0, 0, 3, 0, 4})},
                .check_gradient = false})
      .Example({.name = "channels",
                .inputs = {two, F({1, 1, 1, 2}, {7, 8}), F({1, 1, 1, 2}, {5, 6})},
                .attrs = Window(2, 2, "VALID"),
                .expected = {F({1, 2, 2, 2}, {0, 6, 0, 0, 0, 0, 5, 0})},
                .check_gradient = false})
      .Example({.name = "empty",
                .inputs = {none, F({0, 2, 2, 1}, {}), F({0, 2, 2, 1}, {})},
                .attrs = Window(2, 1, "VALID"),
                .expected = {none},
                .check_gradient = false});
  AddPoolAttrs(registry.Add("AvgPoolGrad")
                   .Doc("The gradient of AvgPool: an equal share for each element of the window.")
                   .In("orig_input_shape", kInt32)
                   .In("grad", "T")
                   .Out("output", "T"),
               false)
      .Shape([](InferenceContext& c) -> absl::Status {
        ASSIGN_OR_RETURN(Shape shape, c.ShapeFromInput(0));
        c.set_output(0, shape);
        return absl::OkStatus();
      })
      .Kernel(Make<Kind::kAverageGrad>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {Output(), g.Op("AvgPool", {g.dy()}, PoolAttrMap(g.node()))};
      })
      .Example({.name = "valid",
                .inputs = {I({4}, {1, 3, 3, 1}), F({1, 2, 2, 1}, {4, 8, 12, 16})},
                .attrs = Window(2, 1, "VALID"),
                .expected = {F({1, 3, 3, 1}, {1, 3, 2, 4, 10, 6, 3, 7, 4})},
                .constant_inputs = {0}})
      .Example({.name = "same",
                .inputs = {I({4}, {1, 3, 3, 1}), F({1, 2, 2, 1}, {4, 2, 2, 1})},
                .attrs = Window(2, 2, "SAME"),
                .expected = {F({1, 3, 3, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1})}})
      .Example({.name = "empty",
                .inputs = {I({4}, {0, 3, 3, 1}), F({0, 2, 2, 1}, {})},
                .attrs = Window(2, 1, "VALID"),
                .expected = {none}});
}

}  // namespace espalier
