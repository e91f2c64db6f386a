// Einsum of one or two operands: each operand's own axes are summed or taken on the diagonal, then
// one batched product [batch, left, sum] x [batch, sum, right] does the rest. Tested by the
// registry test.
#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/matrix_product.h"

namespace espalier {
namespace {

// A label is a letter; the dimensions that an ellipsis stands for get labels of their own, counted
// from the last, so that they broadcast as shapes do.
constexpr int kFirstEllipsisLabel = 256;
using Labels = std::vector<int>;

struct Equation {
  std::vector<std::string> inputs;
  std::string output;
};

absl::StatusOr<Equation> ParseEquation(const std::string& text, int operands) {
  const std::string compact = absl::StrReplaceAll(text, {{" ", ""}});
  const std::vector<std::string> sides = absl::StrSplit(compact, "->");
  if (sides.size() != 2) {
    return absl::InvalidArgumentError(absl::StrCat("the equation '", text, "' must have one '->'"));
  }
  Equation equation = {.inputs = absl::StrSplit(sides[0], ','), .output = sides[1]};
  if (static_cast<int>(equation.inputs.size()) != operands || operands < 1 || operands > 2) {
    return absl::InvalidArgumentError(absl::StrCat("the equation '", text, "' is for ",
                                                   equation.inputs.size(), " operands, received ",
                                                   operands, "; 1 or 2 are supported"));
  }
  return equation;
}

// `rank` tells how many dimensions an ellipsis covers.
absl::StatusOr<Labels> ParseLabels(const std::string& text, int rank) {
  Labels labels;
  const int letters = static_cast<int>(
      std::count_if(text.begin(), text.end(), [](char c) { return c != '.' && c != ' '; }));
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ') continue;
    if (text.compare(i, 3, "...") == 0) {
      for (int k = rank - letters; k > 0; --k) labels.push_back(kFirstEllipsisLabel + k);
      i += 2;
    } else if (absl::ascii_isalpha(static_cast<unsigned char>(text[i]))) {
      labels.push_back(static_cast<unsigned char>(text[i]));
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("'", text, "' has more than letters and '...'"));
    }
  }
  if (static_cast<int>(labels.size()) != rank) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' does not fit an operand of rank ", rank));
  }
  return labels;
}

struct Plan {
  std::vector<Labels> inputs;
  Labels output;       // each label once
  Labels full_output;  // as asked for: a label given twice puts the result on a diagonal
  std::map<int, int64_t> sizes;
};

absl::StatusOr<Plan> MakePlan(const Equation& equation, const std::vector<Shape>& shapes) {
  Plan plan;
  int ellipsis = 0;
  for (size_t i = 0; i < shapes.size(); ++i) {
    ASSIGN_OR_RETURN(Labels labels, ParseLabels(equation.inputs[i], shapes[i].rank()));
    for (int d = 0; d < shapes[i].rank(); ++d) {
      ellipsis = std::max(ellipsis, labels[d] - kFirstEllipsisLabel);
      auto [known, fresh] = plan.sizes.emplace(labels[d], shapes[i].dim(d));
      int64_t& size = known->second;
      if (fresh || size == shapes[i].dim(d)) continue;
      const bool broadcasts = labels[d] > kFirstEllipsisLabel;
      if (size < 0 || (broadcasts && size == 1)) {
        size = shapes[i].dim(d);
      } else if (shapes[i].dim(d) >= 0 && !(broadcasts && shapes[i].dim(d) == 1)) {
        return absl::InvalidArgumentError(
            absl::StrCat("a label stands for dimensions of ", size, " and of ", shapes[i].dim(d)));
      }
    }
    plan.inputs.push_back(std::move(labels));
  }
  const int letters = static_cast<int>(std::count_if(equation.output.begin(), equation.output.end(),
                                                     [](char c) { return c != '.' && c != ' '; }));
  const bool dots = equation.output.find("...") != std::string::npos;
  ASSIGN_OR_RETURN(plan.full_output, ParseLabels(equation.output, letters + (dots ? ellipsis : 0)));
  for (const int label : plan.full_output) {
    if (!plan.sizes.contains(label)) {
      return absl::InvalidArgumentError(
          absl::StrCat("a label of the output '", equation.output, "' is in no input"));
    }
    if (std::find(plan.output.begin(), plan.output.end(), label) == plan.output.end())
      plan.output.push_back(label);
  }
  return plan;
}

