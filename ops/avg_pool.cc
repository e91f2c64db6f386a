// AvgPool and its gradient. Tested by the registry test.
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/pooling.h"

namespace espalier {
namespace {

template <typename T>
absl::Status Average(KernelContext& context, const PoolAttrs& attrs) {
  using C = ComputeType<T>;
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(Pool pool, Pool::Make(attrs, x.shape()));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, pool.output));
  const T* in = x.data<T>();
  T* out = y.mutable_data<T>();
  context.ParallelFor(pool.batch, 1, [&](int64_t n, int64_t) {
    pool.ForEachWindow(n, [&](int64_t o, int64_t h0, int64_t h1, int64_t w0, int64_t w1,
                              int64_t c) {
      C sum(0);
      for (int64_t h = h0; h < h1; ++h) {
        for (int64_t w = w0; w < w1; ++w) sum += static_cast<C>(in[pool.In(n, h, w, c)]);
      }
      out[o] = static_cast<T>(sum / static_cast<C>(std::max<int64_t>(1, (h1 - h0) * (w1 - w0))));
    });
  });
  context.set_output(0, std::move(y));
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

template <bool kGradient>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  ASSIGN_OR_RETURN(PoolAttrs attrs, PoolAttrs::Make(node));
  return DispatchType(RealTypes(), node.attr<DType>("T"), [attrs]<typename T>() -> KernelFunction {
    return [attrs](KernelContext& context) {
      return kGradient ? AverageBackward<T>(context, attrs) : Average<T>(context, attrs);
    };
  });
}

AttrMap Window(int64_t size, int64_t stride, const char* padding) {
  return {{"ksize", std::vector<int64_t>{1, size, size, 1}},
          {"strides", std::vector<int64_t>{1, stride, stride, 1}},
          {"padding", padding}};
}

}  // namespace

void RegisterAvgPool(OpRegistry& registry) {
  const Tensor image = F({1, 3, 3, 1}, {1, 8, 3, 4, 5, 6, 7, 2, 9});
  const Tensor none = F({0, 3, 3, 1}, {});
  AddPoolAttrs(registry.Add("AvgPool")
                   .Doc("The mean of each window; padding does not count.")
                   .In("value", "T")
                   .Out("output", "T"),
               false)
      .Shape(PoolShape)
      .Kernel(Make<false>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("AvgPoolGrad", {g.ShapeOf(g.x(0)), g.dy()}, PoolAttrMap(g.node()))};
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
      .Kernel(Make<true>)
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
