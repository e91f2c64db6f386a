// The optimizers' update ops, dense and sparse, on ref and on resource variables: one rule each,
// one kernel for all. Tested by the registry test and resource_variables_test.cc.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

// A rule sees one element: p[k] is its value in variable k, g its gradient, s are the scalars in
// the order of the inputs. Prepare turns the scalars into others once.
struct NoPreparation {
  template <typename T>
  static void Prepare(T*) {}
};

struct GradientDescent : NoPreparation {
  static constexpr int kSlots = 1;
  template <typename T>
  static void Step(T* p, T g, const T* s, bool) {
    p[0] -= s[0] * g;
  }
};
struct Momentum : NoPreparation {
  static constexpr int kSlots = 2;
  template <typename T>
  static void Step(T* p, T g, const T* s, bool nesterov) {
    p[1] = p[1] * s[1] + g;
    p[0] -= nesterov ? g * s[0] + p[1] * s[1] * s[0] : p[1] * s[0];
  }
};
// Kingma & Ba 2015, with the bias corrections folded into the rate.
struct Adam {
  static constexpr int kSlots = 3;
  template <typename T>
  static void Prepare(T* s) {
    s[2] = s[2] * std::sqrt(1 - s[1]) / (1 - s[0]);
  }
  template <typename T>
  static void Step(T* p, T g, const T* s, bool nesterov) {
    p[1] += (g - p[1]) * (1 - s[3]);
    p[2] += (g * g - p[2]) * (1 - s[4]);
    const T direction = nesterov ? g * (1 - s[3]) + s[3] * p[1] : p[1];
    p[0] -= direction * s[2] / (std::sqrt(p[2]) + s[5]);
  }
};
struct AdaMax {
  static constexpr int kSlots = 3;
  template <typename T>
  static void Prepare(T* s) {
    s[1] = s[1] / (1 - s[0]);
  }
  template <typename T>
  static void Step(T* p, T g, const T* s, bool) {
    p[1] += (g - p[1]) * (1 - s[2]);
    p[2] = std::max(s[3] * p[2], std::abs(g));
    p[0] -= s[1] * p[1] / (p[2] + s[4]);
  }
};
// Duchi et al. 2011.
struct Adagrad : NoPreparation {
  static constexpr int kSlots = 2;
  template <typename T>
  static void Step(T* p, T g, const T* s, bool update_slots) {
    if (update_slots) p[1] += g * g;
    p[0] -= s[0] * g / std::sqrt(p[1]);
  }
};
struct AdagradV2 : NoPreparation {
  static constexpr int kSlots = 2;
  template <typename T>
  static void Step(T* p, T g, const T* s, bool update_slots) {
    if (update_slots) p[1] += g * g;
    p[0] -= s[0] * g / (std::sqrt(p[1]) + s[1]);
  }
};
struct RmsProp : NoPreparation {
  static constexpr int kSlots = 3;
  template <typename T>
  static void Step(T* p, T g, const T* s, bool) {
    p[1] += (g * g - p[1]) * (1 - s[1]);
    p[2] = p[2] * s[2] + s[0] * g / std::sqrt(p[1] + s[3]);
    p[0] -= p[2];
  }
};
struct CenteredRmsProp : NoPreparation {
  static constexpr int kSlots = 4;
  template <typename T>
  static void Step(T* p, T g, const T* s, bool) {
    p[2] += (g * g - p[2]) * (1 - s[1]);
    p[1] += (g - p[1]) * (1 - s[1]);
    p[3] = p[3] * s[2] + s[0] * g / std::sqrt(p[2] - p[1] * p[1] + s[3]);
    p[0] -= p[3];
  }
};
// Zeiler 2012.
struct Adadelta : NoPreparation {
  static constexpr int kSlots = 3;
  template <typename T>
  static void Step(T* p, T g, const T* s, bool) {
    p[1] = p[1] * s[1] + g * g * (1 - s[1]);
    const T update = std::sqrt(p[2] + s[2]) / std::sqrt(p[1] + s[2]) * g;
    p[0] -= update * s[0];
    p[2] = p[2] * s[1] + update * update * (1 - s[1]);
  }
};
// McMahan et al. 2013. Scalars: lr, l1, l2, (shrinkage,) lr_power.
template <bool kShrinkage>
struct Ftrl : NoPreparation {
  static constexpr int kSlots = 3;
  template <typename T>
  static void Step(T* p, T g, const T* s, bool multiply_linear_by_lr) {
    const T rate = s[0], l1 = s[1], l2 = s[2];
    const T power = -s[kShrinkage ? 4 : 3];
    const T shrunk = kShrinkage ? g + 2 * s[3] * p[0] : g;
    const T accumulated = p[1] + g * g;
    const T change = std::pow(accumulated, power) - std::pow(p[1], power);
    const T scale = multiply_linear_by_lr ? rate : T(1);
    p[2] += shrunk * scale - change / rate * scale * p[0];
    const T quadratic = (std::pow(accumulated, power) / rate + 2 * l2) * scale;
    const T bound = l1 * scale;
    p[0] = std::abs(p[2]) > bound ? (std::copysign(bound, p[2]) - p[2]) / quadratic : T(0);
    p[1] = accumulated;
  }
};
// The proximal step: shrink towards 0 by l1, divide by 1 + rate l2.
template <typename T>
T Proximal(T x, T rate, T l1, T l2) {
  const T shrunk = l1 > 0 ? std::copysign(std::max(std::abs(x) - rate * l1, T(0)), x) : x;
  return shrunk / (1 + rate * l2);
}
struct ProximalGradientDescent : NoPreparation {
  static constexpr int kSlots = 1;
  template <typename T>
  static void Step(T* p, T g, const T* s, bool) {
    p[0] = Proximal(p[0] - s[0] * g, s[0], s[1], s[2]);
  }
};
struct ProximalAdagrad : NoPreparation {
  static constexpr int kSlots = 2;
  template <typename T>
  static void Step(T* p, T g, const T* s, bool) {
    p[1] += g * g;
    const T rate = s[0] / std::sqrt(p[1]);
    p[0] = Proximal(p[0] - rate * g, rate, s[1], s[2]);
  }
};

