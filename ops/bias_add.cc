// BiasAdd, BiasAddV1 and BiasAddGrad. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/channel_map.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/reduce.h"

namespace espalier {
namespace {

struct Plus {
  auto operator()(auto x, auto y) const { return WrapAdd(x, y); }
};

int ChannelAxis(bool nchw, int rank) { return nchw && rank > 2 ? 1 : rank - 1; }

template <typename T>
absl::Status AddBias(KernelContext& context, bool nchw) {
  const Tensor& x = context.input(0);
  const Tensor& bias = context.input(1);
  if (x.rank() < 2 || bias.rank() != 1 || bias.dim(0) != x.dim(ChannelAxis(nchw, x.rank()))) {
    return absl::InvalidArgumentError(
        absl::StrCat("the bias must be a vector as long as the channels of value ",
                     x.shape().ToString(), ", received ", bias.shape().ToString()));
  }
  Shape spread = bias.shape();
  for (int i = ChannelAxis(nchw, x.rank()) + 1; i < x.rank(); ++i) spread.push_back(1);
  ASSIGN_OR_RETURN(BroadcastLoop loop, BroadcastLoop::Make(x.shape(), spread));
  ASSIGN_OR_RETURN(Tensor y, context.ForwardOrAllocate(0, x.shape()));
  BroadcastRun<T, T, Plus>(context, loop, x.data<T>(), bias.data<T>(), y.mutable_data<T>());
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <typename T>
absl::Status SumBias(KernelContext& context, bool nchw) {
  const Tensor& dy = context.input(0);
  if (dy.rank() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("out_backprop must have rank 2 or more, received ", dy.shape().ToString()));
  }
  std::vector<int64_t> axes;
  for (int i = 0; i < dy.rank(); ++i) {
    if (i != ChannelAxis(nchw, dy.rank())) axes.push_back(i);
  }
  ASSIGN_OR_RETURN(ReductionLayout layout, ReductionLayout::Make(dy.shape(), axes, false));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, layout.output));
  std::vector<ComputeType<T>> sums(y.num_elements());
  ReduceInto<SumOf>(context, dy.data<T>(), layout, sums.data());
  for (size_t i = 0; i < sums.size(); ++i) y.mutable_data<T>()[i] = static_cast<T>(sums[i]);
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <bool kGrad>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  const bool nchw = node.attr<std::string>("data_format") == "NCHW";
  return DispatchType(ArithmeticTypes(), RemoveRef(node.input(0).dtype()),
                      [nchw]<typename T>() -> KernelFunction {
                        return [nchw](KernelContext& context) {
                          return kGrad ? SumBias<T>(context, nchw) : AddBias<T>(context, nchw);
                        };
                      });
}

absl::Status BiasAddShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRankAtLeast(0, 2));
  RETURN_IF_ERROR(c.WithRank(1, 1));
  const bool nchw = c.node().attr<std::string>("data_format") == "NCHW";
  Shape shape = c.input(0);
  if (shape.has_rank()) {
    const int axis = ChannelAxis(nchw, shape.rank());
    const int64_t bias = c.dim(1, 0);
    if (shape.dim(axis) >= 0 && bias >= 0 && shape.dim(axis) != bias) {
      return absl::InvalidArgumentError(
          absl::StrCat("the bias must be as long as the channels of value ", shape.ToString(),
                       ", received ", c.input(1).ToString()));
    }
    if (shape.dim(axis) < 0) shape.set_dim(axis, bias);
  }
  c.set_output(0, shape);
  return absl::OkStatus();
}

absl::Status BiasAddGradShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRankAtLeast(0, 2));
  const bool nchw = c.node().attr<std::string>("data_format") == "NCHW";
  c.set_output(0,
               {c.input(0).has_rank() ? c.input(0).dim(ChannelAxis(nchw, c.input(0).rank())) : -1});
  return absl::OkStatus();
}

AttrMap Format(const Node& node) {
  return {{"data_format", node.attr<std::string>("data_format")}};
}

