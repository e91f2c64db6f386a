// SpaceToBatch, BatchToSpace, and their forms for any rank. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

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

// The first versions have square blocks over height and width, and their size in an attribute.
Tensor BlockShapeOf(const Node& node) {
  if (node.FindAttr("block_size") == nullptr) return Tensor();
  const auto size = static_cast<int32_t>(std::clamp<int64_t>(node.attr<int64_t>("block_size"), 0,
                                                             std::numeric_limits<int32_t>::max()));
  return I({2}, {size, size});
}

// From space to batch when kToBatch; dimension 0 of the batch side holds (offset in block, batch).
template <typename S, bool kToBatch>
struct SpaceAndBatch {
  explicit SpaceAndBatch(const Node& node) : block_shape(BlockShapeOf(node)) {}
  absl::Status operator()(KernelContext& context) const {
    const Tensor& x = context.input(0);
    const int last = context.num_inputs() - 1;
    ASSIGN_OR_RETURN(Blocks blocks, ReadBlocks(block_shape.valid() ? block_shape : context.input(1),
                                               context.input(last), x.rank()));
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

  Tensor block_shape;  // of the first versions, which have it in an attribute

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
  const Tensor fixed = BlockShapeOf(c.node());
  if (fixed.valid()) RETURN_IF_ERROR(c.WithRank(0, 4));
  const Tensor* sizes = fixed.valid() ? &fixed : c.constant(1);
  const Tensor* around = c.constant(c.num_inputs() - 1);
  if (sizes == nullptr || around == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(Blocks blocks, ReadBlocks(*sizes, *around, c.input(0).rank()));
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

template <bool kToBatch>
void AddSpaceAndBatchV1(OpRegistry& registry, const char* name, const char* doc) {
  const Tensor space = F({1, 2, 2, 1}, {1, 2, 3, 4});
  const Tensor batch = F({4, 1, 1, 1}, {1, 2, 3, 4});
  const Tensor none = I({2, 2}, {0, 0, 0, 0});
  registry.Add(name)
      .Doc(doc)
      .In("input", "T")
      .In(kToBatch ? "paddings" : "crops", kToBatch ? "Tpaddings" : "Tidx")
      .Out("output", "T")
      .TypeAttr("T")
      .TypeAttr(kToBatch ? "Tpaddings" : "Tidx", kIndexDTypes, kInt32)
      .RequiredAttr("block_size", AttrKind::kInt)
      .Minimum(2)
      .Shape(SpaceAndBatchShape<kToBatch>)
      .Kernel(kToBatch ? KernelFactory(MakeMover<SpaceToBatch>)
                       : KernelFactory(MakeMover<BatchToSpace>))
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op(kToBatch ? "BatchToSpace" : "SpaceToBatch", {g.dy(), g.x(1)},
                     {{"block_size", g.node().attr<int64_t>("block_size")}})};
      })
      .Example({.name = "one block",
                .inputs = {kToBatch ? space : batch, none},
                .attrs = {{"block_size", 2}},
                .expected = {kToBatch ? batch : space},
                .constant_inputs = {1}})
      .Example({.name = "around",
                .inputs = {kToBatch ? F({1, 1, 1, 1}, {5}) : F({4, 1, 1, 1}, {0, 5, 0, 0}),
                           kToBatch ? I({2, 2}, {0, 1, 1, 0}) : L({2, 2}, {0, 1, 1, 0})},
                .attrs = {{"block_size", 2}},
                .expected = {kToBatch ? F({4, 1, 1, 1}, {0, 5, 0, 0}) : F({1, 1, 1, 1}, {5})},
                .constant_inputs = {1}})
      .Example({.name = "empty",
                .inputs = {F({0, 2, 2, 1}, {}), none},
                .attrs = {{"block_size", 2}},
                .expected = {kToBatch ? F({0, 1, 1, 1}, {}) : F({0, 4, 4, 1}, {})},
                .constant_inputs = {1}});
}

}  // namespace

void RegisterSpaceToBatch(OpRegistry& registry) {
  AddSpaceAndBatch<true>(registry, "SpaceToBatchND",
                         "Blocks of the spatial dimensions moved into the batch.");
  AddSpaceAndBatch<false>(registry, "BatchToSpaceND", "The inverse of SpaceToBatchND.");
  AddSpaceAndBatchV1<true>(registry, "SpaceToBatch",
                           "Square blocks of an image moved into the batch.");
  AddSpaceAndBatchV1<false>(registry, "BatchToSpace", "The inverse of SpaceToBatch.");
}

}  // namespace espalier
