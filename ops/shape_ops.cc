// Shapes as tensors, and tensors under other shapes: Shape, Size, Rank, Reshape, ExpandDims,
// Squeeze. Tested by the registry test.
#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/runtime/kernel.h"

namespace espalier {
namespace {

constexpr char kOfShape[] = "its output depends on the shape alone";

// `values` as a tensor of attr out_type.
absl::Status SetIntegers(KernelContext& context, DType type, const Shape& shape,
                         const std::vector<int64_t>& values, int output = 0) {
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(type, shape));
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == kInt64) {
      y.mutable_data<int64_t>()[i] = values[i];
    } else if (values[i] > std::numeric_limits<int32_t>::max()) {
      return absl::InvalidArgumentError(absl::StrCat(values[i], " does not fit out_type int32"));
    } else {
      y.mutable_data<int32_t>()[i] = static_cast<int32_t>(values[i]);
    }
  }
  context.set_output(output, std::move(y));
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeShape(const Node& node) {
  return KernelFunction([type = node.attr<DType>("out_type")](KernelContext& context) {
    const Shape& shape = context.input(0).shape();
    return SetIntegers(context, type, {shape.rank()}, shape.as_list());
  });
}

absl::StatusOr<KernelFunction> MakeSize(const Node& node) {
  return KernelFunction([type = node.attr<DType>("out_type")](KernelContext& context) {
    return SetIntegers(context, type, {}, {context.input(0).num_elements()});
  });
}

absl::StatusOr<KernelFunction> MakeRank(const Node&) {
  return KernelFunction([](KernelContext& context) {
    return SetIntegers(context, kInt32, {}, {context.input(0).rank()});
  });
}

// The dimension written as -1 gets what the others leave.
absl::StatusOr<Shape> ResolveReshape(const Shape& from, const std::vector<int64_t>& dims) {
  Shape shape(dims);
  int unknown = -1;
  int64_t known = 1;
  for (int i = 0; i < shape.rank(); ++i) {
    if (dims[i] == -1) {
      if (unknown >= 0) return absl::InvalidArgumentError("only one dimension may be -1");
      unknown = i;
    } else if (dims[i] < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("size ", i, " must not be negative, received ", dims[i]));
    } else {
      ASSIGN_OR_RETURN(known, CheckedMultiply(known, dims[i]));
    }
  }
  const int64_t elements = from.num_elements();
  if (unknown >= 0) {
    if (known == 0 || elements % known != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot reshape ", from.ToString(), " to ", shape.ToString()));
    }
    shape.set_dim(unknown, elements / known);
  } else if (known != elements) {
    return absl::InvalidArgumentError(absl::StrCat("cannot reshape ", from.ToString(), " (",
                                                   elements, " elements) to ", shape.ToString(),
                                                   " (", known, " elements)"));
  }
  return shape;
}

absl::StatusOr<KernelFunction> MakeReshape(const Node&) {
  return KernelFunction([](KernelContext& context) -> absl::Status {
    const Tensor& sizes = context.input(1);
    ASSIGN_OR_RETURN(std::vector<int64_t> dims, IntegerVector(sizes, "the shape"));
    if (sizes.rank() != 1 || dims.size() > Shape::kMaxRank) {
      return absl::InvalidArgumentError(
          absl::StrCat("the shape must be a vector, received shape ", sizes.shape().ToString()));
    }
    ASSIGN_OR_RETURN(Shape shape, ResolveReshape(context.input(0).shape(), dims));
    ASSIGN_OR_RETURN(Tensor view, context.input(0).Reshaped(shape));
    context.set_output(0, std::move(view));
    return absl::OkStatus();
  });
}

absl::Status ReshapeShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(Shape shape, c.ShapeFromInput(1));
  const Shape& input = c.input(0);
  if (shape.has_rank() && c.constant(1) != nullptr) {
    if (std::count(shape.dims().begin(), shape.dims().end(), -1) > 1) {
      return absl::InvalidArgumentError("only one dimension may be -1");
    }
    if (input.IsFullyKnown()) {
      ASSIGN_OR_RETURN(shape, ResolveReshape(input, shape.as_list()));
    }
  }
  c.set_output(0, shape);
  return absl::OkStatus();
}

std::vector<Output> ReshapeGradient(const GradientContext& g) {
  return {g.Op("Reshape", {g.dy(), g.ShapeOf(g.x(0))}), Output()};
}

absl::StatusOr<Shape> ExpandedShape(const Shape& shape, int64_t axis) {
  ASSIGN_OR_RETURN(int64_t normal, NormalizeAxis(axis, shape.rank() + 1));
  std::vector<int64_t> dims = shape.as_list();
  dims.insert(dims.begin() + normal, 1);
  return Shape(dims);
}