Shape ShapeOf(const Plan& plan, const Labels& labels) {
  Shape shape;
  for (const int label : labels) shape.push_back(plan.sizes.at(label));
  return shape;
}

// x, whose dimensions carry `labels`, as a contiguous tensor with dimensions `wanted`: labels given
// twice are walked along the diagonal, labels that are not wanted are summed, dimensions of 1
// repeat.
template <typename T>
absl::StatusOr<Tensor> Arrange(const KernelContext& context, const Plan& plan, const Tensor& x,
                               const Labels& labels, const Labels& wanted) {
  const std::vector<int64_t> x_strides = StridesOf(x.shape());
  const auto stride_of = [&](int label) {
    int64_t stride = 0;
    for (size_t d = 0; d < labels.size(); ++d) {
      if (labels[d] == label && x.dim(static_cast<int>(d)) != 1) stride += x_strides[d];
    }
    return stride;
  };
  Labels summed;
  for (const int label : labels) {
    if (std::find(wanted.begin(), wanted.end(), label) == wanted.end() &&
        std::find(summed.begin(), summed.end(), label) == summed.end())
      summed.push_back(label);
  }
  std::vector<int64_t> strides, sum_strides;
  for (const int label : wanted) strides.push_back(stride_of(label));
  for (const int label : summed) sum_strides.push_back(stride_of(label));
  const Shape sum_shape = ShapeOf(plan, summed);
  const std::vector<int64_t> offsets = OffsetsOf(sum_shape, sum_strides);
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), ShapeOf(plan, wanted)));
  const T* from = x.data<T>();
  T* to = y.mutable_data<T>();
  ForEachStrided(context, y.shape(), strides, [&](int64_t i, int64_t at) {
    ComputeType<T> sum(0);
    for (const int64_t offset : offsets) sum += static_cast<ComputeType<T>>(from[at + offset]);
    to[i] = static_cast<T>(sum);
  });
  return y;
}

// Output 0 becomes y, whose dimensions carry plan.output, or zeros with y on their diagonals.
template <typename T>
absl::Status SetResult(KernelContext& context, const Plan& plan, Tensor y) {
  if (plan.full_output.size() > plan.output.size()) {
    ASSIGN_OR_RETURN(Tensor full, context.Allocate(y.dtype(), ShapeOf(plan, plan.full_output)));
    const std::vector<int64_t> full_strides = StridesOf(full.shape());
    std::vector<int64_t> strides(plan.output.size(), 0);
    for (size_t d = 0; d < plan.output.size(); ++d) {
      for (size_t k = 0; k < plan.full_output.size(); ++k) {
        if (plan.full_output[k] == plan.output[d]) strides[d] += full_strides[k];
      }
    }
    T* to = full.mutable_data<T>();
    std::fill_n(to, full.num_elements(), T(0));
    ForEachStrided(context, y.shape(), strides,
                   [&](int64_t i, int64_t at) { to[at] = y.data<T>()[i]; });
    y = std::move(full);
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <typename T>
absl::Status Contract(KernelContext& context, const Plan& plan) {
  const auto has = [](const Labels& labels, int label) {
    return std::find(labels.begin(), labels.end(), label) != labels.end();
  };
  if (plan.inputs.size() == 1) {
    ASSIGN_OR_RETURN(Tensor y,
                     Arrange<T>(context, plan, context.input(0), plan.inputs[0], plan.output));
    return SetResult<T>(context, plan, std::move(y));
  }
  Labels batch, left, right, summed;
  for (const int label : plan.output) {
    const bool in_left = has(plan.inputs[0], label), in_right = has(plan.inputs[1], label);
    (in_left && in_right ? batch : in_left ? left : right).push_back(label);
  }
  for (const auto& [label, size] : plan.sizes) {
    if (!has(plan.output, label) && has(plan.inputs[0], label) && has(plan.inputs[1], label))
      summed.push_back(label);
  }
  const auto join = [](Labels a, const Labels& b, const Labels& c) {
    a.insert(a.end(), b.begin(), b.end());
    a.insert(a.end(), c.begin(), c.end());
    return a;
  };
  ASSIGN_OR_RETURN(Tensor a, Arrange<T>(context, plan, context.input(0), plan.inputs[0],
                                        join(batch, left, summed)));
  ASSIGN_OR_RETURN(Tensor b, Arrange<T>(context, plan, context.input(1), plan.inputs[1],
                                        join(batch, right, summed)));
  const Labels product = join(batch, left, right);
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(context.input(0).dtype(), ShapeOf(plan, product)));
  const int64_t m = ShapeOf(plan, left).num_elements(), n = ShapeOf(plan, right).num_elements();
  const int64_t k = ShapeOf(plan, summed).num_elements();
  const int64_t batches = ShapeOf(plan, batch).num_elements();
  if (k == 0) std::fill_n(y.mutable_data<T>(), y.num_elements(), T(0));
  if (y.num_elements() > 0 && k > 0) {
    context.ParallelFor(
        batches, std::max<int64_t>(1, (1 << 18) / (m * n * k)), [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            MultiplyRows(a.data<T>() + i * m * k, b.data<T>() + i * n * k,
                         y.mutable_data<T>() + i * m * n, m, k, n, false, true, 0, m);
          }
        });
  }
  if (product != plan.output) {
    ASSIGN_OR_RETURN(y, Arrange<T>(context, plan, y, product, plan.output));
  }
  return SetResult<T>(context, plan, std::move(y));
}

