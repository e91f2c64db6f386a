// The windows of a pooling op over an image, in either layout.
//
//   ASSIGN_OR_RETURN(Pool pool, Pool::Make(attrs, x.shape()));
//   pool.ForEachWindow(n, [&](int64_t o, int64_t h0, int64_t h1, int64_t w0, int64_t w1, int64_t c)
//   {
//     out[o] = in[pool.Largest(in, n, h0, h1, w0, w1, c)];
//   });
#ifndef ESPALIER_OPS_POOLING_H_
#define ESPALIER_OPS_POOLING_H_

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "espalier/graph/op.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/conv_geometry.h"
#include "espalier/ops/elementwise.h"

namespace espalier {

// The attributes ksize, strides, padding, explicit_paddings and data_format, checked.
struct PoolAttrs {
  WindowAttrs window;
  int64_t height = 1, width = 1;

  static absl::StatusOr<PoolAttrs> Make(const Node& node) {
    ASSIGN_OR_RETURN(WindowAttrs window, WindowAttrs::Make(node));
    return Make(window, node.attr<std::vector<int64_t>>("ksize"));
  }
  static absl::StatusOr<PoolAttrs> Make(const WindowAttrs& window,
                                        const std::vector<int64_t>& ksize) {
    PoolAttrs attrs = {.window = window};
    if (ksize.size() != 4 || ksize[0] != 1 || ksize[window.channel_axis()] != 1) {
      return absl::InvalidArgumentError("ksize must have 4 entries, 1 for batch and channels");
    }
    attrs.height = ksize[window.height_axis()];
    attrs.width = ksize[window.width_axis()];
    if (attrs.height < 1 || attrs.width < 1 || attrs.height > (1 << 30) ||
        attrs.width > (1 << 30)) {
      return absl::InvalidArgumentError("ksize must be positive");
    }
    return attrs;
  }
};

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

inline absl::Status CheckOutputShape(const Pool& pool, const Tensor& t, const char* what) {
  if (t.shape() == pool.output) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " must have shape ", pool.output.ToString(),
                                                 ", received ", t.shape().ToString()));
}

// Output 0 is input 0 pooled.
inline absl::Status PooledShape(InferenceContext& c, const PoolAttrs& attrs) {
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

inline absl::Status PoolShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(PoolAttrs attrs, PoolAttrs::Make(c.node()));
  return PooledShape(c, attrs);
}

// The attributes of a pooling node, for another op over the same windows.
inline AttrMap PoolAttrMap(const Node& node) {
  AttrMap attrs;
  for (const char* name : {"ksize", "strides", "padding", "data_format"})
    attrs[name] = *node.FindAttr(name);
  if (const AttrValue* paddings = node.FindAttr("explicit_paddings"))
    attrs["explicit_paddings"] = *paddings;
  return attrs;
}

inline OpSchema& AddPoolAttrs(OpSchema& op, bool explicit_paddings,
                              const std::vector<DType>& types = kRealDTypes) {
  op.TypeAttr("T", types)
      .RequiredAttr("ksize", AttrKind::kIntList)
      .RequiredAttr("strides", AttrKind::kIntList)
      .StringAttr("padding", explicit_paddings
                                 ? std::vector<std::string>{"SAME", "VALID", "EXPLICIT"}
                                 : std::vector<std::string>{"SAME", "VALID"})
      .StringAttr("data_format", {"NHWC", "NCHW"}, "NHWC");
  if (explicit_paddings) op.Attr("explicit_paddings", std::vector<int64_t>());
  return op;
}

}  // namespace espalier

#endif  // ESPALIER_OPS_POOLING_H_