absl::StatusOr<KernelFunction> MakeExpandDims(const Node&) {
  return KernelFunction([](KernelContext& context) -> absl::Status {
    ASSIGN_OR_RETURN(std::vector<int64_t> axis, IntegerVector(context.input(1), "the axis"));
    if (axis.size() != 1) return absl::InvalidArgumentError("the axis must be one number");
    ASSIGN_OR_RETURN(Shape shape, ExpandedShape(context.input(0).shape(), axis[0]));
    ASSIGN_OR_RETURN(Tensor view, context.input(0).Reshaped(shape));
    context.set_output(0, std::move(view));
    return absl::OkStatus();
  });
}

absl::Status ExpandDimsShape(InferenceContext& c) {
  if (!c.input(0).has_rank()) return absl::OkStatus();
  const auto axis = c.constant_ints(1);
  if (!axis) {
    c.set_output(0, Shape::UnknownOfRank(c.input(0).rank() + 1));
    return absl::OkStatus();
  }
  if (axis->size() != 1) return absl::InvalidArgumentError("the axis must be one number");
  ASSIGN_OR_RETURN(Shape shape, ExpandedShape(c.input(0), (*axis)[0]));
  c.set_output(0, shape);
  return absl::OkStatus();
}

// Without dims: all that are 1. Unknown dimensions stay when named only.
absl::StatusOr<Shape> SqueezedShape(const Shape& shape, const std::vector<int64_t>& squeeze) {
  std::vector<bool> drop(shape.rank());
  for (int64_t axis : squeeze) {
    ASSIGN_OR_RETURN(int64_t normal, NormalizeAxis(axis, shape.rank()));
    const int64_t size = shape.dim(static_cast<int>(normal));
    if (size >= 0 && size != 1) {
      return absl::InvalidArgumentError(absl::StrCat("dimension ", axis, " of ", shape.ToString(),
                                                     " is not 1 and cannot be squeezed"));
    }
    drop[normal] = true;
  }
  Shape out;
  for (int i = 0; i < shape.rank(); ++i) {
    const bool dropped = squeeze.empty() ? shape.dim(i) == 1 : drop[i];
    if (squeeze.empty() && shape.dim(i) < 0) return Shape::Unknown();
    if (!dropped) out.push_back(shape.dim(i));
  }
  return out;
}

absl::StatusOr<KernelFunction> MakeSqueeze(const Node& node) {
  return KernelFunction([dims = node.attr<std::vector<int64_t>>("squeeze_dims")](
                            KernelContext& context) -> absl::Status {
    ASSIGN_OR_RETURN(Shape shape, SqueezedShape(context.input(0).shape(), dims));
    ASSIGN_OR_RETURN(Tensor view, context.input(0).Reshaped(shape));
    context.set_output(0, std::move(view));
    return absl::OkStatus();
  });
}

absl::Status SqueezeShape(InferenceContext& c) {
  if (!c.input(0).has_rank()) return absl::OkStatus();
  ASSIGN_OR_RETURN(Shape shape,
                   SqueezedShape(c.input(0), c.node().attr<std::vector<int64_t>>("squeeze_dims")));
  c.set_output(0, shape);
  return absl::OkStatus();
}

absl::Status ShapeShape(InferenceContext& c) {
  c.set_output(0, {c.input(0).rank()});
  return absl::OkStatus();
}

}  // namespace

