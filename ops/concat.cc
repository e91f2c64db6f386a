// ConcatV2, ConcatOffset, Pack, Unpack. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

// Copies inputs first … first + count - 1 side by side: `outer` times, a run of each input's
// length.
template <typename S>
void CopyRuns(KernelContext& context, int first, int count, int64_t outer,
              const std::vector<int64_t>& runs, Tensor& y) {
  int64_t row = 0;
  for (int64_t run : runs) row += run;
  S* out = MutableStorage<S>(y);
  int64_t at = 0;
  for (int k = 0; k < count; ++k) {
    const S* in = Storage<S>(context.input(first + k));
    for (int64_t o = 0; o < outer; ++o) std::copy_n(in + o * runs[k], runs[k], out + o * row + at);
    at += runs[k];
  }
}

// The axis is the last input, in the older Concat the first.
template <typename S, bool kAxisFirst>
absl::Status Concat(KernelContext& context) {
  const int count = context.num_inputs() - 1;
  const int values = kAxisFirst ? 1 : 0;
  ASSIGN_OR_RETURN(std::vector<int64_t> axis_value,
                   IntegerVector(context.input(kAxisFirst ? 0 : count), "the axis"));
  if (axis_value.size() != 1) return absl::InvalidArgumentError("the axis must be a scalar");
  const Shape& first = context.input(values).shape();
  ASSIGN_OR_RETURN(int64_t axis, NormalizeAxis(axis_value[0], first.rank()));
  Shape shape = first;
  shape.set_dim(static_cast<int>(axis), 0);
  std::vector<int64_t> runs;
  int64_t outer = 1;
  for (int i = 0; i < axis; ++i) outer *= first.dim(i);
  for (int k = 0; k < count; ++k) {
    const Shape& part = context.input(values + k).shape();
    Shape expected = first;
    if (part.rank() == first.rank())
      expected.set_dim(static_cast<int>(axis), part.dim(static_cast<int>(axis)));
    if (!(part == expected)) {
      return absl::InvalidArgumentError(absl::StrCat("inputs must agree but in dimension ", axis,
                                                     ", received ", first.ToString(), " and ",
                                                     part.ToString()));
    }
    shape.set_dim(static_cast<int>(axis),
                  shape.dim(static_cast<int>(axis)) + part.dim(static_cast<int>(axis)));
    runs.push_back(outer == 0 ? 0 : part.num_elements() / outer);
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(context.input(values).dtype(), shape));
  CopyRuns<S>(context, values, count, outer, runs, y);
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <bool kAxisFirst>
absl::Status ConcatShape(InferenceContext& c) {
  const int count = c.num_inputs() - 1;
  const int values = kAxisFirst ? 1 : 0;
  const int axis_input = kAxisFirst ? 0 : count;
  RETURN_IF_ERROR(c.WithRank(axis_input, 0));
  const auto axis_value = c.constant_ints(axis_input);
  Shape known = Shape::Unknown();
  for (int k = 0; k < count; ++k) {
    if (!c.input(values + k).has_rank()) continue;
    if (known.has_rank() && known.rank() != c.input(values + k).rank()) {
      return absl::InvalidArgumentError(absl::StrCat("inputs must have the same rank, received ",
                                                     known.ToString(), " and ",
                                                     c.input(values + k).ToString()));
    }
    known = c.input(values + k);
  }
  if (!known.has_rank()) return absl::OkStatus();
  if (!axis_value) {
    c.set_output(0, Shape::UnknownOfRank(known.rank()));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(int64_t axis, NormalizeAxis((*axis_value)[0], known.rank()));
  Shape shape = Shape::UnknownOfRank(known.rank());
  int64_t total = 0;
  for (int k = 0; k < count; ++k) {
    const int64_t size =
        c.input(values + k).has_rank() ? c.input(values + k).dim(static_cast<int>(axis)) : -1;
    total = size < 0 || total < 0 ? -1 : total + size;
    Shape other = c.input(values + k);
    if (other.has_rank()) other.set_dim(static_cast<int>(axis), -1);
    ASSIGN_OR_RETURN(shape, Shape::Merge(shape, other));
  }
  shape.set_dim(static_cast<int>(axis), total);
  c.set_output(0, shape);
  return absl::OkStatus();
}

std::optional<std::vector<int64_t>> JoinedValues(const Node& node, int count, int depth) {
  std::vector<int64_t> all;
  for (int i = 0; i < count; ++i) {
    const auto part = PartialIntegers(node.input(i), depth);
    const Shape& shape = node.input(i).shape();
    if (part) {
      all.insert(all.end(), part->begin(), part->end());
    } else if (shape.IsFullyKnown()) {
      all.insert(all.end(), shape.CheckedNumElements().value_or(0), -1);
    } else {
      return std::nullopt;
    }
  }
  return all;
}

template <bool kAxisFirst>
std::vector<Output> ConcatGradient(const GradientContext& g) {
  const int count = g.node().num_inputs() - 1;
  const int values = kAxisFirst ? 1 : 0;
  const Output axis = g.Op("Cast", {g.x(kAxisFirst ? 0 : count)}, {{"DstT", kInt32}});
  const Output rank = g.Op("Rank", {g.x(values)});
  const Output normal =
      g.Op("SelectV2", {g.Op("Less", {axis, g.Scalar(axis, 0)}), g(axis) + g(rank), axis});
  std::vector<Output> inputs = {normal};
  std::vector<Output> shapes;
  for (int k = 0; k < count; ++k) shapes.push_back(g.ShapeOf(g.x(values + k)));
  inputs.insert(inputs.end(), shapes.begin(), shapes.end());
  const Node* offsets = g.OpNode("ConcatOffset", inputs, {{"N", count}});
  if (offsets == nullptr) return {};
  std::vector<Output> gradients(values);
  for (int k = 0; k < count; ++k)
    gradients.push_back(g.Op("Slice", {g.dy(), offsets->output(k), shapes[k]}));
  if (!kAxisFirst) gradients.emplace_back();
  return gradients;
}

absl::StatusOr<KernelFunction> MakeConcatOffset(const Node&) {
  return KernelFunction([](KernelContext& context) -> absl::Status {
    ASSIGN_OR_RETURN(std::vector<int64_t> axis_value, IntegerVector(context.input(0), "the axis"));
    ASSIGN_OR_RETURN(Shape first, ShapeFromTensor(context.input(1), "a shape"));
    if (axis_value.size() != 1) return absl::InvalidArgumentError("the axis must be a scalar");
    ASSIGN_OR_RETURN(int64_t axis, NormalizeAxis(axis_value[0], first.rank()));
    int64_t offset = 0;
    for (int k = 1; k < context.num_inputs(); ++k) {
      ASSIGN_OR_RETURN(Shape shape, ShapeFromTensor(context.input(k), "a shape"));
      if (shape.rank() != first.rank())
        return absl::InvalidArgumentError("shapes must have the same rank");
      std::vector<int32_t> begin(first.rank(), 0);
      begin[axis] = static_cast<int32_t>(offset);
      offset += shape.dim(static_cast<int>(axis));
      context.set_output(k - 1, Tensor::FromVector<int32_t>({first.rank()}, begin));
    }
    return absl::OkStatus();
  });
}

// --- Pack and Unpack: a new axis.

template <typename S>
absl::Status Pack(KernelContext& context, int64_t axis_attr) {
  const Shape& part = context.input(0).shape();
  const int count = context.num_inputs();
  ASSIGN_OR_RETURN(int64_t axis, NormalizeAxis(axis_attr, part.rank() + 1));
  for (int k = 1; k < count; ++k) {
    if (!(context.input(k).shape() == part)) {
      return absl::InvalidArgumentError(absl::StrCat("inputs must have the same shape, received ",
                                                     part.ToString(), " and ",
                                                     context.input(k).shape().ToString()));
    }
  }
  std::vector<int64_t> dims = part.as_list();
  dims.insert(dims.begin() + axis, count);
  int64_t outer = 1;
  for (int i = 0; i < axis; ++i) outer *= part.dim(i);
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(context.input(0).dtype(), Shape(dims)));
  const int64_t run = outer == 0 ? 0 : part.num_elements() / outer;
  CopyRuns<S>(context, 0, count, outer, std::vector<int64_t>(count, run), y);
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::Status PackShape(InferenceContext& c) {
  Shape part = Shape::Unknown();
  for (int k = 0; k < c.num_inputs(); ++k) {
    ASSIGN_OR_RETURN(part, Shape::Merge(part, c.input(k)));
  }
  if (!part.has_rank()) return absl::OkStatus();
  ASSIGN_OR_RETURN(int64_t axis, NormalizeAxis(c.node().attr<int64_t>("axis"), part.rank() + 1));
  std::vector<int64_t> dims = part.as_list();
  dims.insert(dims.begin() + axis, c.num_inputs());
  c.set_output(0, Shape(dims));
  return absl::OkStatus();
}

template <typename S>
absl::Status Unpack(KernelContext& context, int64_t axis_attr) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(int64_t axis, NormalizeAxis(axis_attr, x.rank()));
  const int count = context.num_outputs();
  if (x.dim(static_cast<int>(axis)) != count) {
    return absl::InvalidArgumentError(
        absl::StrCat("dimension ", axis, " of ", x.shape().ToString(), " must be num = ", count));
  }
  std::vector<int64_t> dims = x.shape().as_list();
  dims.erase(dims.begin() + axis);
  int64_t outer = 1;
  for (int i = 0; i < axis; ++i) outer *= x.dim(i);
  const int64_t run = outer == 0 || count == 0 ? 0 : x.num_elements() / outer / count;
  for (int k = 0; k < count; ++k) {
    ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), Shape(dims)));
    for (int64_t o = 0; o < outer; ++o) {
      std::copy_n(Storage<S>(x) + (o * count + k) * run, run, MutableStorage<S>(y) + o * run);
    }
    context.set_output(k, std::move(y));
  }
  return absl::OkStatus();
}

