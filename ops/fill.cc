// Tensors made of one value or a sequence: Fill, ZerosLike, OnesLike, OneHot, Range. Tested by the
// registry test.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

absl::StatusOr<KernelFunction> MakeFill(const Node& node) {
  return DispatchType(
      AllTypes(), RemoveRef(node.input(1).dtype()), []<typename T>() -> KernelFunction {
        return [](KernelContext& context) -> absl::Status {
          ASSIGN_OR_RETURN(Shape shape, ShapeFromTensor(context.input(0), "dims"));
          if (context.input(1).rank() != 0)
            return absl::InvalidArgumentError("the value must be a scalar");
          ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, shape));
          std::fill_n(y.mutable_data<T>(), y.num_elements(), context.input(1).scalar<T>());
          context.set_output(0, std::move(y));
          return absl::OkStatus();
        };
      });
}

absl::Status FillShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(1, 0));
  ASSIGN_OR_RETURN(Shape shape, c.ShapeFromInput(0));
  if (c.constant(0) != nullptr && !shape.IsFullyKnown()) {
    return absl::InvalidArgumentError(
        absl::StrCat("dims must not be negative, received ", shape.ToString()));
  }
  c.set_output(0, shape);
  return absl::OkStatus();
}

std::vector<Output> FillGradient(const GradientContext& g) {
  const Output flat = g.Op("Reshape", {g.dy(), g.Int32s({-1})});
  return {Output(), g.Op("Sum", {flat, g.Int32s({0})}, {{"keep_dims", false}})};
}

template <int kValue>
absl::StatusOr<KernelFunction> MakeLike(const Node& node) {
  return DispatchType(
      PlainTypes(), RemoveRef(node.input(0).dtype()), []<typename T>() -> KernelFunction {
        return [](KernelContext& context) -> absl::Status {
          ASSIGN_OR_RETURN(Tensor y, context.ForwardOrAllocate(0, context.input(0).shape()));
          std::fill_n(y.mutable_data<T>(), y.num_elements(),
                      static_cast<T>(static_cast<float>(kValue)));
          context.set_output(0, std::move(y));
          return absl::OkStatus();
        };
      });
}

template <int kValue>
void AddLike(OpRegistry& registry, const char* name, const char* doc) {
  registry.Add(name)
      .Doc(doc)
      .In("x", "T")
      .Out("y", "T")
      .TypeAttr("T")
      .Shape(UnchangedShape)
      .Kernel(MakeLike<kValue>)
      .NotDifferentiable("its output does not depend on the values")
      .Example(
          {.name = "vector", .inputs = {F({2}, {1, 2})}, .expected = {F({2}, {kValue, kValue})}})
      .Example({.name = "bool",
                .inputs = {B({2}, {true, false})},
                .expected = {B({2}, {kValue != 0, kValue != 0})}})
      .Example({.name = "empty", .inputs = {I({0}, {})}, .expected = {I({0}, {})}});
}

struct OneHotPlace {
  Shape output;
  int64_t inner = 1;  // elements of the indices after the new axis
};

absl::StatusOr<OneHotPlace> PlaceOneHot(const Shape& indices, int64_t depth, int64_t axis) {
  ASSIGN_OR_RETURN(int64_t at, NormalizeAxis(axis, indices.rank() + 1));
  OneHotPlace place;
  std::vector<int64_t> dims = indices.as_list();
  for (size_t i = at; i < dims.size(); ++i) place.inner *= dims[i];
  dims.insert(dims.begin() + at, depth);
  place.output = Shape(dims);
  return place;
}

template <typename Index, typename T>
absl::Status OneHot(KernelContext& context, int64_t axis) {
  const Tensor& indices = context.input(0);
  for (int i = 1; i < 4; ++i) {
    if (context.input(i).rank() != 0) {
      return absl::InvalidArgumentError("depth, on_value and off_value must be scalars");
    }
  }
  const int32_t depth = context.input(1).scalar<int32_t>();
  if (depth < 0)
    return absl::InvalidArgumentError(absl::StrCat("depth must not be negative, received ", depth));
  ASSIGN_OR_RETURN(OneHotPlace place, PlaceOneHot(indices.shape(), depth, axis));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, place.output));
  T* out = y.mutable_data<T>();
  std::fill_n(out, y.num_elements(), context.input(3).scalar<T>());
  const T on = context.input(2).scalar<T>();
  for (int64_t i = 0; i < indices.num_elements(); ++i) {
    // A negative index stays negative, and selects nothing.
    const auto index =
        static_cast<int64_t>(indices.data<Index>()[i]);  // NOLINT(bugprone-signed-char-misuse)
    if (index < 0 || index >= depth) continue;
    out[(i / place.inner * depth + index) * place.inner + i % place.inner] = on;
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeOneHot(const Node& node) {
  const auto axis = node.attr<int64_t>("axis");
  const DType index = RemoveRef(node.input(0).dtype());
  return DispatchType(PlainTypes(), RemoveRef(node.input(2).dtype()),
                      [=]<typename T>() -> KernelFunction {
                        return DispatchType(TypeList<int32_t, int64_t, uint8_t, int8_t>(), index,
                                            [=]<typename Index>() -> KernelFunction {
                                              return [axis](KernelContext& context) {
                                                return OneHot<Index, T>(context, axis);
                                              };
                                            });
                      });
}

absl::Status OneHotShape(InferenceContext& c) {
  for (int i = 1; i < 4; ++i) RETURN_IF_ERROR(c.WithRank(i, 0));
  if (!c.input(0).has_rank()) return absl::OkStatus();
  const auto depth = c.constant_ints(1);
  ASSIGN_OR_RETURN(OneHotPlace place, PlaceOneHot(c.input(0), depth ? (*depth)[0] : -1,
                                                  c.node().attr<int64_t>("axis")));
  c.set_output(0, place.output);
  return absl::OkStatus();
}

template <typename T>
absl::Status MakeRangeTensor(KernelContext& context) {
  for (int i = 0; i < 3; ++i) {
    if (context.input(i).rank() != 0)
      return absl::InvalidArgumentError("start, limit and delta must be scalars");
  }
  const T start = context.input(0).scalar<T>();
  const T limit = context.input(1).scalar<T>();
  const T delta = context.input(2).scalar<T>();
  if (delta == T(0) || delta != delta) return absl::InvalidArgumentError("delta must not be 0");
  const double steps = std::ceil((static_cast<double>(limit) - static_cast<double>(start)) /
                                 static_cast<double>(delta));
  if (!(steps < 9e18)) return absl::InvalidArgumentError("the range is too long");
  if (steps < 0) {
    return absl::InvalidArgumentError(delta > T(0)
                                          ? "start must not be above limit when delta is positive"
                                          : "start must not be below limit when delta is negative");
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, {static_cast<int64_t>(steps)}));
  T value = start;
  for (int64_t i = 0; i < y.num_elements(); ++i, value = WrapAdd(value, delta))
    y.mutable_data<T>()[i] = value;
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeRange(const Node& node) {
  return DispatchType(TypeList<int32_t, int64_t, float, double>(), RemoveRef(node.input(0).dtype()),
                      []<typename T>() -> KernelFunction { return MakeRangeTensor<T>; });
}

}  // namespace

