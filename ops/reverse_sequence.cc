// ReverseSequence. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

struct Axes {
  int64_t batch = 0;
  int64_t sequence = 0;
};

absl::StatusOr<Axes> AxesOf(const Node& node, int rank) {
  const int64_t batch = node.attr<int64_t>("batch_dim"), sequence = node.attr<int64_t>("seq_dim");
  const auto inside = [&](int64_t axis) { return axis >= 0 && axis < rank; };
  if (inside(batch) && inside(sequence) && batch != sequence) return Axes{batch, sequence};
  return absl::InvalidArgumentError(absl::StrCat("batch_dim ", batch, " and seq_dim ", sequence,
                                                 " must be two dimensions of an input of rank ",
                                                 rank));
}

template <typename S>
absl::Status Reverse(KernelContext& context) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(const Axes axes, AxesOf(context.node(), x.rank()));
  const auto batch = static_cast<int>(axes.batch), sequence = static_cast<int>(axes.sequence);
  const Indices lengths(context.input(1));
  if (!(context.input(1).shape() == Shape{x.dim(batch)})) {
    return absl::InvalidArgumentError(absl::StrCat("seq_lengths must have shape [", x.dim(batch),
                                                   "], received ",
                                                   context.input(1).shape().ToString()));
  }
  RETURN_IF_ERROR(lengths.Check(x.dim(sequence) + 1, "seq_lengths"));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), x.shape()));
  const std::vector<int64_t> strides = StridesOf(x.shape());
  const S* from = Storage<S>(x);
  S* to = MutableStorage<S>(y);
  context.ParallelFor(x.num_elements(), kElementwiseBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t step = i / strides[sequence] % x.dim(sequence);
      const int64_t length = lengths[i / strides[batch] % x.dim(batch)];
      const int64_t source = step < length ? length - 1 - step : step;
      to[i] = from[i + (source - step) * strides[sequence]];
    }
  });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::Status ReverseShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(1, 1));
  if (c.input(0).has_rank()) RETURN_IF_ERROR(AxesOf(c.node(), c.input(0).rank()).status());
  c.set_output(0, c.input(0));
  return absl::OkStatus();
}

}  // namespace

void RegisterReverseSequence(OpRegistry& registry) {
  const Tensor x = F({2, 3}, {1, 2, 3, 4, 5, 6});
  registry.Add("ReverseSequence")
      .Doc("The first seq_lengths[b] steps along seq_dim reversed, for each b along batch_dim.")
      .In("input", "T")
      .In("seq_lengths", "Tlen")
      .Out("output", "T")
      .RequiredAttr("seq_dim", AttrKind::kInt)
      .Attr("batch_dim", 0)
      .TypeAttr("T")
      .TypeAttr("Tlen", kIndexDTypes, kInt64)
      .Shape(ReverseShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchStorage(RemoveRef(node.input(0).dtype()),
                               []<typename S>() -> KernelFunction { return Reverse<S>; });
      })
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("ReverseSequence", {g.dy(), g.x(1)},
                     {{"seq_dim", g.node().attr<int64_t>("seq_dim")},
                      {"batch_dim", g.node().attr<int64_t>("batch_dim")}})};
      })
      .Example({.name = "rows",
                .inputs = {x, I({2}, {2, 3})},
                .attrs = {{"seq_dim", 1}},
                .expected = {F({2, 3}, {2, 1, 3, 6, 5, 4})}})
      .Example({.name = "columns",
                .inputs = {x, L({3}, {0, 1, 2})},
                .attrs = {{"seq_dim", 0}, {"batch_dim", 1}},
                .expected = {F({2, 3}, {1, 2, 6, 4, 5, 3})}})
      .Example({.name = "empty",
                .inputs = {F({0, 3}, {}), L({0}, {})},
                .attrs = {{"seq_dim", 1}},
                .expected = {F({0, 3}, {})}});
}

}  // namespace espalier
