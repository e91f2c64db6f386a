// MaxPool, its gradient and the gradient of that, with the window in attributes or (V2) in inputs.
// Tested by the registry test.
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/pooling.h"

namespace espalier {
namespace {

template <typename T>
absl::Status Largest(KernelContext& context, const PoolAttrs& attrs) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(Pool pool, Pool::Make(attrs, x.shape()));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, pool.output));
  const T* in = x.data<T>();
  T* out = y.mutable_data<T>();
  context.ParallelFor(pool.batch, 1, [&](int64_t n, int64_t) {
    pool.ForEachWindow(n,
                       [&](int64_t o, int64_t h0, int64_t h1, int64_t w0, int64_t w1, int64_t c) {
                         const int64_t at = pool.Largest(in, n, h0, h1, w0, w1, c);
                         out[o] = at < 0 ? std::numeric_limits<T>::lowest() : in[at];
                       });
  });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <typename T>
absl::Status Backward(KernelContext& context, const PoolAttrs& attrs) {
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

// What arrived at the largest element of each window.
template <typename T>
absl::Status SecondBackward(KernelContext& context, const PoolAttrs& attrs) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(Pool pool, Pool::Make(attrs, x.shape()));
  RETURN_IF_ERROR(CheckOutputShape(pool, context.input(1), "orig_output"));
  if (!(context.input(2).shape() == x.shape())) {
    return absl::InvalidArgumentError(absl::StrCat("grad must have shape ", x.shape().ToString(),
                                                   ", that of orig_input, received ",
                                                   context.input(2).shape().ToString()));
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, pool.output));
  const T* in = x.data<T>();
  const T* arrived = context.input(2).data<T>();
  T* out = y.mutable_data<T>();
  context.ParallelFor(pool.batch, 1, [&](int64_t n, int64_t) {
    pool.ForEachWindow(n,
                       [&](int64_t o, int64_t h0, int64_t h1, int64_t w0, int64_t w1, int64_t c) {
                         const int64_t at = pool.Largest(in, n, h0, h1, w0, w1, c);
                         out[o] = at < 0 ? T(0) : arrived[at];
                       });
  });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

struct LargestKernel {
  template <typename T>
  static absl::Status Run(KernelContext& context, const PoolAttrs& attrs) {
    return Largest<T>(context, attrs);
  }
};
struct BackwardKernel {
  template <typename T>
  static absl::Status Run(KernelContext& context, const PoolAttrs& attrs) {
    return Backward<T>(context, attrs);
  }
};
struct SecondKernel {
  template <typename T>
  static absl::Status Run(KernelContext& context, const PoolAttrs& attrs) {
    return SecondBackward<T>(context, attrs);
  }
};

template <typename Kernel>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  ASSIGN_OR_RETURN(PoolAttrs attrs, PoolAttrs::Make(node));
  return DispatchType(
      ArithmeticTypes(), node.attr<DType>("T"), [attrs]<typename T>() -> KernelFunction {
        return [attrs](KernelContext& context) { return Kernel::template Run<T>(context, attrs); };
      });
}

// ksize and strides are the last two inputs.
template <typename Kernel>
absl::StatusOr<KernelFunction> MakeV2(const Node& node) {
  return DispatchType(ArithmeticTypes(), node.attr<DType>("T"), []<typename T>() -> KernelFunction {
    return [](KernelContext& context) -> absl::Status {
      const int last = context.num_inputs() - 1;
      ASSIGN_OR_RETURN(std::vector<int64_t> ksize, IntegerVector(context.input(last - 1), "ksize"));
      ASSIGN_OR_RETURN(std::vector<int64_t> strides, IntegerVector(context.input(last), "strides"));
      ASSIGN_OR_RETURN(WindowAttrs window, WindowAttrs::Make(context.node(), strides));
      ASSIGN_OR_RETURN(PoolAttrs attrs, PoolAttrs::Make(window, ksize));
      return Kernel::template Run<T>(context, attrs);
    };
  });
}

// The window of a V2 op, when the graph fixes it.
absl::Status PoolShapeV2(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(0, 4));
  c.set_output(0, Shape::UnknownOfRank(4));
  const auto ksize = c.constant_ints(c.num_inputs() - 2);
  const auto strides = c.constant_ints(c.num_inputs() - 1);
  if (!ksize || !strides || !c.input(0).has_rank()) return absl::OkStatus();
  ASSIGN_OR_RETURN(WindowAttrs window, WindowAttrs::Make(c.node(), *strides));
  ASSIGN_OR_RETURN(PoolAttrs attrs, PoolAttrs::Make(window, *ksize));
  return PooledShape(c, attrs);
}