std::vector<Output> BiasAddGradient(const GradientContext& g) {
  return {g.dy(), g.Op("BiasAddGrad", {g.dy()}, Format(g.node()))};
}

std::vector<Output> BiasAddGradGradient(const GradientContext& g) {
  return {g.Op("BiasAdd", {g.Op("ZerosLike", {g.x(0)}), g.dy()}, Format(g.node()))};
}

std::optional<ChannelMap> BiasChannelMap(const Node&, absl::Span<const Tensor* const> constants) {
  if (constants[1] == nullptr) return std::nullopt;
  std::vector<double> bias = AsDoubles(*constants[1]);
  if (bias.empty()) return std::nullopt;
  return ChannelMap{
      .input = 0, .scale = std::vector<double>(bias.size(), 1), .offset = std::move(bias)};
}

}  // namespace

void RegisterBiasAdd(OpRegistry& registry) {
  registry.Add("BiasAddV1")
      .Doc("BiasAdd by its older form: the channels are last.")
      .In("value", "T")
      .In("bias", "T")
      .Out("output", "T")
      .TypeAttr("T", kArithmeticDTypes)
      .Shape(BiasAddShape)
      .Kernel(Make<false>)
      .ChannelMap(BiasChannelMap)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.dy(), g.Op("BiasAddGrad", {g.dy()})};
      })
      .Example({.name = "matrix",
                .inputs = {F({2, 2}, {1, 2, 3, 4}), F({2}, {10, 20})},
                .expected = {F({2, 2}, {11, 22, 13, 24})}})
      .Example(
          {.name = "row", .inputs = {F({1, 1}, {1}), F({1}, {2})}, .expected = {F({1, 1}, {3})}})
      .Example({.name = "empty",
                .inputs = {F({0, 2}, {}), F({2}, {10, 20})},
                .expected = {F({0, 2}, {})}});
  registry.Add("BiasAdd")
      .Doc("Adds a vector to each pixel: one number a channel.")
      .In("value", "T")
      .In("bias", "T")
      .Out("output", "T")
      .TypeAttr("T", kArithmeticDTypes)
      .StringAttr("data_format", {"NHWC", "NCHW"}, "NHWC")
      .Shape(BiasAddShape)
      .Kernel(Make<false>)
      .ChannelMap(BiasChannelMap)
      .Gradient(BiasAddGradient)
      .Example({.name = "matrix",
                .inputs = {F({2, 2}, {1, 2, 3, 4}), F({2}, {10, 20})},
                .expected = {F({2, 2}, {11, 22, 13, 24})}})
      .Example({.name = "NCHW",
                .inputs = {F({1, 2, 1, 2}, {1, 2, 3, 4}), F({2}, {10, 20})},
                .attrs = {{"data_format", "NCHW"}},
                .expected = {F({1, 2, 1, 2}, {11, 12, 23, 24})}})
      .Example({.name = "empty",
                .inputs = {F({0, 2}, {}), F({2}, {10, 20})},
                .expected = {F({0, 2}, {})}});
  registry.Add("BiasAddGrad")
      .Doc("The sum over all but the channels.")
      .In("out_backprop", "T")
      .Out("output", "T")
      .TypeAttr("T", kArithmeticDTypes)
      .StringAttr("data_format", {"NHWC", "NCHW"}, "NHWC")
      .Shape(BiasAddGradShape)
      .Kernel(Make<true>)
      .Gradient(BiasAddGradGradient)
      .Example(
          {.name = "matrix", .inputs = {F({2, 2}, {1, 2, 3, 4})}, .expected = {F({2}, {4, 6})}})
      .Example({.name = "NCHW",
                .inputs = {F({2, 2, 1, 2}, {1, 2, 3, 4, 5, 6, 7, 8})},
                .attrs = {{"data_format", "NCHW"}},
                .expected = {F({2}, {14, 22})}})
      .Example({.name = "empty", .inputs = {F({0, 2}, {})}, .expected = {F({2}, {0, 0})}});
}

}  // namespace espalier
