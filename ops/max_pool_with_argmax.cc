// MaxPoolWithArgmax, which tells where the largest elements are, and its gradient ops. NHWC only,
// as in TensorFlow. Tested by the registry test.
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"
#include "espalier/ops/pooling.h"

namespace espalier {
namespace {

struct ArgmaxAttrs {
  PoolAttrs pool;
  bool with_batch = false;  // positions count through the batch, not within the image
};

template <typename T, typename Position>
absl::Status Largest(KernelContext& context, const ArgmaxAttrs& attrs) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(Pool pool, Pool::Make(attrs.pool, x.shape()));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, pool.output));
  ASSIGN_OR_RETURN(Tensor where, context.Allocate(DTypeOf<Position>, pool.output));
  const T* in = x.data<T>();
  T* out = y.mutable_data<T>();
  auto* position = where.mutable_data<Position>();
  const int64_t image = pool.in_height * pool.in_width * pool.channels;
  context.ParallelFor(pool.batch, 1, [&](int64_t n, int64_t) {
    const int64_t start = attrs.with_batch ? 0 : n * image;
    pool.ForEachWindow(n,
                       [&](int64_t o, int64_t h0, int64_t h1, int64_t w0, int64_t w1, int64_t c) {
                         const int64_t at = pool.Largest(in, n, h0, h1, w0, w1, c);
                         out[o] = at < 0 ? std::numeric_limits<T>::lowest() : in[at];
                         position[o] = static_cast<Position>(at < 0 ? 0 : at - start);
                       });
  });
  context.set_output(0, std::move(y));
  context.set_output(1, std::move(where));
  return absl::OkStatus();
}

// Linear positions of input 2 within x, checked. INVALID_ARGUMENT unless it has the shape of the
// pooled x.
absl::StatusOr<std::vector<int64_t>> Positions(const Pool& pool, const Tensor& argmax,
                                               bool with_batch) {
  RETURN_IF_ERROR(CheckOutputShape(pool, argmax, "argmax"));
  const int64_t image = pool.in_height * pool.in_width * pool.channels;
  const Indices index(argmax);
  RETURN_IF_ERROR(index.Check(with_batch ? image * pool.batch : image, "argmax"));
  const int64_t outputs = pool.out_height * pool.out_width * pool.channels;
  std::vector<int64_t> positions(index.size());
  for (int64_t i = 0; i < index.size(); ++i)
    positions[i] = index[i] + (with_batch ? 0 : i / outputs * image);
  return positions;
}

template <typename T>
absl::Status Backward(KernelContext& context, const ArgmaxAttrs& attrs) {
  const Tensor& x = context.input(0);
  const Tensor& dy = context.input(1);
  ASSIGN_OR_RETURN(Pool pool, Pool::Make(attrs.pool, x.shape()));
  RETURN_IF_ERROR(CheckOutputShape(pool, dy, "grad"));
  ASSIGN_OR_RETURN(std::vector<int64_t> at, Positions(pool, context.input(2), attrs.with_batch));
  ASSIGN_OR_RETURN(Tensor dx, context.Allocate(DTypeOf<T>, x.shape()));
  T* out = dx.mutable_data<T>();
  std::fill_n(out, dx.num_elements(), T(0));
  for (size_t i = 0; i < at.size(); ++i) {
    out[at[i]] = static_cast<T>(static_cast<ComputeType<T>>(out[at[i]]) +
                                static_cast<ComputeType<T>>(dy.data<T>()[i]));
  }
  context.set_output(0, std::move(dx));
  return absl::OkStatus();
}

// What arrived at the positions.
template <typename T>
absl::Status SecondBackward(KernelContext& context, const ArgmaxAttrs& attrs) {
  const Tensor& x = context.input(0);
  const Tensor& arrived = context.input(1);
  ASSIGN_OR_RETURN(Pool pool, Pool::Make(attrs.pool, x.shape()));
  if (!(arrived.shape() == x.shape())) {
    return absl::InvalidArgumentError(absl::StrCat("grad must have shape ", x.shape().ToString(),
                                                   ", received ", arrived.shape().ToString()));
  }
  ASSIGN_OR_RETURN(std::vector<int64_t> at, Positions(pool, context.input(2), attrs.with_batch));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, pool.output));
  for (size_t i = 0; i < at.size(); ++i) y.mutable_data<T>()[i] = arrived.data<T>()[at[i]];
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::StatusOr<ArgmaxAttrs> AttrsOf(const Node& node) {
  ASSIGN_OR_RETURN(PoolAttrs pool, PoolAttrs::Make(node));
  return ArgmaxAttrs{pool, node.attr<bool>("include_batch_in_index")};
}

absl::StatusOr<KernelFunction> MakeLargest(const Node& node) {
  ASSIGN_OR_RETURN(ArgmaxAttrs attrs, AttrsOf(node));
  const bool wide = node.attr<DType>("Targmax") == kInt64;
  return DispatchType(
      ArithmeticTypes(), node.attr<DType>("T"), [attrs, wide]<typename T>() -> KernelFunction {
        return [attrs, wide](KernelContext& context) {
          return wide ? Largest<T, int64_t>(context, attrs) : Largest<T, int32_t>(context, attrs);
        };
      });
}

template <bool kSecond>
absl::StatusOr<KernelFunction> MakeGradient(const Node& node) {
  ASSIGN_OR_RETURN(ArgmaxAttrs attrs, AttrsOf(node));
  return DispatchType(
      ArithmeticTypes(), node.attr<DType>("T"), [attrs]<typename T>() -> KernelFunction {
        return [attrs](KernelContext& context) {
          return kSecond ? SecondBackward<T>(context, attrs) : Backward<T>(context, attrs);
        };
      });
}

