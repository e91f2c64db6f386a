// Elements moved about: ReverseV2, Roll, SpaceToBatchND and BatchToSpaceND, SpaceToDepth and
// DepthToSpace. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

template <template <typename> class Kernel>
absl::StatusOr<KernelFunction> MakeMover(const Node& node) {
  return DispatchStorage(RemoveRef(node.input(0).dtype()),
                         [&node]<typename S>() -> KernelFunction { return Kernel<S>(node); });
}

// The index in each dimension of linear position i.
void IndexOf(int64_t i, const Shape& shape, std::vector<int64_t>& index) {
  for (int d = shape.rank() - 1; d >= 0; --d) {
    index[d] = i % shape.dim(d);
    i /= shape.dim(d);
  }
}

// y[index] = x[source(index)] for every index of y, where source gives a linear position.
template <typename S, typename Source>
void MoveEach(const KernelContext& context, const Tensor& x, Tensor& y, const Source& source) {
  const Shape& shape = y.shape();
  const S* from = Storage<S>(x);
  S* to = MutableStorage<S>(y);
  context.ParallelFor(y.num_elements(), kElementwiseBlock, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> index(shape.rank());
    for (int64_t i = begin; i < end; ++i) {
      IndexOf(i, shape, index);
      to[i] = from[source(index)];
    }
  });
}

template <typename S>
struct Reverse {
  explicit Reverse(const Node&) {}
  absl::Status operator()(KernelContext& context) const {
    const Tensor& x = context.input(0);
    ASSIGN_OR_RETURN(std::vector<int64_t> axes, IntegerVector(context.input(1), "the axes"));
    std::vector<bool> reversed(x.rank(), false);
    for (const int64_t axis : axes) {
      ASSIGN_OR_RETURN(int64_t normal, NormalizeAxis(axis, x.rank()));
      if (reversed[normal])
        return absl::InvalidArgumentError(absl::StrCat("axis ", axis, " is given twice"));
      reversed[normal] = true;
    }
    const std::vector<int64_t> strides = StridesOf(x.shape());
    ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), x.shape()));
    MoveEach<S>(context, x, y, [&](const std::vector<int64_t>& index) {
      int64_t at = 0;
      for (int d = 0; d < x.rank(); ++d)
        at += strides[d] * (reversed[d] ? x.dim(d) - 1 - index[d] : index[d]);
      return at;
    });
    context.set_output(0, std::move(y));
    return absl::OkStatus();
  }
};

template <typename S>
struct Roll {
  explicit Roll(const Node&) {}
  absl::Status operator()(KernelContext& context) const {
    const Tensor& x = context.input(0);
    ASSIGN_OR_RETURN(std::vector<int64_t> by, IntegerVector(context.input(1), "shift"));
    ASSIGN_OR_RETURN(std::vector<int64_t> axes, IntegerVector(context.input(2), "the axes"));
    if (by.size() != axes.size())
      return absl::InvalidArgumentError("shift and axis must have the same length");
    if (x.rank() < 1) return absl::InvalidArgumentError("the input must be at least a vector");
    std::vector<int64_t> shift(x.rank(), 0);
    for (size_t i = 0; i < axes.size(); ++i) {
      ASSIGN_OR_RETURN(int64_t axis, NormalizeAxis(axes[i], x.rank()));
      const int64_t size = std::max<int64_t>(x.dim(static_cast<int>(axis)), 1);
      shift[axis] = ((shift[axis] + by[i] % size) % size + size) % size;
    }
    const std::vector<int64_t> strides = StridesOf(x.shape());
    ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), x.shape()));
    MoveEach<S>(context, x, y, [&](const std::vector<int64_t>& index) {
      int64_t at = 0;
      for (int d = 0; d < x.rank(); ++d) {
        const int64_t from = index[d] - shift[d];
        at += strides[d] * (from < 0 ? from + x.dim(d) : from);
      }
      return at;
    });
    context.set_output(0, std::move(y));
    return absl::OkStatus();
  }
};

// --- Space and batch, space and depth: all are x reshaped, transposed and reshaped again.