absl::Status UnpackShape(InferenceContext& c) {
  if (!c.input(0).has_rank()) return absl::OkStatus();
  ASSIGN_OR_RETURN(int64_t axis, NormalizeAxis(c.node().attr<int64_t>("axis"), c.input(0).rank()));
  std::vector<int64_t> dims = c.input(0).as_list();
  dims.erase(dims.begin() + axis);
  for (int k = 0; k < c.node().num_outputs(); ++k) c.set_output(k, Shape(dims));
  return absl::OkStatus();
}

}  // namespace

void RegisterConcat(OpRegistry& registry) {
  const Tensor a = F({1, 2}, {1, 2});
  const Tensor b = F({2, 2}, {3, 4, 5, 6});
  registry.Add("ConcatV2")
      .Doc("The tensors one after the other along an axis.")
      .InList("values", "N", "T")
      .In("axis", "Tidx")
      .Out("output", "T")
      .Attr("N", 1)
      .Minimum(1)
      .TypeAttr("T")
      .TypeAttr("Tidx", kIndexDTypes, kInt32)
      .Shape(ConcatShape<false>)
      .PartialValue([](const Node& node, int depth) {
        return JoinedValues(node, node.num_inputs() - 1, depth);
      })
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchStorage(RemoveRef(node.input(0).dtype()),
                               []<typename S>() -> KernelFunction { return Concat<S, false>; });
      })
      .Gradient(ConcatGradient<false>)
      .Example({.name = "rows",
                .inputs = {a, b, I({}, {0})},
                .expected = {F({3, 2}, {1, 2, 3, 4, 5, 6})},
                .constant_inputs = {2}})
      .Example({.name = "columns",
                .inputs = {F({2, 1}, {1, 2}), b, I({}, {-1})},
                .expected = {F({2, 3}, {1, 3, 4, 2, 5, 6})}})
      .Example({.name = "empty", .inputs = {F({0, 2}, {}), a, I({}, {0})}, .expected = {a}});
  registry.Add("Concat")
      .Doc("The tensors one after the other along an axis: the older form of ConcatV2.")
      .In("concat_dim", kInt32)
      .InList("values", "N", "T")
      .Out("output", "T")
      .Attr("N", 2)
      .Minimum(2)
      .TypeAttr("T")
      .Shape(ConcatShape<true>)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchStorage(RemoveRef(node.input(1).dtype()),
                               []<typename S>() -> KernelFunction { return Concat<S, true>; });
      })
      .Gradient(ConcatGradient<true>)
      .Example({.name = "rows",
                .inputs = {I({}, {0}), a, b},
                .expected = {F({3, 2}, {1, 2, 3, 4, 5, 6})},
                .constant_inputs = {0}})
      .Example({.name = "columns",
                .inputs = {I({}, {-1}), F({2, 1}, {1, 2}), b},
                .expected = {F({2, 3}, {1, 3, 4, 2, 5, 6})}})
      .Example({.name = "empty", .inputs = {I({}, {0}), F({0, 2}, {}), a}, .expected = {a}});
  registry.Add("ConcatOffset")
      .Doc("Where each of the shapes begins in their concatenation.")
      .In("concat_dim", kInt32)
      .InList("shape", "N", kInt32)
      .OutList("offset", "N", "shape_type")
      .Attr("N", 2)
      .Minimum(1)
      .TypeAttr("shape_type", {kInt32}, kInt32)
      .Shape([](InferenceContext& c) {
        for (int k = 1; k < c.num_inputs(); ++k) c.set_output(k - 1, c.input(k));
        return absl::OkStatus();
      })
      .Kernel(MakeConcatOffset)
      .NotDifferentiable("it works on shapes")
      .Example({.name = "rows",
                .inputs = {I({}, {0}), I({2}, {1, 2}), I({2}, {2, 2})},
                .attrs = {{"N", 2}},
                .expected = {I({2}, {0, 0}), I({2}, {1, 0})}})
      .Example({.name = "columns",
                .inputs = {I({}, {1}), I({2}, {2, 3}), I({2}, {2, 2})},
                .attrs = {{"N", 2}},
                .expected = {I({2}, {0, 0}), I({2}, {0, 3})}})
      .Example({.name = "one",
                .inputs = {I({}, {0}), I({1}, {4})},
                .attrs = {{"N", 1}},
                .expected = {I({1}, {0})}});
  registry.Add("Pack")
      .Doc("The tensors along a new axis.")
      .InList("values", "N", "T")
      .Out("output", "T")
      .Attr("N", 1)
      .Minimum(1)
      .TypeAttr("T")
      .Attr("axis", 0)
      .Shape(PackShape)
      .PartialValue(
          [](const Node& node, int depth) { return JoinedValues(node, node.num_inputs(), depth); })
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        const auto axis = node.attr<int64_t>("axis");
        return DispatchStorage(
            RemoveRef(node.input(0).dtype()), [axis]<typename S>() -> KernelFunction {
              return [axis](KernelContext& context) { return Pack<S>(context, axis); };
            });
      })
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        const int count = g.node().num_inputs();
        const Node* parts = g.OpNode("Unpack", {g.dy()},
                                     {{"num", count}, {"axis", g.node().attr<int64_t>("axis")}});
        std::vector<Output> gradients;
        for (int k = 0; parts != nullptr && k < count; ++k) gradients.push_back(parts->output(k));
        return gradients;
      })
      .Example(
          {.name = "scalars", .inputs = {F({}, {1}), F({}, {2})}, .expected = {F({2}, {1, 2})}})
      .Example({.name = "columns",
                .inputs = {F({2}, {1, 2}), F({2}, {3, 4})},
                .attrs = {{"axis", -1}},
                .expected = {F({2, 2}, {1, 3, 2, 4})}})
      .Example({.name = "empty", .inputs = {F({0}, {}), F({0}, {})}, .expected = {F({2, 0}, {})}});
  registry.Add("Unpack")
      .Doc("The parts along an axis, which goes.")
      .In("value", "T")
      .OutList("output", "num", "T")
      .RequiredAttr("num", AttrKind::kInt)
      .Minimum(0)
      .TypeAttr("T")
      .Attr("axis", 0)
      .Shape(UnpackShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        const auto axis = node.attr<int64_t>("axis");
        return DispatchStorage(
            RemoveRef(node.input(0).dtype()), [axis]<typename S>() -> KernelFunction {
              return [axis](KernelContext& context) { return Unpack<S>(context, axis); };
            });
      })
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        std::vector<Output> parts;
        for (int k = 0; k < g.node().num_outputs(); ++k) parts.push_back(g.dy(k));
        return {g.Op("Pack", parts, {{"axis", g.node().attr<int64_t>("axis")}})};
      })
      .Example({.name = "rows",
                .inputs = {F({2, 2}, {1, 2, 3, 4})},
                .attrs = {{"num", 2}},
                .expected = {F({2}, {1, 2}), F({2}, {3, 4})}})
      .Example({.name = "columns",
                .inputs = {F({2, 2}, {1, 2, 3, 4})},
                .attrs = {{"num", 2}, {"axis", -1}},
                .expected = {F({2}, {1, 3}), F({2}, {2, 4})}})
      .Example({.name = "empty",
                .inputs = {F({1, 0}, {})},
                .attrs = {{"num", 1}},
                .expected = {F({0}, {})}});
}

}  // namespace espalier