absl::Status ArgmaxShape(InferenceContext& c) {
  RETURN_IF_ERROR(PoolShape(c));
  if (c.node().num_outputs() > 1) c.set_output(1, c.outputs()[0]);
  return absl::OkStatus();
}

AttrMap AttrsFor(const GradientContext& g) {
  AttrMap attrs;
  for (const char* name : {"ksize", "strides", "padding", "include_batch_in_index"})
    attrs[name] = *g.node().FindAttr(name);
  return attrs;
}

OpSchema& AddAttrs(OpSchema& op) {
  return op.TypeAttr("T", kArithmeticDTypes)
      .TypeAttr("Targmax", kIndexDTypes, kInt64)
      .RequiredAttr("ksize", AttrKind::kIntList)
      .RequiredAttr("strides", AttrKind::kIntList)
      .StringAttr("padding", {"SAME", "VALID"})
      .Attr("include_batch_in_index", false);
}

AttrMap TwoByTwo(bool with_batch = false) {
  return {{"ksize", std::vector<int64_t>{1, 2, 2, 1}},
          {"strides", std::vector<int64_t>{1, 1, 1, 1}},
          {"padding", "VALID"},
          {"include_batch_in_index", with_batch}};
}

}  // namespace

void RegisterMaxPoolWithArgmax(OpRegistry& registry) {
  const Tensor image = F({1, 3, 3, 1}, {1, 8, 3, 4, 5, 6, 7, 2, 9});
  const Tensor largest = F({1, 2, 2, 1}, {8, 8, 7, 9});
  const Tensor where = L({1, 2, 2, 1}, {1, 1, 6, 8});
  const Tensor two = F({2, 2, 2, 1}, {1, 8, 3, 4, 5, 6, 7, 2});
  const Tensor none = F({0, 3, 3, 1}, {}), nothing = F({0, 2, 2, 1}, {});
  AddAttrs(registry.Add("MaxPoolWithArgmax")
               .Doc("The largest of each window, and its position in the image.")
               .In("input", "T")
               .Out("output", "T")
               .Out("argmax", "Targmax"))
      .Shape(ArgmaxShape)
      .Kernel(MakeLargest)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("MaxPoolGradWithArgmax", {g.x(0), g.dy(), g.y(1)}, AttrsFor(g))};
      })
      .Example(
          {.name = "valid", .inputs = {image}, .attrs = TwoByTwo(), .expected = {largest, where}})
      .Example({.name = "positions in the batch",
                .inputs = {two},
                .attrs = TwoByTwo(true),
                .expected = {F({2, 1, 1, 1}, {8, 7}), L({2, 1, 1, 1}, {1, 6})}})
      .Example({.name = "empty",
                .inputs = {none},
                .attrs = TwoByTwo(),
                .expected = {nothing, L({0, 2, 2, 1}, {})}});
  AddAttrs(registry.Add("MaxPoolGradWithArgmax")
               .Doc("The gradient of MaxPoolWithArgmax: to the positions in argmax.")
               .In("input", "T")
               .In("grad", "T")
               .In("argmax", "Targmax")
               .Out("output", "T"))
      .Shape(UnchangedShape)
      .Kernel(MakeGradient<false>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {Output(), g.Op("MaxPoolGradGradWithArgmax", {g.x(0), g.dy(), g.x(2)}, AttrsFor(g)),
                Output()};
      })
      .Example({.name = "valid",
                .inputs = {image, F({1, 2, 2, 1}, {1, 2, 3, 4}), where},
                .attrs = TwoByTwo(),
                .expected = {F({1, 3, 3, 1}, {0, 3, 0, 0, 0, 0, 3, 0, 4})}})
      .Example({.name = "positions in the batch",
                .inputs = {two, F({2, 1, 1, 1}, {1, 2}), L({2, 1, 1, 1}, {1, 6})},
                .attrs = TwoByTwo(true),
                .expected = {F({2, 2, 2, 1}, {0, 1, 0, 0, 0, 0, 2, 0})}})
      .Example({.name = "empty",
                .inputs = {none, nothing, L({0, 2, 2, 1}, {})},
                .attrs = TwoByTwo(),
                .expected = {none}});
  AddAttrs(registry.Add("MaxPoolGradGradWithArgmax")
               .Doc("The gradient of MaxPoolGradWithArgmax: what arrived at the positions.")
               .In("input", "T")
               .In("grad", "T")
               .In("argmax", "Targmax")
               .Out("output", "T"))
      .Shape(PoolShape)
      .Kernel(MakeGradient<true>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {Output(), g.Op("MaxPoolGradWithArgmax", {g.x(0), g.dy(), g.x(2)}, AttrsFor(g)),
                Output()};
      })
      .Example({.name = "valid",
                .inputs = {image, image, where},
                .attrs = TwoByTwo(),
                .expected = {largest}})
      .Example({.name = "positions in the batch",
                .inputs = {two, two, L({2, 1, 1, 1}, {0, 7})},
                .attrs = TwoByTwo(true),
                .expected = {F({2, 1, 1, 1}, {1, 2})}})
      .Example({.name = "empty",
                .inputs = {none, none, L({0, 2, 2, 1}, {})},
                .attrs = TwoByTwo(),
                .expected = {nothing}});
}

}  // namespace espalier