// Blocks of the spatial dimensions, and what is cut off or added around.
struct Blocks {
  std::vector<int64_t> sizes;
  std::vector<std::pair<int64_t, int64_t>> around;
};

absl::StatusOr<Blocks> ReadBlocks(const Tensor& sizes, const Tensor& around, int rank) {
  Blocks blocks;
  ASSIGN_OR_RETURN(blocks.sizes, IntegerVector(sizes, "block_shape"));
  const int64_t count = static_cast<int64_t>(blocks.sizes.size());
  ASSIGN_OR_RETURN(Tensor flat, around.Reshaped({around.num_elements()}));
  ASSIGN_OR_RETURN(std::vector<int64_t> values, IntegerVector(flat, "paddings or crops"));
  if (around.rank() != 2 || static_cast<int64_t>(values.size()) != 2 * count || rank < count + 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("paddings or crops must have shape [", count, ",2], and the input rank over ",
                     count, "; received ", around.shape().ToString(), " and rank ", rank));
  }
  for (int64_t i = 0; i < count; ++i) {
    if (blocks.sizes[i] < 1 || values[2 * i] < 0 || values[2 * i + 1] < 0)
      return absl::InvalidArgumentError("block sizes must be positive, paddings not negative");
    blocks.around.emplace_back(values[2 * i], values[2 * i + 1]);
  }
  return blocks;
}

// From space to batch when kToBatch; dimension 0 of the batch side holds (offset in block, batch).
template <typename S, bool kToBatch>
struct SpaceAndBatch {
  explicit SpaceAndBatch(const Node&) {}
  absl::Status operator()(KernelContext& context) const {
    const Tensor& x = context.input(0);
    ASSIGN_OR_RETURN(Blocks blocks, ReadBlocks(context.input(1), context.input(2), x.rank()));
    Shape shape = x.shape();
    ASSIGN_OR_RETURN(const int64_t batch, OutputShape(blocks, shape));
    ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), shape));
    std::fill_n(MutableStorage<S>(y), y.num_elements(), S{});
    const Tensor& space = kToBatch ? x : y;
    const Shape& batched = kToBatch ? shape : x.shape();
    // Walk over the batch side: each of its elements has one place in space, perhaps outside.
    const std::vector<int64_t> strides = StridesOf(space.shape());
    const S* from = Storage<S>(x);
    S* to = MutableStorage<S>(y);
    std::vector<int64_t> index(batched.rank());
    const int64_t total = batched.num_elements();
    for (int64_t i = 0; i < total; ++i) {
      IndexOf(i, batched, index);
      int64_t offset = batch == 0 ? 0 : index[0] / batch;
      int64_t at = (batch == 0 ? 0 : index[0] % batch) * strides[0];
      bool inside = true;
      for (int d = static_cast<int>(blocks.sizes.size()); d > 0; --d) {
        const int64_t block = blocks.sizes[d - 1];
        const int64_t place = index[d] * block + offset % block - blocks.around[d - 1].first;
        offset /= block;
        inside = inside && place >= 0 && place < space.dim(d);
        at += place * strides[d];
      }
      for (int d = static_cast<int>(blocks.sizes.size()) + 1; d < batched.rank(); ++d)
        at += index[d] * strides[d];
      if (!inside) continue;
      if constexpr (kToBatch) {
        to[i] = from[at];
      } else {
        to[at] = from[i];
      }
    }
    context.set_output(0, std::move(y));
    return absl::OkStatus();
  }

  // Makes `shape`, the input's, the output's; returns the batch on the side of space.
  static absl::StatusOr<int64_t> OutputShape(const Blocks& blocks, Shape& shape) {
    int64_t product = 1;
    for (const int64_t block : blocks.sizes) {
      ASSIGN_OR_RETURN(product, CheckedMultiply(product, block));
    }
    if (!kToBatch && shape.dim(0) % product != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("batch ", shape.dim(0), " does not divide by the blocks' ", product));
    }
    const int64_t batch = kToBatch ? shape.dim(0) : shape.dim(0) / product;
    ASSIGN_OR_RETURN(const int64_t batched, CheckedMultiply(batch, product));
    shape.set_dim(0, kToBatch ? batched : batch);
    for (size_t i = 0; i < blocks.sizes.size(); ++i) {
      const int d = static_cast<int>(i) + 1;
      const auto [before, after] = blocks.around[i];
      const int64_t block = blocks.sizes[i];
      if (kToBatch) {
        const int64_t padded = shape.dim(d) + before + after;
        if (padded % block != 0) {
          return absl::InvalidArgumentError(absl::StrCat(
              "padded dimension ", d, " of size ", padded, " does not divide by block ", block));
        }
        shape.set_dim(d, padded / block);
      } else {
        const int64_t cropped = shape.dim(d) * block - before - after;
        if (cropped < 0) {
          return absl::InvalidArgumentError(
              absl::StrCat("crops ", before, ", ", after, " are over dimension ", d));
        }
        shape.set_dim(d, cropped);
      }
    }
    return batch;
  }
};
template <typename S>
using SpaceToBatch = SpaceAndBatch<S, true>;
template <typename S>
using BatchToSpace = SpaceAndBatch<S, false>;