constexpr int kMaxSlots = 4;
constexpr int kMaxScalars = 6;

// Which inputs are what: variables first, then scalars with the gradient (and its indices, when
// sparse) among them.
struct Layout {
  int slots;
  int gradient;
  int inputs;
  bool sparse;
  bool IsScalar(int input) const {
    return input >= slots && input != gradient && !(sparse && input == gradient + 1);
  }
};

// The rule over elements in a row, in float for half. Different variables never share memory, which
// lets the loop be vectorised.
template <typename Rule, typename T, typename C = ComputeType<T>>
void ApplyRun(const T* __restrict g, int64_t length, const C* scalars, bool flag, T* __restrict p0,
              T* __restrict p1, T* __restrict p2, T* __restrict p3) {
  C s[kMaxScalars];
  std::copy_n(scalars, kMaxScalars, s);
  for (int64_t k = 0; k < length; ++k) {
    C p[kMaxSlots] = {static_cast<C>(p0[k])};
    if constexpr (Rule::kSlots > 1) p[1] = static_cast<C>(p1[k]);
    if constexpr (Rule::kSlots > 2) p[2] = static_cast<C>(p2[k]);
    if constexpr (Rule::kSlots > 3) p[3] = static_cast<C>(p3[k]);
    Rule::Step(p, static_cast<C>(g[k]), s, flag);
    p0[k] = static_cast<T>(p[0]);
    if constexpr (Rule::kSlots > 1) p1[k] = static_cast<T>(p[1]);
    if constexpr (Rule::kSlots > 2) p2[k] = static_cast<T>(p[2]);
    if constexpr (Rule::kSlots > 3) p3[k] = static_cast<T>(p[3]);
  }
}