OpSchema& AddV2Attrs(OpSchema& op) {
  return op.In("ksize", kInt32)
      .In("strides", kInt32)
      .Out("output", "T")
      .TypeAttr("T", kArithmeticDTypes)
      .StringAttr("padding", {"SAME", "VALID"})
      .StringAttr("data_format", {"NHWC", "NCHW"}, "NHWC");
}

// Another op of the family over the same windows; in V2 their sizes are inputs 3 and 4 of the
// gradient ops.
template <bool kV2>
Output Kin(const GradientContext& g, const char* op, std::vector<Output> inputs) {
  if (!kV2) return g.Op(op, inputs, PoolAttrMap(g.node()));
  const int last = g.node().num_inputs() - 1;
  inputs.push_back(g.x(last - 1));
  inputs.push_back(g.x(last));
  return g.Op(absl::StrCat(op, "V2").c_str(), inputs,
              {{"padding", *g.node().FindAttr("padding")},
               {"data_format", *g.node().FindAttr("data_format")}});
}
template <bool kV2>
std::vector<Output> PoolGradient(const GradientContext& g) {
  return {Kin<kV2>(g, "MaxPoolGrad", {g.x(0), g.y(0), g.dy()})};
}
// Where the largest elements are does not change: only the third input has a gradient.
template <bool kV2>
std::vector<Output> BackwardGradient(const GradientContext& g) {
  return {g.Op("ZerosLike", {g.x(0)}), g.Op("ZerosLike", {g.x(1)}),
          Kin<kV2>(g, "MaxPoolGradGrad", {g.x(0), g.x(1), g.dy()})};
}
template <bool kV2>
std::vector<Output> SecondGradient(const GradientContext& g) {
  return {g.Op("ZerosLike", {g.x(0)}), g.Op("ZerosLike", {g.x(1)}),
          Kin<kV2>(g, "MaxPoolGrad", {g.x(0), g.x(1), g.dy()})};
}

AttrMap Window(int64_t size, int64_t stride, const char* padding) {
  return {{"ksize", std::vector<int64_t>{1, size, size, 1}},
          {"strides", std::vector<int64_t>{1, stride, stride, 1}},
          {"padding", padding}};
}

// The examples' image, its largest elements by windows of 2 x 2, and the same without a batch.
struct ExampleTensors {
  Tensor image = F({1, 3, 3, 1}, {1, 8, 3, 4, 5, 6, 7, 2, 9});
  Tensor largest = F({1, 2, 2, 1}, {8, 8, 7, 9});
  Tensor none = F({0, 3, 3, 1}, {});
  Tensor no_output = F({0, 2, 2, 1}, {});
};

void AddV2(OpRegistry& registry) {
  const ExampleTensors example;
  const Tensor ksize = I({4}, {1, 2, 2, 1}), strides = I({4}, {1, 1, 1, 1});
  const AttrMap valid = {{"padding", "VALID"}};
  const Tensor dy = F({1, 2, 2, 1}, {1, 2, 3, 4});
  const auto add = [&](OpSchema& op, const Tensor& largest, const Tensor& third,
                       const Tensor& expected, const Tensor& no_third, const Tensor& nothing) {
    const auto inputs = [&](const Tensor& x, const Tensor& y, const Tensor& z, const Tensor& k) {
      std::vector<Tensor> all = {x};
      if (third.valid()) all.insert(all.end(), {y, z});
      all.insert(all.end(), {k, strides});
      return all;
    };
    const bool smooth = !third.valid();
    op.Example({.name = "valid",
                .inputs = inputs(example.image, largest, third, ksize),
                .attrs = valid,
                .expected = {expected},
                .check_gradient = smooth})
        .Example({.name = "one by one",
                  .inputs = inputs(example.image, example.image, example.image, strides),
                  .attrs = valid,
                  .expected = {example.image},
                  .check_gradient = smooth})
        .Example({.name = "empty",
                  .inputs = inputs(example.none, example.no_output, no_third, ksize),
                  .attrs = valid,
                  .expected = {nothing},
                  .check_gradient = smooth});
  };
  add(AddV2Attrs(registry.Add("MaxPoolV2")
                     .Doc("The largest of each window, whose size and steps are inputs.")
                     .In("input", "T"))
          .Shape(PoolShapeV2)
          .Kernel(MakeV2<LargestKernel>)
          .Gradient(PoolGradient<true>),
      example.largest, Tensor(), example.largest, example.no_output, example.no_output);
  add(AddV2Attrs(registry.Add("MaxPoolGradV2")
                     .Doc("The gradient of MaxPoolV2: to the largest of each window.")
                     .In("orig_input", "T")
                     .In("orig_output", "T")
                     .In("grad", "T"))
          .Shape(UnchangedShape)
          .Kernel(MakeV2<BackwardKernel>)
          .Gradient(BackwardGradient<true>),
      example.largest, dy, F({1, 3, 3, 1}, {0, 3, 0, 0, 0, 0, 3, 0, 4}), example.no_output,
      example.none);
  add(AddV2Attrs(registry.Add("MaxPoolGradGradV2")
                     .Doc("The gradient of MaxPoolGradV2 by what arrived.")
                     .In("orig_input", "T")
                     .In("orig_output", "T")
                     .In("grad", "T"))
          .Shape(PoolShapeV2)
          .Kernel(MakeV2<SecondKernel>)
          .Gradient(SecondGradient<true>),
      example.largest, example.image, example.largest, example.none, example.no_output);
}

}  // namespace

