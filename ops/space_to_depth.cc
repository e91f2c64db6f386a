// SpaceToDepth and DepthToSpace. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

// Depth: [batch, h, w, c] and [batch, h / b, w / b, b b c]; NCHW alike, with its channels in front.
template <typename S, bool kToDepth>
struct SpaceAndDepth {
  explicit SpaceAndDepth(const Node& node)
      : block(node.attr<int64_t>("block_size")),
        nchw(node.attr<std::string>("data_format") == "NCHW") {}
  absl::Status operator()(KernelContext& context) const {
    const Tensor& x = context.input(0);
    ASSIGN_OR_RETURN(Shape shape, OutputShape(x.shape(), block, nchw));
    ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), shape));
    const int h = nchw ? 2 : 1, w = nchw ? 3 : 2, c = nchw ? 1 : 3;
    const std::vector<int64_t> strides = StridesOf(x.shape());
    const int64_t depth = kToDepth ? x.dim(c) : shape.dim(c);
    MoveEach<S>(context, x, y, [&](const std::vector<int64_t>& index) {
      int64_t row = 0, column = 0, channel = 0;
      if (kToDepth) {
        const int64_t offset = index[c] / depth;
        channel = index[c] % depth;
        row = index[h] * block + offset / block;
        column = index[w] * block + offset % block;
      } else {
        channel = ((index[h] % block) * block + index[w] % block) * depth + index[c];
        row = index[h] / block;
        column = index[w] / block;
      }
      return index[0] * strides[0] + row * strides[h] + column * strides[w] + channel * strides[c];
    });
    context.set_output(0, std::move(y));
    return absl::OkStatus();
  }

  static absl::StatusOr<Shape> OutputShape(const Shape& x, int64_t block, bool nchw) {
    if (x.rank() != 4) return absl::InvalidArgumentError("the input must have rank 4");
    Shape shape = x;
    const int c = nchw ? 1 : 3;
    const auto scale = [&](int d, int64_t up, int64_t down) {
      if (x.dim(d) >= 0 && x.dim(d) % down != 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("dimension ", d, " of ", x.ToString(), " does not divide by ", down));
      }
      if (x.dim(d) < 0) return absl::OkStatus();
      ASSIGN_OR_RETURN(const int64_t scaled, CheckedMultiply(x.dim(d) / down, up));
      shape.set_dim(d, scaled);
      return absl::OkStatus();
    };
    ASSIGN_OR_RETURN(const int64_t area, CheckedMultiply(block, block));
    for (const int d : {nchw ? 2 : 1, nchw ? 3 : 2})
      RETURN_IF_ERROR(kToDepth ? scale(d, 1, block) : scale(d, block, 1));
    RETURN_IF_ERROR(kToDepth ? scale(c, area, 1) : scale(c, 1, area));
    return shape;
  }

  int64_t block;
  bool nchw;
};
template <typename S>
using SpaceToDepth = SpaceAndDepth<S, true>;
template <typename S>
using DepthToSpace = SpaceAndDepth<S, false>;

template <bool kToDepth>
absl::Status SpaceAndDepthShape(InferenceContext& c) {
  if (!c.input(0).has_rank()) return absl::OkStatus();
  const bool nchw = c.node().attr<std::string>("data_format") == "NCHW";
  ASSIGN_OR_RETURN(Shape shape, (SpaceAndDepth<uint8_t, kToDepth>::OutputShape(
                                    c.input(0), c.node().attr<int64_t>("block_size"), nchw)));
  c.set_output(0, shape);
  return absl::OkStatus();
}

template <bool kToDepth>
void AddSpaceAndDepth(OpRegistry& registry, const char* name, const char* doc) {
  const Tensor space = F({1, 2, 2, 1}, {1, 2, 3, 4});
  const Tensor depth = F({1, 1, 1, 4}, {1, 2, 3, 4});
  const Tensor space_nchw = F({1, 1, 2, 2}, {1, 2, 3, 4});
  const Tensor depth_nchw = F({1, 4, 1, 1}, {1, 2, 3, 4});
  registry.Add(name)
      .Doc(doc)
      .In("input", "T")
      .Out("output", "T")
      .TypeAttr("T")
      .RequiredAttr("block_size", AttrKind::kInt)
      .Minimum(2)
      .StringAttr("data_format", {"NHWC", "NCHW"}, "NHWC")
      .Shape(SpaceAndDepthShape<kToDepth>)
      .Kernel(kToDepth ? KernelFactory(MakeMover<SpaceToDepth>)
                       : KernelFactory(MakeMover<DepthToSpace>))
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op(kToDepth ? "DepthToSpace" : "SpaceToDepth", {g.dy()},
                     {{"block_size", g.node().attr<int64_t>("block_size")},
                      {"data_format", g.node().attr<std::string>("data_format")}})};
      })
      .Example({.name = "NHWC",
                .inputs = {kToDepth ? space : depth},
                .attrs = {{"block_size", 2}},
                .expected = {kToDepth ? depth : space}})
      .Example({.name = "NCHW",
                .inputs = {kToDepth ? space_nchw : depth_nchw},
                .attrs = {{"block_size", 2}, {"data_format", "NCHW"}},
                .expected = {kToDepth ? depth_nchw : space_nchw}})
      .Example({.name = "empty",
                .inputs = {kToDepth ? F({0, 2, 2, 1}, {}) : F({0, 1, 1, 4}, {})},
                .attrs = {{"block_size", 2}},
                .expected = {kToDepth ? F({0, 1, 1, 4}, {}) : F({0, 2, 2, 1}, {})}});
}

}  // namespace

void RegisterSpaceToDepth(OpRegistry& registry) {
  AddSpaceAndDepth<true>(registry, "SpaceToDepth",
                         "Blocks of rows and columns moved into the channels.");
  AddSpaceAndDepth<false>(registry, "DepthToSpace", "The inverse of SpaceToDepth.");
}

}  // namespace espalier