template <typename Rule, typename T>
absl::Status Apply(KernelContext& context, const Layout& layout, bool flag) {
  std::vector<VariableSlot*> slots;
  for (int i = 0; i < layout.slots; ++i) {
    if (context.variable(i) == nullptr)
      return absl::InvalidArgumentError(absl::StrCat("input ", i, " names no variable"));
    slots.push_back(context.variable(i).get());
  }
  VariableWriter writer(slots);
  RETURN_IF_ERROR(writer.Check());
  const Tensor& gradient = context.input(layout.gradient);
  const Shape shape = writer.value(0).shape();
  Shape expected = shape;
  if (layout.sparse) {
    const Tensor& indices = context.input(layout.gradient + 1);
    if (indices.rank() != 1 || shape.rank() < 1)
      return absl::InvalidArgumentError("indices must be a vector, the variable at least one");
    expected.set_dim(0, indices.dim(0));
    RETURN_IF_ERROR(Indices(indices).Check(shape.dim(0), "indices"));
  }
  for (int i = 0; i < layout.slots; ++i) {
    if (writer.value(i).dtype() != DTypeOf<T>) {
      return absl::InvalidArgumentError(absl::StrCat("variable ", context.node().input(i).name(),
                                                     " is ", DTypeName(writer.value(i).dtype()),
                                                     ", the op is for ", DTypeName(DTypeOf<T>)));
    }
    if (!(writer.value(i).shape() == shape) || !(gradient.shape() == expected)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "variable ", context.node().input(i).name(), " has shape ",
          writer.value(i).shape().ToString(), ", the gradient ", gradient.shape().ToString()));
    }
  }
  ComputeType<T> scalars[kMaxScalars] = {};
  int count = 0;
  for (int i = layout.slots; i < layout.inputs; ++i) {
    if (!layout.IsScalar(i)) continue;
    if (context.input(i).rank() != 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "input ", i, " must be a scalar, received shape ", context.input(i).shape().ToString()));
    }
    scalars[count++] = static_cast<ComputeType<T>>(context.input(i).scalar<T>());
  }
  Rule::Prepare(scalars);
  // All checks are done: from here on nothing fails but memory.
  T* data[kMaxSlots];
  for (int i = 0; i < kMaxSlots; ++i) {  // slots that the rule does not have are never touched
    ASSIGN_OR_RETURN(Tensor * tensor,
                     writer.Mutable(std::min(i, layout.slots - 1), context.allocator()));
    data[i] = tensor->mutable_data<T>();
  }
  const T* g = gradient.data<T>();
  const auto run = [&](int64_t from, int64_t to, int64_t length) {
    T* at[kMaxSlots];
    for (int i = 0; i < kMaxSlots; ++i) at[i] = data[i] + to;
    ApplyRun<Rule, T>(g + from, length, scalars, flag, at[0], at[1], at[2], at[3]);
  };
  if (layout.sparse) {
    const Indices index(context.input(layout.gradient + 1));
    const int64_t width = index.size() == 0 ? 0 : gradient.num_elements() / index.size();
    for (int64_t i = 0; i < index.size(); ++i) run(i * width, index[i] * width, width);
  } else {
    context.ParallelFor(gradient.num_elements(), kElementwiseBlock,
                        [&](int64_t begin, int64_t end) { run(begin, begin, end - begin); });
  }
  if (context.num_outputs() > 0) context.ForwardValue(0, 0);
  return absl::OkStatus();
}

// How TensorFlow spells the op of a rule. `sparse`: whether it has a form for rows.
struct Spelling {
  const char* name;
  const char* doc;
  std::vector<const char*> slots;
  std::vector<const char*> others;  // "grad" and "delta" are the gradient
  const char* flag = "";            // a bool attr of the rule
  bool flag_default = false;
  bool sparse = true;
};

// The layout as the names of the inputs tell it.
Layout LayoutOf(const OpSchema& schema) {
  Layout layout = {};
  for (const ArgSchema& arg : schema.inputs()) {
    if (arg.is_ref || arg.type == kResource) ++layout.slots;
    if (arg.name == "grad" || arg.name == "delta") layout.gradient = layout.inputs;
    layout.sparse = layout.sparse || arg.name == "indices";
    ++layout.inputs;
  }
  return layout;
}

absl::Status ApplyShape(InferenceContext& c) {
  const Layout layout = LayoutOf(*c.node().schema());
  const bool refs = c.node().schema()->inputs()[0].is_ref;
  Shape shape = layout.sparse ? Shape::Unknown() : c.input(layout.gradient);
  for (int i = 0; refs && i < layout.slots; ++i) {
    ASSIGN_OR_RETURN(shape, Shape::Merge(shape, c.input(i)));
  }
  for (int i = layout.slots; i < layout.inputs; ++i) {
    if (layout.IsScalar(i)) RETURN_IF_ERROR(c.WithRank(i, 0));
  }
  if (refs) c.set_output(0, shape);
  return absl::OkStatus();
}

template <typename Rule>
OpSchema& AddForm(OpRegistry& registry, const Spelling& spelling, bool resource, bool sparse) {
  const std::string name =
      absl::StrCat(resource ? "Resource" : "", sparse ? "Sparse" : "", "Apply", spelling.name);
  OpSchema& op = registry.Add(name).Doc(spelling.doc);
  for (const char* slot : spelling.slots) {
    if (resource) {
      op.In(slot, kResource);
    } else {
      op.RefIn(slot, "T");
    }
  }
  for (const std::string other : spelling.others) {
    op.In(other, "T");
    if (sparse && (other == "grad" || other == "delta")) op.In("indices", "Tindices");
  }
  if (!resource) op.RefOut("out", "T");
  op.TypeAttr("T", kRealDTypes);
  if (sparse) op.TypeAttr("Tindices", kIndexDTypes);
  op.Attr("use_locking", false);
  const std::string flag = spelling.flag;
  if (!flag.empty()) op.Attr(flag, spelling.flag_default);
  op.Traits({.stateful = true, .forwards_ref = !resource})
      .Shape(ApplyShape)
      .NotDifferentiable("it changes variables")
      .Kernel([flag](const Node& node) -> absl::StatusOr<KernelFunction> {
        const Layout layout = LayoutOf(*node.schema());
        const bool set = !flag.empty() && node.attr<bool>(flag);
        return DispatchType(
            RealTypes(), node.attr<DType>("T"), [=]<typename T>() -> KernelFunction {
              return [=](KernelContext& context) { return Apply<Rule, T>(context, layout, set); };
            });
      });
  return op;
}