void RegisterFill(OpRegistry& registry) {
  registry.Add("Fill")
      .Doc("A tensor of shape dims, every element the value.")
      .In("dims", "index_type")
      .In("value", "T")
      .Out("output", "T")
      .TypeAttr("T")
      .TypeAttr("index_type", kIndexDTypes, kInt32)
      .Shape(FillShape)
      .Kernel(MakeFill)
      .Gradient(FillGradient)
      .Example({.name = "matrix",
                .inputs = {I({2}, {2, 2}), F({}, {3})},
                .expected = {F({2, 2}, {3, 3, 3, 3})},
                .constant_inputs = {0}})
      .Example({.name = "scalar", .inputs = {L({0}, {}), F({}, {3})}, .expected = {F({}, {3})}})
      .Example(
          {.name = "empty", .inputs = {I({2}, {0, 2}), F({}, {3})}, .expected = {F({0, 2}, {})}});
  AddLike<0>(registry, "ZerosLike", "Zeros of the shape and type of x.");
  AddLike<1>(registry, "OnesLike", "Ones of the shape and type of x.");
  registry.Add("OneHot")
      .Doc(
          "A new axis of size depth: on_value at the index, off_value elsewhere; an index outside "
          "gives off_value.")
      .In("indices", "TI")
      .In("depth", kInt32)
      .In("on_value", "T")
      .In("off_value", "T")
      .Out("output", "T")
      .Attr("axis", -1)
      .TypeAttr("T")
      .TypeAttr("TI", {kUInt8, kInt8, kInt32, kInt64}, kInt64)
      .Shape(OneHotShape)
      .Kernel(MakeOneHot)
      .NotDifferentiable("it depends on indices")
      .Example({.name = "rows",
                .inputs = {I({3}, {2, 0, -1}), I({}, {3}), F({}, {1}), F({}, {0})},
                .expected = {F({3, 3}, {0, 0, 1, 1, 0, 0, 0, 0, 0})},
                .constant_inputs = {1}})
      .Example({.name = "columns",
                .inputs = {L({2}, {1, 0}), I({}, {3}), F({}, {5}), F({}, {-1})},
                .attrs = {{"axis", 0}},
                .expected = {F({3, 2}, {-1, 5, 5, -1, -1, -1})}})
      .Example({.name = "empty",
                .inputs = {I({0}, {}), I({}, {2}), F({}, {1}), F({}, {0})},
                .expected = {F({0, 2}, {})}});
  registry.Add("Range")
      .Doc("start, start + delta, … below limit.")
      .In("start", "Tidx")
      .In("limit", "Tidx")
      .In("delta", "Tidx")
      .Out("output", "Tidx")
      .TypeAttr("Tidx", {kFloat, kDouble, kInt32, kInt64}, kInt32)
      .Shape([](InferenceContext& c) -> absl::Status {
        for (int i = 0; i < 3; ++i) RETURN_IF_ERROR(c.WithRank(i, 0));
        c.set_output(0, Shape::UnknownOfRank(1));
        return absl::OkStatus();
      })
      .Kernel(MakeRange)
      .NotDifferentiable("its length depends on its inputs")
      .Example({.name = "up",
                .inputs = {I({}, {1}), I({}, {8}), I({}, {3})},
                .expected = {I({3}, {1, 4, 7})}})
      .Example({.name = "down",
                .inputs = {F({}, {1}), F({}, {0}), F({}, {-0.5f})},
                .expected = {F({2}, {1, 0.5f})}})
      .Example({.name = "empty",
                .inputs = {L({}, {3}), L({}, {3}), L({}, {1})},
                .expected = {L({0}, {})}});
}

}  // namespace espalier