template <bool kToBatch>
absl::Status SpaceAndBatchShape(InferenceContext& c) {
  if (!c.input(0).has_rank()) return absl::OkStatus();
  c.set_output(0, Shape::UnknownOfRank(c.input(0).rank()));
  const auto sizes = c.constant_ints(1);
  const auto around = c.constant_ints(2);
  if (!sizes || !around) return absl::OkStatus();
  ASSIGN_OR_RETURN(Blocks blocks, ReadBlocks(*c.constant(1), *c.constant(2), c.input(0).rank()));
  Shape shape = c.input(0);
  Shape known = shape;  // unknown dimensions as if of one block, to check and compute the others
  int64_t product = 1;
  for (const int64_t block : blocks.sizes) product *= block;
  for (int d = 0; d < shape.rank(); ++d) {
    if (shape.dim(d) >= 0) continue;
    const bool blocked = d > 0 && d <= static_cast<int>(blocks.sizes.size());
    int64_t stand_in = d == 0 ? product : 1;
    if (blocked) {
      const auto [before, after] = blocks.around[d - 1];
      const int64_t block = blocks.sizes[d - 1];
      stand_in =
          kToBatch ? (before + after + block) / block * block - before - after : before + after + 1;
      if (stand_in < 0) stand_in += block;
    }
    known.set_dim(d, stand_in);
  }
  RETURN_IF_ERROR((SpaceAndBatch<uint8_t, kToBatch>::OutputShape(blocks, known).status()));
  for (int d = 0; d < shape.rank(); ++d) shape.set_dim(d, shape.dim(d) < 0 ? -1 : known.dim(d));
  c.set_output(0, shape);
  return absl::OkStatus();
}

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
      shape.set_dim(d, x.dim(d) < 0 ? -1 : x.dim(d) / down * up);
      return absl::OkStatus();
    };
    for (const int d : {nchw ? 2 : 1, nchw ? 3 : 2})
      RETURN_IF_ERROR(kToDepth ? scale(d, 1, block) : scale(d, block, 1));
    RETURN_IF_ERROR(kToDepth ? scale(c, block * block, 1) : scale(c, 1, block * block));
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