// All forms; returns the dense one on refs, for its examples.
template <typename Rule>
OpSchema& Add(OpRegistry& registry, const Spelling& spelling) {
  constexpr char kSameKernel[] =
      "the example of the dense form on ref variables runs the same rule";
  AddForm<Rule>(registry, spelling, true, false).NoExample(kSameKernel);
  if (spelling.sparse) {
    for (const bool resource : {false, true})
      AddForm<Rule>(registry, spelling, resource, true).NoExample(kSameKernel);
  }
  return AddForm<Rule>(registry, spelling, false, false);
}

Tensor Scalar(float value) { return F({}, {value}); }

}  // namespace

void RegisterTraining(OpRegistry& registry) {
  const Tensor none = F({0}, {});
  const Tensor one = F({1}, {1}), two = F({1}, {2}), three = F({1}, {3}), zero = F({1}, {0});
  Add<GradientDescent>(registry, {.name = "GradientDescent",
                                  .doc = "var -= alpha * delta.",
                                  .slots = {"var"},
                                  .others = {"alpha", "delta"},
                                  .sparse = false})
      .Example({.name = "vector",
                .inputs = {F({2}, {1, 2}), Scalar(0.5f), F({2}, {2, 4})},
                .expected = {F({2}, {0, 0})}})
      .Example({.name = "empty", .inputs = {none, Scalar(1), none}, .expected = {none}});
  Add<Momentum>(registry,
                {.name = "Momentum",
                 .doc = "accum = accum * momentum + grad; var -= lr * accum; or Nesterov's "
                        "form.",
                 .slots = {"var", "accum"},
                 .others = {"lr", "grad", "momentum"},
                 .flag = "use_nesterov"})
      .Example({.name = "plain",
                .inputs = {one, two, Scalar(0.1f), three, Scalar(0.5f)},
                .expected = {F({1}, {0.6f})}})
      .Example({.name = "nesterov",
                .inputs = {one, two, Scalar(0.1f), three, Scalar(0.5f)},
                .attrs = {{"use_nesterov", true}},
                .expected = {F({1}, {0.5f})}});
  Add<Adam>(registry,
            {.name = "Adam",
             .doc = "Adam (Kingma & Ba 2015): moments m and v, rate corrected by the powers "
                    "of the betas.",
             .slots = {"var", "m", "v"},
             .others = {"beta1_power", "beta2_power", "lr", "beta1", "beta2", "epsilon", "grad"},
             .flag = "use_nesterov",
             .sparse = false})
      .Example({.name = "first step",
                .inputs = {F({2}, {1, 1}), F({2}, {0, 0}), F({2}, {0, 0}), Scalar(0.9f),
                           Scalar(0.999f), Scalar(0.1f), Scalar(0.9f), Scalar(0.999f),
                           Scalar(1e-8f), F({2}, {2, -0.5f})},
                .expected = {F({2}, {0.9f, 1.1f})},
                .tolerance = 1e-4})
      .Example({.name = "large epsilon",
                .inputs = {one, zero, zero, Scalar(0), Scalar(0), Scalar(1), Scalar(0.5f),
                           Scalar(0.75f), Scalar(1), two},
                .expected = {F({1}, {0.5f})}});
  Add<AdaMax>(registry, {.name = "AdaMax",
                         .doc = "Adam with the largest gradient in place of the second moment.",
                         .slots = {"var", "m", "v"},
                         .others = {"beta1_power", "lr", "beta1", "beta2", "epsilon", "grad"},
                         .sparse = false})
      .Example({.name = "one step",
                .inputs = {one, zero, zero, Scalar(0.5f), Scalar(0.1f), Scalar(0.5f), Scalar(0.9f),
                           Scalar(0), two},
                .expected = {F({1}, {0.9f})}});
  Add<Adagrad>(registry, {.name = "Adagrad",
                          .doc = "accum += grad²; var -= lr grad / √accum.",
                          .slots = {"var", "accum"},
                          .others = {"lr", "grad"},
                          .flag = "update_slots",
                          .flag_default = true})
      .Example({.name = "one step",
                .inputs = {one, F({1}, {7}), Scalar(0.5f), three},
                .expected = {F({1}, {0.625f})}});
  Add<AdagradV2>(registry, {.name = "AdagradV2",
                            .doc = "accum += grad²; var -= lr grad / (√accum + epsilon).",
                            .slots = {"var", "accum"},
                            .others = {"lr", "epsilon", "grad"},
                            .flag = "update_slots",
                            .flag_default = true})
      .Example({.name = "one step",
                .inputs = {one, F({1}, {7}), Scalar(0.5f), Scalar(1), three},
                .expected = {F({1}, {0.7f})}});
  Add<RmsProp>(registry,
               {.name = "RMSProp",
                .doc = "ms += (grad² - ms)(1 - rho); mom = mom momentum + lr grad / √(ms + "
                       "epsilon); var -= mom.",
                .slots = {"var", "ms", "mom"},
                .others = {"lr", "rho", "momentum", "epsilon", "grad"}})
      .Example({.name = "one step",
                .inputs = {one, F({1}, {6}), one, Scalar(0.5f), Scalar(0.5f), Scalar(0.25f),
                           Scalar(4), two},
                .expected = {F({1}, {0.75f - 1.f / 3})}});
  Add<CenteredRmsProp>(registry, {.name = "CenteredRMSProp",
                                  .doc = "RMSProp with the mean gradient's square taken off ms.",
                                  .slots = {"var", "mg", "ms", "mom"},
                                  .others = {"lr", "rho", "momentum", "epsilon", "grad"}})
      .Example({.name = "one step",
                .inputs = {one, zero, F({1}, {6}), one, Scalar(0.5f), Scalar(0.5f), Scalar(0.25f),
                           Scalar(0), two},
                .expected = {F({1}, {0.25f})}});
  Add<Adadelta>(registry, {.name = "Adadelta",
                           .doc = "Steps as large as past steps were, over past gradients (Zeiler "
                                  "2012).",
                           .slots = {"var", "accum", "accum_update"},
                           .others = {"lr", "rho", "epsilon", "grad"}})
      .Example(
          {.name = "one step",
           .inputs = {one, F({1}, {10}), F({1}, {2}), Scalar(0.5f), Scalar(0.5f), Scalar(2), two},
           .expected = {F({1}, {1 - 0.5f * 2 * 2 / 3})}});
  const std::vector<const char*> ftrl = {"grad", "lr", "l1", "l2", "lr_power"};
  Add<Ftrl<false>>(registry, {.name = "Ftrl",
                              .doc = "Follow the regularised leader (McMahan et al. 2013).",
                              .slots = {"var", "accum", "linear"},
                              .others = ftrl,
                              .flag = "multiply_linear_by_lr"})
      .Example({.name = "one step",
                .inputs = {one, F({1}, {12}), zero, two, Scalar(0.5f), Scalar(0), Scalar(0),
                           Scalar(-0.5f)},
                .expected = {F({1}, {(2 * (4 - std::sqrt(12.f)) - 2) / 8})}});
  Add<Ftrl<true>>(registry, {.name = "FtrlV2",
                             .doc = "Ftrl with shrinkage of the gradient.",
                             .slots = {"var", "accum", "linear"},
                             .others = {"grad", "lr", "l1", "l2", "l2_shrinkage", "lr_power"},
                             .flag = "multiply_linear_by_lr"})
      .Example({.name = "strong l1",
                .inputs = {one, one, zero, two, Scalar(0.5f), Scalar(100), Scalar(0), Scalar(0),
                           Scalar(-0.5f)},
                .expected = {zero}});
  Add<ProximalGradientDescent>(registry,
                               {.name = "ProximalGradientDescent",
                                .doc = "A step, then the proximal shrinking by l1 and l2.",
                                .slots = {"var"},
                                .others = {"alpha", "l1", "l2", "delta"}})
      .Example({.name = "one step",
                .inputs = {three, Scalar(0.5f), Scalar(1), Scalar(2), two},
                .expected = {F({1}, {0.75f})}});
  Add<ProximalAdagrad>(registry,
                       {.name = "ProximalAdagrad",
                        .doc = "Adagrad's step, then the proximal shrinking by l1 and l2.",
                        .slots = {"var", "accum"},
                        .others = {"lr", "l1", "l2", "grad"}})
      .Example({.name = "one step",
                .inputs = {three, F({1}, {12}), Scalar(2), Scalar(1), Scalar(2), two},
                .expected = {F({1}, {0.75f})}});
}

}  // namespace espalier