std::vector<Shape> InputShapes(const KernelContext& context) {
  std::vector<Shape> shapes;
  for (int i = 0; i < context.num_inputs(); ++i) shapes.push_back(context.input(i).shape());
  return shapes;
}

absl::StatusOr<KernelFunction> MakeEinsum(const Node& node) {
  ASSIGN_OR_RETURN(Equation equation,
                   ParseEquation(node.attr<std::string>("equation"), node.num_inputs()));
  return DispatchType(MatMulTypes(), RemoveRef(node.input(0).dtype()),
                      [equation]<typename T>() -> KernelFunction {
                        return [equation](KernelContext& context) -> absl::Status {
                          ASSIGN_OR_RETURN(Plan plan, MakePlan(equation, InputShapes(context)));
                          return Contract<T>(context, plan);
                        };
                      });
}

absl::Status EinsumShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(Equation equation,
                   ParseEquation(c.node().attr<std::string>("equation"), c.num_inputs()));
  std::vector<Shape> shapes;
  for (int i = 0; i < c.num_inputs(); ++i) {
    if (!c.input(i).has_rank()) return absl::OkStatus();
    shapes.push_back(c.input(i));
  }
  ASSIGN_OR_RETURN(Plan plan, MakePlan(equation, shapes));
  c.set_output(0, ShapeOf(plan, plan.full_output));
  return absl::OkStatus();
}

bool Has(const std::string& text, char c) { return text.find(c) != std::string::npos; }

// The letters of an operand, each once, before and behind its ellipsis.
struct Letters {
  std::string front, back;
  bool dots = false;

  explicit Letters(const std::string& text) {
    for (const char c : text) {
      if (c == '.') dots = true;
      if (!absl::ascii_isalpha(static_cast<unsigned char>(c)) || Has(front + back, c)) continue;
      (dots ? back : front) += c;
    }
  }
  // The operand's text with those letters alone that `other` has too.
  std::string SharedWith(const std::string& other) const {
    std::string text;
    for (const char c : front) text += Has(other, c) ? std::string(1, c) : "";
    if (dots && Has(other, '.')) text += "...";
    for (const char c : back) text += Has(other, c) ? std::string(1, c) : "";
    return text;
  }
};

Output OneEinsum(const GradientContext& g, const Output& x, const std::string& from,
                 const std::string& to) {
  return g.Op("Einsum", {x}, {{"equation", absl::StrCat(from, "->", to)}, {"N", 1}});
}