void RegisterMaxPool(OpRegistry& registry) {
  const ExampleTensors example;
  const Tensor two = F({1, 2, 2, 2}, {1, 8, 3, 4, 5, 6, 7, 2});
  AddPoolAttrs(registry.Add("MaxPool")
                   .Doc("The largest of each window.")
                   .In("input", "T")
                   .Out("output", "T"),
               true, kArithmeticDTypes)
      .Shape(PoolShape)
      .Kernel(Make<LargestKernel>)
      .Gradient(PoolGradient<false>)
      .Example({.name = "valid",
                .inputs = {example.image},
                .attrs = Window(2, 1, "VALID"),
                .expected = {F({1, 2, 2, 1}, {8, 8, 7, 9})}})
      .Example({.name = "same",
                .inputs = {example.image},
                .attrs = Window(2, 2, "SAME"),
                .expected = {F({1, 2, 2, 1}, {8, 6, 7, 9})}})
      .Example({.name = "channels",
                .inputs = {two},
                .attrs = Window(2, 2, "VALID"),
                .expected = {F({1, 1, 1, 2}, {7, 8})}})
      .Example({.name = "empty",
                .inputs = {example.none},
                .attrs = Window(2, 1, "VALID"),
                .expected = {F({0, 2, 2, 1}, {})}});
  AddPoolAttrs(
      registry.Add("MaxPoolGrad")
          .Doc("The gradient of MaxPool: to the largest of each window, the first of equals.")
          .In("orig_input", "T")
          .In("orig_output", "T")
          .In("grad", "T")
          .Out("output", "T"),
      true, kArithmeticDTypes)
      .Shape(UnchangedShape)
      .Kernel(Make<BackwardKernel>)
      .Gradient(BackwardGradient<false>)
      .Example(
          {.name = "valid",
           .inputs = {example.image, F({1, 2, 2, 1}, {8, 8, 7, 9}), F({1, 2, 2, 1}, {1, 2, 3, 4})},
           .attrs = Window(2, 1, "VALID"),
           .expected = {F({1, 3, 3, 1}, {0, 3, 0, 0, 0, 0, 3, 0, 4})},
           .check_gradient = false})
      .Example({.name = "channels",
                .inputs = {two, F({1, 1, 1, 2}, {7, 8}), F({1, 1, 1, 2}, {5, 6})},
                .attrs = Window(2, 2, "VALID"),
                .expected = {F({1, 2, 2, 2}, {0, 6, 0, 0, 0, 0, 5, 0})},
                .check_gradient = false})
      .Example({.name = "empty",
                .inputs = {example.none, F({0, 2, 2, 1}, {}), F({0, 2, 2, 1}, {})},
                .attrs = Window(2, 1, "VALID"),
                .expected = {example.none},
                .check_gradient = false});
  AddPoolAttrs(registry.Add("MaxPoolGradGrad")
                   .Doc("The gradient of MaxPoolGrad by what arrived.")
                   .In("orig_input", "T")
                   .In("orig_output", "T")
                   .In("grad", "T")
                   .Out("output", "T"),
               true, kArithmeticDTypes)
      .Shape(PoolShape)
      .Kernel(Make<SecondKernel>)
      .Gradient(SecondGradient<false>)
      .Example({.name = "valid",
                .inputs = {example.image, F({1, 2, 2, 1}, {8, 8, 7, 9}), example.image},
                .attrs = Window(2, 1, "VALID"),
                .expected = {F({1, 2, 2, 1}, {8, 8, 7, 9})},
                .check_gradient = false})
      .Example({.name = "channels",
                .inputs = {two, F({1, 1, 1, 2}, {7, 8}), F({1, 2, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7})},
                .attrs = Window(2, 2, "VALID"),
                .expected = {F({1, 1, 1, 2}, {6, 1})},
                .check_gradient = false})
      .Example({.name = "empty",
                .inputs = {example.none, F({0, 2, 2, 1}, {}), example.none},
                .attrs = Window(2, 1, "VALID"),
                .expected = {F({0, 2, 2, 1}, {})},
                .check_gradient = false});
  AddV2(registry);
}

}  // namespace espalier
