// ApplyGradientDescent, ApplyMomentum, ApplyAdam: updates of variables in place. Tested by the
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

using TrainTypes = TypeList<float, double>;
constexpr char kNoGradient[] = "it changes variables";

// The variables of the first `slots` inputs, checked against the gradient at input `gradient`,
// ready to be written.
class Update {
 public:
  Update(KernelContext& context, int slots, int gradient)
      : context_(context), writer_(Slots(context, slots)) {
    status_ = Prepare(slots, gradient);
  }
  const absl::Status& status() const { return status_; }
  template <typename T>
  T* data(int slot) {
    return tensors_[slot]->template mutable_data<T>();
  }
  template <typename T>
  absl::StatusOr<T> Scalar(int input) const {
    const Tensor& t = context_.input(input);
    if (t.rank() == 0) return t.scalar<T>();
    return absl::InvalidArgumentError(
        absl::StrCat("input ", input, " must be a scalar, received shape ", t.shape().ToString()));
  }

 private:
  static std::vector<VariableSlot*> Slots(KernelContext& context, int count) {
    std::vector<VariableSlot*> slots;
    for (int i = 0; i < count; ++i) slots.push_back(context.variable(i).get());
    return slots;
  }
  absl::Status Prepare(int slots, int gradient) {
    RETURN_IF_ERROR(writer_.Check());
    const Shape& shape = context_.input(gradient).shape();
    for (int i = 0; i < slots; ++i) {
      if (!(writer_.value(i).shape() == shape)) {
        return absl::InvalidArgumentError(
            absl::StrCat("variable ", context_.node().input(i).name(), " has shape ",
                         writer_.value(i).shape().ToString(), ", the gradient ", shape.ToString()));
      }
    }
    // All checks are done: from here on nothing fails but memory.
    for (int i = 0; i < slots; ++i) {
      ASSIGN_OR_RETURN(Tensor * tensor, writer_.Mutable(i, context_.allocator()));
      tensors_.push_back(tensor);
    }
    return absl::OkStatus();
  }

  KernelContext& context_;
  VariableWriter writer_;
  std::vector<Tensor*> tensors_;
  absl::Status status_;
};

template <typename T>
absl::Status GradientDescent(KernelContext& context, bool) {
  Update update(context, 1, 2);
  RETURN_IF_ERROR(update.status());
  ASSIGN_OR_RETURN(const T alpha, update.Scalar<T>(1));
  T* var = update.data<T>(0);
  const T* delta = context.input(2).data<T>();
  context.ParallelFor(context.input(2).num_elements(), kElementwiseBlock,
                      [&](int64_t begin, int64_t end) {
                        for (int64_t i = begin; i < end; ++i) var[i] -= alpha * delta[i];
                      });
  context.ForwardValue(0, 0);
  return absl::OkStatus();
}

template <typename T>
absl::Status Momentum(KernelContext& context, bool nesterov) {
  Update update(context, 2, 3);
  RETURN_IF_ERROR(update.status());
  ASSIGN_OR_RETURN(const T rate, update.Scalar<T>(2));
  ASSIGN_OR_RETURN(const T momentum, update.Scalar<T>(4));
  T* var = update.data<T>(0);
  T* accumulator = update.data<T>(1);
  const T* g = context.input(3).data<T>();
  context.ParallelFor(
      context.input(3).num_elements(), kElementwiseBlock, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          accumulator[i] = accumulator[i] * momentum + g[i];
          var[i] -=
              nesterov ? g[i] * rate + accumulator[i] * momentum * rate : accumulator[i] * rate;
        }
      });
  context.ForwardValue(0, 0);
  return absl::OkStatus();
}

// Kingma & Ba 2015, with the bias corrections folded into the rate.
template <typename T>
absl::Status Adam(KernelContext& context, bool nesterov) {
  Update update(context, 3, 9);
  RETURN_IF_ERROR(update.status());
  T scalars[6];
  for (int i = 0; i < 6; ++i) {
    ASSIGN_OR_RETURN(scalars[i], update.Scalar<T>(3 + i));
  }
  const auto [beta1_power, beta2_power, rate, beta1, beta2, epsilon] = scalars;
  const T alpha = rate * std::sqrt(1 - beta2_power) / (1 - beta1_power);
  T* var = update.data<T>(0);
  T* m = update.data<T>(1);
  T* v = update.data<T>(2);
  const T* g = context.input(9).data<T>();
  const T one_minus_beta1 = 1 - beta1;
  const T one_minus_beta2 = 1 - beta2;
  const T eps = epsilon;
  const T b1 = beta1;
  context.ParallelFor(context.input(9).num_elements(), kElementwiseBlock,
                      [=](int64_t begin, int64_t end) {
                        for (int64_t i = begin; i < end; ++i) {
                          m[i] += (g[i] - m[i]) * one_minus_beta1;
                          v[i] += (g[i] * g[i] - v[i]) * one_minus_beta2;
                          const T direction = nesterov ? g[i] * one_minus_beta1 + b1 * m[i] : m[i];
                          var[i] -= direction * alpha / (std::sqrt(v[i]) + eps);
                        }
                      });
  context.ForwardValue(0, 0);
  return absl::OkStatus();
}

enum class Rule { kGradientDescent, kMomentum, kAdam };