template <bool kToBatch>
void AddSpaceAndBatch(OpRegistry& registry, const char* name, const char* doc) {
  const Tensor space = F({1, 2, 2, 1}, {1, 2, 3, 4});
  const Tensor batch = F({4, 1, 1, 1}, {1, 2, 3, 4});
  const Tensor blocks = I({2}, {2, 2});
  const Tensor none = I({2, 2}, {0, 0, 0, 0});
  const Tensor wide = F({1, 3}, {1, 2, 3});
  const Tensor folded = F({2, 2}, {0, 2, 1, 3});
  registry.Add(name)
      .Doc(doc)
      .In("input", "T")
      .In("block_shape", "Tblock_shape")
      .In(kToBatch ? "paddings" : "crops", kToBatch ? "Tpaddings" : "Tcrops")
      .Out("output", "T")
      .TypeAttr("T")
      .TypeAttr("Tblock_shape", kIndexDTypes, kInt32)
      .TypeAttr(kToBatch ? "Tpaddings" : "Tcrops", kIndexDTypes, kInt32)
      .Shape(SpaceAndBatchShape<kToBatch>)
      .Kernel(kToBatch ? KernelFactory(MakeMover<SpaceToBatch>)
                       : KernelFactory(MakeMover<BatchToSpace>))
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op(kToBatch ? "BatchToSpaceND" : "SpaceToBatchND", {g.dy(), g.x(1), g.x(2)})};
      })
      .Example({.name = "squares",
                .inputs = {kToBatch ? space : batch, blocks, none},
                .expected = {kToBatch ? batch : space},
                .constant_inputs = {1, 2}})
      .Example({.name = "one padded dimension",
                .inputs = {kToBatch ? wide : folded, I({1}, {2}), I({1, 2}, {1, 0})},
                .expected = {kToBatch ? folded : wide}})
      .Example({.name = "empty",
                .inputs = {F({0, 2}, {}), I({1}, {2}), I({1, 2}, {0, 0})},
                .expected = {kToBatch ? F({0, 1}, {}) : F({0, 4}, {})}});
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

void RegisterShuffle(OpRegistry& registry) {
  const Tensor m = F({2, 3}, {1, 2, 3, 4, 5, 6});
  registry.Add("ReverseV2")
      .Doc("The tensor reversed along axes.")
      .In("tensor", "T")
      .In("axis", "Tidx")
      .Out("output", "T")
      .TypeAttr("Tidx", kIndexDTypes, kInt32)
      .TypeAttr("T")
      .Shape(UnchangedShape)
      .Kernel(MakeMover<Reverse>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("ReverseV2", {g.dy(), g.x(1)})};
      })
      .Example({.name = "columns",
                .inputs = {m, I({1}, {1})},
                .expected = {F({2, 3}, {3, 2, 1, 6, 5, 4})}})
      .Example({.name = "both",
                .inputs = {m, L({2}, {0, -1})},
                .expected = {F({2, 3}, {6, 5, 4, 3, 2, 1})}})
      .Example({.name = "empty", .inputs = {F({0}, {}), I({1}, {0})}, .expected = {F({0}, {})}});
  registry.Add("Roll")
      .Doc(
          "The tensor with elements shifted along axes; what leaves at one end enters at the "
          "other.")
      .In("input", "T")
      .In("shift", "Tshift")
      .In("axis", "Taxis")
      .Out("output", "T")
      .TypeAttr("T")
      .TypeAttr("Tshift", kIndexDTypes)
      .TypeAttr("Taxis", kIndexDTypes)
      .Shape(UnchangedShape)
      .Kernel(MakeMover<Roll>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("Roll", {g.dy(), -g(g.x(1)), g.x(2)})};
      })
      .Example({.name = "columns",
                .inputs = {m, I({}, {1}), I({}, {1})},
                .expected = {F({2, 3}, {3, 1, 2, 6, 4, 5})}})
      .Example({.name = "back", .inputs = {m, I({2}, {-1, 3}), L({2}, {0, 0})}, .expected = {m}})
      .Example({.name = "empty",
                .inputs = {F({0}, {}), I({}, {1}), I({}, {0})},
                .expected = {F({0}, {})}});
  AddSpaceAndBatch<true>(registry, "SpaceToBatchND",
                         "Blocks of the spatial dimensions moved into the batch.");
  AddSpaceAndBatch<false>(registry, "BatchToSpaceND", "The inverse of SpaceToBatchND.");
  AddSpaceAndDepth<true>(registry, "SpaceToDepth",
                         "Blocks of rows and columns moved into the channels.");
  AddSpaceAndDepth<false>(registry, "DepthToSpace", "The inverse of SpaceToDepth.");
}

}  // namespace espalier
