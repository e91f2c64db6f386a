// The geometry of a two-dimensional window over an image: convolution and pooling share it.
//
//   ASSIGN_OR_RETURN(WindowAttrs attrs, WindowAttrs::Make(node));
//   ASSIGN_OR_RETURN(ConvGeometry g, ConvGeometry::Make(attrs, input.shape(), filter.shape()));
//   g.out_height, g.pad_top
#ifndef ESPALIER_OPS_CONV_GEOMETRY_H_
#define ESPALIER_OPS_CONV_GEOMETRY_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "espalier/graph/graph.h"

namespace espalier {

// The attributes strides, padding, explicit_paddings, data_format and dilations, checked.
struct WindowAttrs {
  bool nchw = false;
  std::string padding;
  int64_t stride_height = 1, stride_width = 1;
  int64_t dilation_height = 1, dilation_width = 1;
  std::vector<int64_t> explicit_paddings;

  static absl::StatusOr<WindowAttrs> Make(const Node& node);
  // The same, for an op whose strides are an input.
  static absl::StatusOr<WindowAttrs> Make(const Node& node, const std::vector<int64_t>& strides);
  int height_axis() const { return nchw ? 2 : 1; }
  int width_axis() const { return nchw ? 3 : 2; }
  int channel_axis() const { return nchw ? 1 : 3; }
  // The paddings before and after of a spatial axis (height_axis() or width_axis()), for EXPLICIT.
  int64_t explicit_before(int axis) const { return explicit_paddings[2 * axis]; }
  int64_t explicit_after(int axis) const { return explicit_paddings[2 * axis + 1]; }
};

struct WindowSize {
  int64_t out = 0;
  int64_t pad_before = 0;
};
// Along one axis. TensorFlow's formulas: SAME: ceil(in / stride), padding split with the odd one
// behind; VALID: ceil((in - effective filter + 1) / stride). INVALID_ARGUMENT when the window is
// larger than the padded input.
absl::StatusOr<WindowSize> SizeWindow(const WindowAttrs& attrs, int axis, int64_t in,
                                      int64_t filter, int64_t stride, int64_t dilation);

struct ConvGeometry {
  int64_t batch = 0, in_height = 0, in_width = 0, in_channels = 0;
  int64_t filter_height = 0, filter_width = 0,
          group_channels = 0;  // input channels that one output channel sees
  int64_t out_height = 0, out_width = 0, out_channels = 0;
  int64_t stride_height = 1, stride_width = 1, dilation_height = 1, dilation_width = 1;
  int64_t pad_top = 0, pad_left = 0;
  bool nchw = false;

  // INVALID_ARGUMENT when shapes or attributes do not fit.
  static absl::StatusOr<ConvGeometry> Make(const WindowAttrs& attrs, const Shape& input,
                                           const Shape& filter);
  Shape InputShape() const;
  Shape OutputShape() const;
  Shape FilterShape() const { return {filter_height, filter_width, group_channels, out_channels}; }
  int64_t groups() const { return group_channels == 0 ? 1 : in_channels / group_channels; }
  bool plain() const {
    return !nchw && groups() == 1 && dilation_height == 1 && dilation_width == 1;
  }
};

// Shape function of Conv2D; unknown parts stay unknown.
absl::StatusOr<Shape> ConvOutputShape(const WindowAttrs& attrs, const Shape& input,
                                      const Shape& filter);

}  // namespace espalier

#endif  // ESPALIER_OPS_CONV_GEOMETRY_H_