template <Rule kRule>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  const bool nesterov = node.attr<bool>("use_nesterov");
  return DispatchType(TrainTypes(), node.attr<DType>("T"),
                      [nesterov]<typename T>() -> KernelFunction {
                        return [nesterov](KernelContext& context) {
                          if constexpr (kRule == Rule::kGradientDescent)
                            return GradientDescent<T>(context, nesterov);
                          if constexpr (kRule == Rule::kMomentum)
                            return Momentum<T>(context, nesterov);
                          if constexpr (kRule == Rule::kAdam) return Adam<T>(context, nesterov);
                        };
                      });
}

// Inputs 0 … slots - 1 are variables and input `gradient` the gradient, all of one shape; the
// others are scalars.
template <int kSlots, int kGradient>
absl::Status ApplyShape(InferenceContext& c) {
  Shape shape = c.input(kGradient);
  for (int i = 0; i < kSlots; ++i) {
    ASSIGN_OR_RETURN(shape, Shape::Merge(shape, c.input(i)));
  }
  for (int i = kSlots; i < c.num_inputs(); ++i) {
    if (i != kGradient) RETURN_IF_ERROR(c.WithRank(i, 0));
  }
  c.set_output(0, shape);
  return absl::OkStatus();
}

OpSchema& Finish(OpSchema& op) {
  return op.RefOut("out", "T")
      .TypeAttr("T", {kFloat, kDouble})
      .Attr("use_locking", false)
      .Traits({.stateful = true, .forwards_ref = true})
      .NotDifferentiable(kNoGradient);
}

}  // namespace

void RegisterTraining(OpRegistry& registry) {
  const Tensor none = F({0}, {});
  Finish(registry.Add("ApplyGradientDescent")
             .Doc("var -= alpha * delta.")
             .RefIn("var", "T")
             .In("alpha", "T")
             .In("delta", "T"))
      .Shape(ApplyShape<1, 2>)
      .Kernel(Make<Rule::kGradientDescent>)
      .Example({.name = "vector",
                .inputs = {F({2}, {1, 2}), F({}, {0.5f}), F({2}, {2, 4})},
                .expected = {F({2}, {0, 0})}})
      .Example({.name = "scalar",
                .inputs = {F({}, {1}), F({}, {0.1f}), F({}, {1})},
                .expected = {F({}, {0.9f})}})
      .Example({.name = "empty", .inputs = {none, F({}, {1}), none}, .expected = {none}});
  Finish(registry.Add("ApplyMomentum")
             .Doc("accum = accum * momentum + grad; var -= lr * accum; or Nesterov's form.")
             .RefIn("var", "T")
             .RefIn("accum", "T")
             .In("lr", "T")
             .In("grad", "T")
             .In("momentum", "T"))
      .Attr("use_nesterov", false)
      .Shape(ApplyShape<2, 3>)
      .Kernel(Make<Rule::kMomentum>)
      .Example({.name = "plain",
                .inputs = {F({1}, {1}), F({1}, {2}), F({}, {0.1f}), F({1}, {3}), F({}, {0.5f})},
                .expected = {F({1}, {0.6f})}})
      .Example({.name = "nesterov",
                .inputs = {F({1}, {1}), F({1}, {2}), F({}, {0.1f}), F({1}, {3}), F({}, {0.5f})},
                .attrs = {{"use_nesterov", true}},
                .expected = {F({1}, {0.5f})}})
      .Example({.name = "empty",
                .inputs = {none, none, F({}, {1}), none, F({}, {0})},
                .expected = {none}});
  Finish(registry.Add("ApplyAdam")
             .Doc("Adam (Kingma & Ba 2015): moments m and v, rate corrected by the powers of the "
                  "betas.")
             .RefIn("var", "T")
             .RefIn("m", "T")
             .RefIn("v", "T")
             .In("beta1_power", "T")
             .In("beta2_power", "T")
             .In("lr", "T")
             .In("beta1", "T")
             .In("beta2", "T")
             .In("epsilon", "T")
             .In("grad", "T"))
      .Attr("use_nesterov", false)
      .Shape(ApplyShape<3, 9>)
      .Kernel(Make<Rule::kAdam>)
      .Example({.name = "first step",
                .inputs = {F({2}, {1, 1}), F({2}, {0, 0}), F({2}, {0, 0}), F({}, {0.9f}),
                           F({}, {0.999f}), F({}, {0.1f}), F({}, {0.9f}), F({}, {0.999f}),
                           F({}, {1e-8f}), F({2}, {2, -0.5f})},
                .expected = {F({2}, {0.9f, 1.1f})},
                .tolerance = 1e-4})
      .Example({.name = "large epsilon",
                .inputs = {F({1}, {1}), F({1}, {0}), F({1}, {0}), F({}, {0}), F({}, {0}),
                           F({}, {1}), F({}, {0.5f}), F({}, {0.75f}), F({}, {1}), F({1}, {2})},
                .expected = {F({1}, {0.5f})}})
      .Example({.name = "empty",
                .inputs = {none, none, none, F({}, {0}), F({}, {0}), F({}, {1}), F({}, {0}),
                           F({}, {0}), F({}, {1}), none},
                .expected = {none}});
}

}  // namespace espalier