// d/dx of "x,y->z" is "z,y->x"; along a label that x alone has it is the same everywhere; what x
// had on a diagonal comes back on one.
Output GradientOf(const GradientContext& g, const Equation& equation, int i) {
  const bool two = g.node().num_inputs() == 2;
  const std::string from =
      two ? absl::StrCat(equation.output, ",", equation.inputs[1 - i]) : equation.output;
  const std::string& mine = equation.inputs[i];
  const Letters letters(mine);
  const std::string once = absl::StrCat(letters.front, letters.dots ? "..." : "", letters.back);
  const std::string reached = letters.SharedWith(from);
  std::vector<Output> operands = {g.dy()};
  if (two) operands.push_back(g.x(1 - i));
  Output gradient = g.Op("Einsum", operands,
                         {{"equation", absl::StrCat(from, "->", reached)},
                          {"N", static_cast<int64_t>(operands.size())}});
  const Output x = once == mine ? g.x(i) : OneEinsum(g, g.x(i), mine, once);
  if (reached != once || letters.dots) {
    const auto expand = [&](int axis) {
      gradient = g.Op("ExpandDims", {gradient, g.Scalar(g.ShapeOf(g.x(i)), axis)});
    };
    for (size_t k = 0; k < letters.front.size(); ++k) {
      if (!Has(reached, letters.front[k])) expand(static_cast<int>(k));
    }
    for (size_t k = letters.back.size(); k > 0; --k) {
      const int from_end = static_cast<int>(letters.back.size() - k) + 1;
      if (!Has(reached, letters.back[k - 1])) expand(-from_end);
    }
    // Spread over those, and summed where an ellipsis was broadcast.
    const Output spread = g(gradient) + g(g.Op("ZerosLike", {x}));
    gradient = SumToShapeOf(g, spread, x, spread);
  }
  return once == mine ? gradient : OneEinsum(g, gradient, once, mine);
}

std::vector<Output> EinsumGradient(const GradientContext& g) {
  const auto equation =
      ParseEquation(g.node().attr<std::string>("equation"), g.node().num_inputs());
  if (!equation.ok()) return {};  // the shape function has refused it
  std::vector<Output> gradients;
  for (int i = 0; i < g.node().num_inputs(); ++i) gradients.push_back(GradientOf(g, *equation, i));
  return gradients;
}

}  // namespace

void RegisterEinsum(OpRegistry& registry) {
  const Tensor a = F({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor b = F({3, 2}, {1, -1, 0.5f, 2, 3, 0});
  registry.Add("Einsum")
      .Doc("Sums of products by labelled axes (Einstein's convention), of one or two operands.")
      .InList("inputs", "N", "T")
      .Out("output", "T")
      .RequiredAttr("equation", AttrKind::kString)
      .Attr("N", 1)
      .Minimum(1)
      .TypeAttr("T", {kFloat, kDouble, kHalf, kInt32, kInt64})
      .Shape(EinsumShape)
      .Kernel(MakeEinsum)
      .Gradient(EinsumGradient)
      .Example({.name = "matrix product",
                .inputs = {a, b},
                .attrs = {{"equation", "ij,jk->ik"}},
                .expected = {F({2, 2}, {11, 3, 24.5f, 6})}})
      .Example({.name = "transpose",
                .inputs = {a},
                .attrs = {{"equation", "ij->ji"}},
                .expected = {F({3, 2}, {1, 4, 2, 5, 3, 6})}})
      .Example({.name = "sums",
                .inputs = {a},
                .attrs = {{"equation", "ij->i"}},
                .expected = {F({2}, {6, 15})}})
      .Example({.name = "ellipsis",
                .inputs = {F({2, 1, 2}, {1, 2, 3, 4}), F({2, 2}, {1, 0.5f, -1, 2})},
                .attrs = {{"equation", "...ij,jk->...ki"}},
                .expected = {F({2, 2, 1}, {-1, 4.5f, -1, 9.5f})}})
      .Example({.name = "an axis of one operand alone",
                .inputs = {a, F({2}, {2, 3})},
                .attrs = {{"equation", "ij,i->i"}},
                .expected = {F({2}, {12, 45})}})
      .Example({.name = "diagonal",
                .inputs = {F({2, 2}, {1, 2, 3, 4})},
                .attrs = {{"equation", "ii->i"}},
                .expected = {F({2}, {1, 4})}})
      .Example({.name = "onto a diagonal",
                .inputs = {F({2}, {1, 4})},
                .attrs = {{"equation", "i->ii"}},
                .expected = {F({2, 2}, {1, 0, 0, 4})}})
      .Example({.name = "trace",
                .inputs = {F({2, 2}, {1, 2, 3, 4})},
                .attrs = {{"equation", "ii->"}},
                .expected = {F({}, {5})}})
      .Example({.name = "ellipsis in the middle",
                .inputs = {F({2, 1, 2}, {1, 2, 3, 4}), F({2}, {1, 0.5f})},
                .attrs = {{"equation", "i...j,i->j..."}},
                .expected = {F({2, 1}, {2.5f, 4})}})
      .Example({.name = "empty",
                .inputs = {F({0, 3}, {}), b},
                .attrs = {{"equation", "ij,jk->ik"}},
                .expected = {F({0, 2}, {})}});
}

}  // namespace espalier