void RegisterShapeOps(OpRegistry& registry) {
  const Tensor m = F({2, 3}, {1, 2, 3, 4, 5, 6});
  registry.Add("Shape")
      .Doc("The shape as a vector of out_type.")
      .In("input", "T")
      .Out("output", "out_type")
      .TypeAttr("T")
      .TypeAttr("out_type", kIndexDTypes, kInt32)
      .Shape(ShapeShape)
      .PartialValue([](const Node& node, int) -> std::optional<std::vector<int64_t>> {
        if (!node.input(0).shape().has_rank()) return std::nullopt;
        return node.input(0).shape().as_list();
      })
      .Kernel(MakeShape)
      .NotDifferentiable(kOfShape)
      .Example({.name = "matrix", .inputs = {m}, .expected = {I({2}, {2, 3})}})
      .Example({.name = "scalar",
                .inputs = {F({}, {1})},
                .attrs = {{"out_type", kInt64}},
                .expected = {L({0}, {})}})
      .Example({.name = "empty", .inputs = {F({0, 4}, {})}, .expected = {I({2}, {0, 4})}});
  registry.Add("ShapeN")
      .Doc("The shape of each input as a vector of out_type.")
      .InList("input", "N", "T")
      .OutList("output", "N", "out_type")
      .Attr("N", 1)
      .Minimum(1)
      .TypeAttr("T")
      .TypeAttr("out_type", kIndexDTypes, kInt32)
      .Shape([](InferenceContext& c) {
        for (int i = 0; i < c.num_inputs(); ++i) c.set_output(i, {c.input(i).rank()});
        return absl::OkStatus();
      })
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return KernelFunction(
            [type = node.attr<DType>("out_type")](KernelContext& context) -> absl::Status {
              for (int i = 0; i < context.num_inputs(); ++i) {
                const Shape& shape = context.input(i).shape();
                RETURN_IF_ERROR(SetIntegers(context, type, {shape.rank()}, shape.as_list(), i));
              }
              return absl::OkStatus();
            });
      })
      .NotDifferentiable(kOfShape)
      .Example({.name = "two",
                .inputs = {m, F({}, {1})},
                .attrs = {{"N", 2}},
                .expected = {I({2}, {2, 3}), I({0}, {})}})
      .Example({.name = "int64",
                .inputs = {m},
                .attrs = {{"N", 1}, {"out_type", kInt64}},
                .expected = {L({2}, {2, 3})}})
      .Example({.name = "empty",
                .inputs = {F({0}, {})},
                .attrs = {{"N", 1}},
                .expected = {I({1}, {0})}});
  registry.Add("Size")
      .Doc("The number of elements.")
      .In("input", "T")
      .Out("output", "out_type")
      .TypeAttr("T")
      .TypeAttr("out_type", kIndexDTypes, kInt32)
      .Shape(ScalarShape)
      .Kernel(MakeSize)
      .NotDifferentiable(kOfShape)
      .Example({.name = "matrix", .inputs = {m}, .expected = {I({}, {6})}})
      .Example({.name = "scalar",
                .inputs = {F({}, {1})},
                .attrs = {{"out_type", kInt64}},
                .expected = {L({}, {1})}})
      .Example({.name = "empty", .inputs = {F({0, 4}, {})}, .expected = {I({}, {0})}});
  registry.Add("Rank")
      .Doc("The number of dimensions.")
      .In("input", "T")
      .Out("output", kInt32)
      .TypeAttr("T")
      .Shape(ScalarShape)
      .Kernel(MakeRank)
      .NotDifferentiable(kOfShape)
      .Example({.name = "matrix", .inputs = {m}, .expected = {I({}, {2})}})
      .Example({.name = "scalar", .inputs = {F({}, {1})}, .expected = {I({}, {0})}})
      .Example({.name = "empty", .inputs = {F({0, 4, 1}, {})}, .expected = {I({}, {3})}});
  registry.Add("Reshape")
      .Doc("The same elements under another shape, without a copy; one size may be -1.")
      .In("tensor", "T")
      .In("shape", "Tshape")
      .Out("output", "T")
      .TypeAttr("T")
      .TypeAttr("Tshape", kIndexDTypes, kInt32)
      .Shape(ReshapeShape)
      .Kernel(MakeReshape)
      .Gradient(ReshapeGradient)
      .Example({.name = "inferred",
                .inputs = {m, I({2}, {3, -1})},
                .expected = {F({3, 2}, {1, 2, 3, 4, 5, 6})},
                .constant_inputs = {1}})
      .Example(
          {.name = "to scalar", .inputs = {F({1, 1}, {7}), L({0}, {})}, .expected = {F({}, {7})}})
      .Example({.name = "empty",
                .inputs = {F({0, 4}, {}), I({3}, {2, 0, 5})},
                .expected = {F({2, 0, 5}, {})}});
  registry.Add("ExpandDims")
      .Doc("Inserts a dimension of 1 at axis.")
      .In("input", "T")
      .In("dim", "Tdim")
      .Out("output", "T")
      .TypeAttr("T")
      .TypeAttr("Tdim", kIndexDTypes, kInt32)
      .Shape(ExpandDimsShape)
      .Kernel(MakeExpandDims)
      .Gradient(ReshapeGradient)
      .Example({.name = "front",
                .inputs = {F({2}, {1, 2}), I({}, {0})},
                .expected = {F({1, 2}, {1, 2})},
                .constant_inputs = {1}})
      .Example({.name = "back",
                .inputs = {F({2}, {1, 2}), I({}, {-1})},
                .expected = {F({2, 1}, {1, 2})}})
      .Example({.name = "empty", .inputs = {F({0}, {}), I({}, {1})}, .expected = {F({0, 1}, {})}});
  registry.Add("Squeeze")
      .Doc("Drops dimensions of 1: those in squeeze_dims, or all.")
      .In("input", "T")
      .Out("output", "T")
      .TypeAttr("T")
      .Attr("squeeze_dims", std::vector<int64_t>())
      .Shape(SqueezeShape)
      .Kernel(MakeSqueeze)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("Reshape", {g.dy(), g.ShapeOf(g.x(0))})};
      })
      .Example({.name = "all", .inputs = {F({1, 2, 1}, {1, 2})}, .expected = {F({2}, {1, 2})}})
      .Example({.name = "one",
                .inputs = {F({1, 2, 1}, {1, 2})},
                .attrs = {{"squeeze_dims", std::vector<int64_t>{-1}}},
                .expected = {F({1, 2}, {1, 2})}})
      .Example({.name = "empty", .inputs = {F({1, 0}, {})}, .expected = {F({0}, {})}});
}

}  // namespace espalier
