// Sum, Mean, Prod, Max, Min, EuclideanNorm, All, Any over axes. Tested by the registry test.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/reduce.h"

namespace espalier {
namespace {

template <typename R, typename T, bool kMean>
absl::Status Reduce(KernelContext& context, bool keep_dims) {
  using C = ComputeType<T>;
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(std::vector<int64_t> axes, IntegerVector(context.input(1), "the axes"));
  ASSIGN_OR_RETURN(ReductionLayout layout, ReductionLayout::Make(x.shape(), axes, keep_dims));
  if (layout.groups.size() == 1 && layout.reduced_elements == 1) {
    ASSIGN_OR_RETURN(Tensor view, x.Reshaped(layout.output));  // nothing to add up
    context.set_output(0, std::move(view));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, layout.output));
  T* out = y.mutable_data<T>();
  std::vector<C> wide;
  C* accumulators = nullptr;
  if constexpr (std::is_same_v<T, C>) {
    accumulators = out;
  } else {
    wide.resize(y.num_elements());
    accumulators = wide.data();
  }
  ReduceInto<R>(context, x.data<T>(), layout, accumulators);
  for (int64_t i = 0; i < y.num_elements(); ++i) {
    C value = accumulators[i];
    if constexpr (kMean && std::is_floating_point_v<C>)
      value = value / static_cast<C>(layout.reduced_elements);
    if constexpr (kMean && !std::is_floating_point_v<C>) {
      if (layout.reduced_elements > 0)
        value = static_cast<C>(value / static_cast<C>(layout.reduced_elements));
    }
    out[i] = static_cast<T>(value);
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <typename R, bool kMean = false>
absl::StatusOr<KernelFunction> MakeReduction(const Node& node) {
  const bool keep_dims = node.attr<bool>("keep_dims");
  return DispatchType(ArithmeticTypes(), RemoveRef(node.input(0).dtype()),
                      [keep_dims]<typename T>() -> KernelFunction {
                        return [keep_dims](KernelContext& context) {
                          return Reduce<R, T, kMean>(context, keep_dims);
                        };
                      });
}

template <typename T>
absl::Status Norm(KernelContext& context, bool keep_dims) {
  using C = ComputeType<T>;
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(std::vector<int64_t> axes, IntegerVector(context.input(1), "the axes"));
  ASSIGN_OR_RETURN(ReductionLayout layout, ReductionLayout::Make(x.shape(), axes, keep_dims));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, layout.output));
  std::vector<C> squares(x.num_elements()), sums(y.num_elements());
  for (int64_t i = 0; i < x.num_elements(); ++i) {
    const C value = static_cast<C>(x.data<T>()[i]);
    squares[i] = WrapMul(value, value);
  }
  ReduceInto<SumOf>(context, squares.data(), layout, sums.data());
  for (int64_t i = 0; i < y.num_elements(); ++i) {
    using Root = std::conditional_t<std::is_integral_v<C>, double, C>;
    y.mutable_data<T>()[i] = static_cast<T>(std::sqrt(static_cast<Root>(sums[i])));
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeNorm(const Node& node) {
  const bool keep_dims = node.attr<bool>("keep_dims");
  return DispatchType(ArithmeticTypes(), RemoveRef(node.input(0).dtype()),
                      [keep_dims]<typename T>() -> KernelFunction {
                        return [keep_dims](KernelContext& context) {
                          return Norm<T>(context, keep_dims);
                        };
                      });
}

struct AllOf {
  template <typename T>
  static T First() {
    return true;
  }
  template <typename T>
  static T Step(T a, T b) {
    return a && b;
  }
};
struct AnyOf {
  template <typename T>
  static T First() {
    return false;
  }
  template <typename T>
  static T Step(T a, T b) {
    return a || b;
  }
};

template <typename R>
absl::StatusOr<KernelFunction> MakeBoolReduction(const Node& node) {
  return KernelFunction(
      [keep_dims = node.attr<bool>("keep_dims")](KernelContext& context) -> absl::Status {
        const Tensor& x = context.input(0);
        ASSIGN_OR_RETURN(std::vector<int64_t> axes, IntegerVector(context.input(1), "the axes"));
        ASSIGN_OR_RETURN(ReductionLayout layout, ReductionLayout::Make(x.shape(), axes, keep_dims));
        ASSIGN_OR_RETURN(Tensor y, context.Allocate(kBool, layout.output));
        // Bools are bytes of 0 and 1.
        ReduceInto<R>(context, static_cast<const uint8_t*>(x.raw()), layout,
                      static_cast<uint8_t*>(y.mutable_raw()));
        context.set_output(0, std::move(y));
        return absl::OkStatus();
      });
}

// 1 for each dimension of the input that is reduced, else 0.
Output ReducedMask(const GradientContext& g, const Output& shape) {
  const int rank = g.x(0).shape().rank();
  const std::optional<Tensor> constant = ConstantValue(g.x(1));
  if (rank >= 0 && constant) {
    std::vector<int32_t> mask(rank, 0);
    for (int64_t i = 0; i < constant->num_elements(); ++i) {
      const int64_t axis =
          constant->dtype() == kInt64 ? constant->data<int64_t>()[i] : constant->data<int32_t>()[i];
      mask[axis < 0 ? axis + rank : axis] = 1;  // in range: the shape function has checked
    }
    return g.Int32s(mask);
  }
  const Output size = g.Op("Size", {shape});
  const Output axes = g.Op("Reshape", {g.Op("Cast", {g.x(1)}, {{"DstT", kInt32}}), g.Int32s({-1})});
  const Output negative = g.Op("Less", {axes, g.Scalar(size, 0)});
  const Output normal = g.Op("SelectV2", {negative, g(axes) + g(size), axes});
  const Output rows = g.Op("OneHot", {normal, size, g.Scalar(size, 1), g.Scalar(size, 0)});
  return g.Op("Sum", {rows, g.Int32s({0})}, {{"keep_dims", false}});
}

// The shape of the input with 1 for each reduced dimension, as a tensor.
Output KeptShape(const GradientContext& g, const Output& shape) {
  const Output mask = ReducedMask(g, shape);
  return g(shape) * (1 - g(mask)) + g(mask);
}

// `value`, shaped like the reduction's output, spread over the shape of its input.
Output SpreadBack(const GradientContext& g, const Output& value) {
  const Output shape = g.ShapeOf(g.x(0));
  const Output kept =
      g.node().attr<bool>("keep_dims") ? value : g.Op("Reshape", {value, KeptShape(g, shape)});
  return g.Op("BroadcastTo", {kept, shape});
}

std::vector<Output> SumGradient(const GradientContext& g) {
  return {SpreadBack(g, g.dy()), Output()};
}

std::vector<Output> MeanGradient(const GradientContext& g) {
  const Output in = g.Op("Cast", {g.Op("Size", {g.x(0)})}, {{"DstT", g.y(0).dtype()}});
  const Output out = g.Op("Cast", {g.Op("Size", {g.y(0)})}, {{"DstT", g.y(0).dtype()}});
  return {SpreadBack(
              g, g(g.dy()) / g(g.Op("Maximum", {g(in) / g(g.Op("Maximum", {out, g.Scalar(out, 1)})),
                                                g.Scalar(out, 1)}))),
          Output()};
}

// Equal maxima share the gradient.
std::vector<Output> ExtremumGradient(const GradientContext& g) {
  const Output chosen =
      g.Op("Cast", {g.Op("Equal", {SpreadBack(g, g.y(0)), g.x(0)})}, {{"DstT", g.y(0).dtype()}});
  const Output count =
      g.Op("Sum", {chosen, g.x(1)}, {{"keep_dims", g.node().attr<bool>("keep_dims")}});
  return {g(chosen) * g(SpreadBack(g, g(g.dy()) / g(count))), Output()};
}

// The product of all other elements: of those before times those behind, so that zeros do no harm.
// The reduced axes are brought to the front and laid out as one.
std::vector<Output> ProdGradient(const GradientContext& g) {
  const Output shape = g.ShapeOf(g.x(0));
  const Output rank = g.Op("Size", {shape});
  const Output zero = g.Scalar(rank, 0);
  const Output axes = g.Op("Reshape", {g.Op("Cast", {g.x(1)}, {{"DstT", kInt32}}), g.Int32s({-1})});
  const Output reduced = g.Op("FloorMod", {g(axes) + g(rank), rank});
  const Output all = g.Op("Range", {zero, rank, g.Scalar(rank, 1)});
  const Output kept = g.Op("ListDiff", {all, reduced});
  const Output order = g.Op("ConcatV2", {reduced, kept, zero}, {{"N", 2}});
  const auto count = [&](const Output& of) {
    return g.Op("Prod", {g.Op("GatherV2", {shape, of, zero}), g.Int32s({0})},
                {{"keep_dims", false}});
  };
  const Output moved = g.Op("Transpose", {g.x(0), order});
  const Output flat =
      g.Op("Reshape", {moved, g.Op("Pack", {count(reduced), count(kept)}, {{"axis", 0}})});
  const auto running = [&](bool reverse) {
    return g(g.Op("Cumprod", {flat, zero}, {{"exclusive", true}, {"reverse", reverse}}));
  };
  const Output others = g.Op("Reshape", {running(false) * running(true), g.Op("Shape", {moved})});
  const Output back = g.Op("Transpose", {others, g.Op("InvertPermutation", {order})});
  return {g(SpreadBack(g, g.dy())) * g(back), Output()};
}

// x / y.
std::vector<Output> NormGradient(const GradientContext& g) {
  return {g(g.x(0)) * g(SpreadBack(g, g(g.dy()) / g(g.y(0)))), Output()};
}

OpSchema& Declare(OpRegistry& registry, const char* name, const char* doc) {
  return registry.Add(name)
      .Doc(doc)
      .In("input", "T")
      .In("reduction_indices", "Tidx")
      .Out("output", "T")
      .Attr("keep_dims", false)
      .TypeAttr("T", kArithmeticDTypes)
      .TypeAttr("Tidx", kIndexDTypes, kInt32)
      .Shape(ReductionShape);
}

template <typename R, bool kMean = false>
OpSchema& Add(OpRegistry& registry, const char* name, const char* doc) {
  return Declare(registry, name, doc).Kernel(MakeReduction<R, kMean>);
}

OpExample Over(const char* name, Tensor x, Tensor axes, Tensor expected, bool keep_dims = false) {
  return {.name = name,
          .inputs = {std::move(x), std::move(axes)},
          .attrs = {{"keep_dims", keep_dims}},
          .expected = {std::move(expected)},
          .constant_inputs = {1}};
}

}  // namespace

void RegisterReductions(OpRegistry& registry) {
  const Tensor m = F({2, 3}, {1, 2.5f, 3, 4, 5.25f, 6});
  const Tensor cube = F({2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8.5f});
  const Tensor empty = F({0, 2}, {});
  Add<SumOf>(registry, "Sum", "The sum over axes; 0 over none.")
      .Gradient(SumGradient)
      .Example(Over("rows", m, I({1}, {1}), F({2}, {6.5f, 15.25f})))
      .Example(Over("columns kept", m, I({1}, {-2}), F({1, 3}, {5, 7.75f, 9}), true))
      .Example(Over("outer and inner", cube, L({2}, {0, 2}), F({2}, {14, 22.5f})))
      .Example(Over("all", m, I({2}, {0, 1}), F({}, {21.75f})))
      .Example(Over("empty", empty, I({1}, {0}), F({2}, {0, 0})));
  Add<SumOf, true>(registry, "Mean", "The mean over axes; NaN over none.")
      .Gradient(MeanGradient)
      .Example(Over("rows", m, I({1}, {1}), F({2}, {6.5f / 3, 15.25f / 3})))
      .Example(Over("all but last", cube, I({2}, {0, 1}), F({2}, {4, 5.125f})))
      .Example(Over("no axes", m, I({0}, {}), m))
      .Example(Over("empty result", empty, I({1}, {1}), F({0}, {})));
  Add<ProdOf>(registry, "Prod", "The product over axes; 1 over none.")
      .Gradient(ProdGradient)
      .Example(Over("rows", m, I({1}, {1}), F({2}, {7.5f, 126})))
      .Example(Over("a zero", F({2, 2}, {0, 2, 3, 4}), I({1}, {-2}), F({1, 2}, {0, 8}), true))
      .Example({.name = "integers",
                .inputs = {I({2, 2}, {1, 2, 3, 4}), I({1}, {0})},
                .expected = {I({2}, {3, 8})}})
      .Example({.name = "empty",
                .inputs = {empty, I({1}, {0})},
                .expected = {F({2}, {1, 1})},
                .check_gradient = false});
  Add<MaxOf>(registry, "Max", "The largest over axes; -inf over none; NaN wins.")
      .Gradient(ExtremumGradient)
      .Example(Over("rows", m, I({1}, {1}), F({2}, {3, 6})))
      .Example(Over("columns kept", m, I({1}, {0}), F({1, 3}, {4, 5.25f, 6}), true))
      .Example(Over("all", cube, I({3}, {0, 1, 2}), F({}, {8.5f})));
  Add<MinOf>(registry, "Min", "The smallest over axes; inf over none; NaN wins.")
      .Gradient(ExtremumGradient)
      .Example(Over("rows", m, I({1}, {1}), F({2}, {1, 4})))
      .Example(Over("columns kept", m, I({1}, {0}), F({1, 3}, {1, 2.5f, 3}), true))
      .Example(Over("all", cube, I({3}, {0, 1, 2}), F({}, {1})));
  const Tensor legs = F({2, 2}, {3, 4, 5, 12});
  Declare(registry, "EuclideanNorm", "The square root of the sum of squares over axes.")
      .Kernel(MakeNorm)
      .Gradient(NormGradient)
      .Example(Over("rows", legs, I({1}, {1}), F({2}, {5, 13})))
      .Example(Over("columns kept", F({2, 1}, {3, 4}), I({1}, {-2}), F({1, 1}, {5}), true))
      .Example(Over("all", legs, L({2}, {0, 1}), F({}, {13.928388f})))
      .Example(Over("empty", F({2, 0}, {}), I({1}, {0}), F({0}, {})));
  for (const bool all : {true, false}) {
    registry.Add(all ? "All" : "Any")
        .Doc(all ? "Whether all are true; true over none."
                 : "Whether any is true; false over none.")
        .In("input", kBool)
        .In("reduction_indices", "Tidx")
        .Out("output", kBool)
        .Attr("keep_dims", false)
        .TypeAttr("Tidx", kIndexDTypes, kInt32)
        .Shape(ReductionShape)
        .Kernel(all ? KernelFactory(MakeBoolReduction<AllOf>)
                    : KernelFactory(MakeBoolReduction<AnyOf>))
        .NotDifferentiable("its output is bool")
        .Example(
            Over("rows", B({2, 2}, {true, true, true, false}), I({1}, {1}), B({2}, {true, !all})))
        .Example(Over("all", B({2}, {false, true}), I({1}, {0}), B({}, {!all})))
        .Example(Over("empty", B({0}, {}), I({1}, {0}), B({}, {all})));
  }
}

}  // namespace espalier
