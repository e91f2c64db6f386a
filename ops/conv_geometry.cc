// Tested by the registry test.
#include "espalier/ops/conv_geometry.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
namespace {

// Beyond this a product of sizes could overflow.
constexpr int64_t kMaxAttr = int64_t{1} << 31;

absl::Status CheckPerAxis(const std::string& name, const std::vector<int64_t>& values,
                          const WindowAttrs& attrs) {
  if (values.size() != 4) {
    return absl::InvalidArgumentError(
        absl::StrCat("attr ", name, " must have 4 entries, received ", values.size()));
  }
  if (values[0] != 1 || values[attrs.channel_axis()] != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("attr ", name, " must be 1 for batch and channels"));
  }
  for (int64_t value : values) {
    if (value < 1 || value > kMaxAttr) {
      return absl::InvalidArgumentError(
          absl::StrCat("attr ", name, " must be positive, received ", value));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<WindowAttrs> WindowAttrs::Make(const Node& node) {
  return Make(node, node.attr<std::vector<int64_t>>("strides"));
}

absl::StatusOr<WindowAttrs> WindowAttrs::Make(const Node& node,
                                              const std::vector<int64_t>& strides) {
  WindowAttrs attrs;
  attrs.nchw = node.attr<std::string>("data_format") == "NCHW";
  attrs.padding = node.attr<std::string>("padding");
  RETURN_IF_ERROR(CheckPerAxis("strides", strides, attrs));
  attrs.stride_height = strides[attrs.height_axis()];
  attrs.stride_width = strides[attrs.width_axis()];
  if (node.FindAttr("dilations") != nullptr) {
    const auto& dilations = node.attr<std::vector<int64_t>>("dilations");
    RETURN_IF_ERROR(CheckPerAxis("dilations", dilations, attrs));
    attrs.dilation_height = dilations[attrs.height_axis()];
    attrs.dilation_width = dilations[attrs.width_axis()];
  }
  attrs.explicit_paddings = node.attr<std::vector<int64_t>>("explicit_paddings");
  if (attrs.padding == "EXPLICIT") {
    if (attrs.explicit_paddings.size() != 8) {
      return absl::InvalidArgumentError(absl::StrCat(
          "attr explicit_paddings must have 8 entries, received ", attrs.explicit_paddings.size()));
    }
    for (int64_t pad : attrs.explicit_paddings) {
      if (pad < 0 || pad > kMaxAttr) {
        return absl::InvalidArgumentError(
            absl::StrCat("attr explicit_paddings must not be negative, received ", pad));
      }
    }
    for (int axis : {0, attrs.channel_axis()}) {
      if (attrs.explicit_before(axis) != 0 || attrs.explicit_after(axis) != 0) {
        return absl::InvalidArgumentError(
            "attr explicit_paddings must be 0 for batch and channels");
      }
    }
  } else if (!attrs.explicit_paddings.empty()) {
    return absl::InvalidArgumentError("attr explicit_paddings goes with padding EXPLICIT only");
  }
  return attrs;
}

absl::StatusOr<WindowSize> SizeWindow(const WindowAttrs& attrs, int axis, int64_t in,
                                      int64_t filter, int64_t stride, int64_t dilation) {
  ASSIGN_OR_RETURN(int64_t reach, CheckedMultiply(std::max<int64_t>(filter - 1, 0), dilation));
  const int64_t effective = reach + 1;
  WindowSize size;
  if (attrs.padding == "SAME") {
    size.out = (in + stride - 1) / stride;
    const int64_t padding = std::max<int64_t>(0, (size.out - 1) * stride + effective - in);
    size.pad_before = padding / 2;
    return size;
  }
  int64_t padded = in;
  if (attrs.padding == "EXPLICIT") {
    size.pad_before = attrs.explicit_before(axis);
    padded += size.pad_before + attrs.explicit_after(axis);
  }
  if (padded < effective) {
    if (in == 0) return size;
    return absl::InvalidArgumentError(
        absl::StrCat("the window of ", effective, " is larger than the padded input of ", padded));
  }
  size.out = (padded - effective) / stride + 1;
  return size;
}

absl::StatusOr<ConvGeometry> ConvGeometry::Make(const WindowAttrs& attrs, const Shape& input,
                                                const Shape& filter) {
  if (input.rank() != 4 || filter.rank() != 4) {
    return absl::InvalidArgumentError(absl::StrCat("input and filter must have rank 4, received ",
                                                   input.ToString(), " and ", filter.ToString()));
  }
  ConvGeometry g;
  g.nchw = attrs.nchw;
  g.batch = input.dim(0);
  g.in_height = input.dim(attrs.height_axis());
  g.in_width = input.dim(attrs.width_axis());
  g.in_channels = input.dim(attrs.channel_axis());
  g.filter_height = filter.dim(0);
  g.filter_width = filter.dim(1);
  g.group_channels = filter.dim(2);
  g.out_channels = filter.dim(3);
  g.stride_height = attrs.stride_height;
  g.stride_width = attrs.stride_width;
  g.dilation_height = attrs.dilation_height;
  g.dilation_width = attrs.dilation_width;
  if (g.filter_height == 0 || g.filter_width == 0) {
    return absl::InvalidArgumentError(absl::StrCat("the filter is empty: ", filter.ToString()));
  }
  const bool divides = g.group_channels > 0 && g.in_channels % g.group_channels == 0;
  if (!divides && g.in_channels != g.group_channels) {
    return absl::InvalidArgumentError(
        absl::StrCat("the filter's input channels must divide the input's ", g.in_channels,
                     ", received filter ", filter.ToString()));
  }
  if (g.groups() > 0 && g.out_channels % g.groups() != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        g.out_channels, " output channels do not divide into ", g.groups(), " groups"));
  }
  ASSIGN_OR_RETURN(WindowSize rows,
                   SizeWindow(attrs, attrs.height_axis(), g.in_height, g.filter_height,
                              g.stride_height, g.dilation_height));
  ASSIGN_OR_RETURN(WindowSize columns,
                   SizeWindow(attrs, attrs.width_axis(), g.in_width, g.filter_width, g.stride_width,
                              g.dilation_width));
  g.out_height = rows.out;
  g.pad_top = rows.pad_before;
  g.out_width = columns.out;
  g.pad_left = columns.pad_before;
  return g;
}

Shape ConvGeometry::InputShape() const {
  return nchw ? Shape{batch, in_channels, in_height, in_width}
              : Shape{batch, in_height, in_width, in_channels};
}

Shape ConvGeometry::OutputShape() const {
  return nchw ? Shape{batch, out_channels, out_height, out_width}
              : Shape{batch, out_height, out_width, out_channels};
}

absl::StatusOr<Shape> ConvOutputShape(const WindowAttrs& attrs, const Shape& input,
                                      const Shape& filter) {
  for (const Shape* shape : {&input, &filter}) {
    if (shape->has_rank() && shape->rank() != 4) {
      return absl::InvalidArgumentError(absl::StrCat("input and filter must have rank 4, received ",
                                                     input.ToString(), " and ", filter.ToString()));
    }
  }
  Shape output = Shape::UnknownOfRank(4);
  if (input.has_rank()) output.set_dim(0, input.dim(0));
  if (filter.has_rank()) output.set_dim(attrs.channel_axis(), filter.dim(3));
  if (!input.has_rank() || !filter.has_rank()) return output;
  const int64_t in_channels = input.dim(attrs.channel_axis());
  if (in_channels >= 0 && filter.dim(2) >= 0 && in_channels != filter.dim(2) &&
      (filter.dim(2) == 0 || in_channels % filter.dim(2) != 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the filter's input channels must divide the input's ", in_channels,
                     ", received filter ", filter.ToString()));
  }
  for (int k = 0; k < 2; ++k) {
    const int axis = k == 0 ? attrs.height_axis() : attrs.width_axis();
    if (input.dim(axis) < 0 || filter.dim(k) < 0) continue;
    ASSIGN_OR_RETURN(WindowSize size,
                     SizeWindow(attrs, axis, input.dim(axis), filter.dim(k),
                                k == 0 ? attrs.stride_height : attrs.stride_width,
                                k == 0 ? attrs.dilation_height : attrs.dilation_width));
    output.set_dim(axis, size.out);
  }
  return output;
}

}  // namespace espalier
