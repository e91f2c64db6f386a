// Tested by optimizer_test.cc.
#include "espalier/train/optimizer.h"

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/variable.h"
#include "espalier/ops/ops.h"

namespace espalier::train {
namespace {

VariableOptions NotTrained() { return {.trainable = false}; }

}  // namespace

Operation Optimizer::Minimize(const At& at, const Output& loss,
                              const MinimizeOptions& options) const {
  return ApplyGradients(at, ComputeGradients(at, loss, options.var_list), options);
}

std::vector<GradientAndVariable> Optimizer::ComputeGradients(
    const At& at, const Output& loss, const std::vector<Output>& var_list) const {
  Graph* graph = at.scope().graph();
  std::vector<Output> variables =
      var_list.empty() ? graph->collection_outputs(kTrainableVariables) : var_list;
  const auto fail = [&](const std::string& what) {
    graph->RecordError(absl::InvalidArgumentError(
        absl::StrCat(name_, " (made at ", at.line().ToString(), "): ", what)));
    return std::vector<GradientAndVariable>();
  };
  if (!loss.valid()) return fail("the loss is an empty Output");
  if (variables.empty()) return fail("there are no variables to train");
  for (const Output& variable : variables) {
    if (!variable.valid() || !IsRef(variable.dtype()))
      return fail(absl::StrCat(variable.name(), " is no variable"));
  }
  // Gradients need not wait for what the update waits for.
  const Scope s = at.Inside().WithoutControlDependencies();
  const std::vector<Output> gradients = Gradients(At(s, at.line()), {loss}, variables);
  std::vector<GradientAndVariable> pairs;
  bool any = false;
  for (size_t i = 0; i < variables.size(); ++i) {
    pairs.push_back({gradients[i], variables[i]});
    any = any || gradients[i].valid();
  }
  if (!any && graph->status().ok()) {
    return fail(
        absl::StrCat("no variable has a gradient: ", ExplainNoGradient(loss, variables[0])));
  }
  return pairs;
}

Operation Optimizer::ApplyGradients(const At& at, const std::vector<GradientAndVariable>& pairs,
                                    const MinimizeOptions& options) const {
  Graph* graph = at.scope().graph();
  if (!graph->status().ok()) return Operation();
  const std::string wanted = !options.name.empty()             ? options.name
                             : !at.scope().next_name().empty() ? at.scope().next_name()
                                                               : name_;
  const Scope outside = at.Inside().Named("");
  const Scope s = outside.NameScope(wanted);
  std::vector<Operation> updates;
  std::vector<Output> shared;
  for (const GradientAndVariable& pair : pairs) {
    if (!pair.gradient.valid()) continue;
    if (updates.empty()) shared = Prepare(s, pair.variable);
    const Scope named = s.Named("update_" + pair.variable.node()->name());
    updates.push_back(Apply(named, pair, shared));
  }
  if (updates.empty()) {
    graph->RecordError(absl::InvalidArgumentError(
        absl::StrCat(name_, " (made at ", at.line().ToString(), "): no gradients to apply")));
    return Operation();
  }
  for (const Operation& finish : Finish(s, updates, shared)) updates.push_back(finish);
  const std::string group_name = s.name_prefix().substr(
      outside.name_prefix().size(), s.name_prefix().size() - outside.name_prefix().size() - 1);
  const auto collected = [&](const Operation& train) {
    if (train.valid()) graph->AddToCollection(kTrainOp, train);
    return train;
  };
  if (!options.global_step.valid()) {
    const Scope done = outside.WithControlDependencies(updates);
    return collected(NoOp(At(done.WithExactName(outside.name_prefix() + group_name))));
  }
  const Operation all = NoOp(At(s.Named("update").WithControlDependencies(updates)));
  const Output one = ConstScalar(At(s), options.global_step.dtype(), 1);
  return collected(AssignAdd(
      At(outside.WithControlDependencies({all}).WithExactName(outside.name_prefix() + group_name)),
      options.global_step, one));
}

Output Optimizer::Slot(const Scope& s, const Output& variable, const std::string& slot,
                       double value) {
  const Scope root = Scope(s.graph()).WithOrigin(s.origin(), s.inner_origin());
  return Variable(At(root.Named(absl::StrCat(variable.node()->name(), "/", slot))),
                  variable.shape(), RemoveRef(variable.dtype()), initializers::Constant(value),
                  NotTrained());
}

Operation GradientDescent::Apply(const Scope& s, const GradientAndVariable& pair,
                                 const std::vector<Output>&) const {
  return ApplyGradientDescent(At(s), pair.variable, learning_rate().As(s, pair.variable.dtype()),
                              pair.gradient);
}

Operation Momentum::Apply(const Scope& s, const GradientAndVariable& pair,
                          const std::vector<Output>&) const {
  const DType type = pair.variable.dtype();
  return ApplyMomentum(At(s), pair.variable, Slot(s, pair.variable, name()),
                       learning_rate().As(s, type), pair.gradient,
                       ConstScalar(At(s), type, momentum_), {.use_nesterov = use_nesterov_});
}

std::vector<Output> Adam::Prepare(const Scope& s, const Output& first_variable) const {
  const Scope root = Scope(s.graph()).WithOrigin(s.origin(), s.inner_origin());
  const DType type = RemoveRef(first_variable.dtype());
  const auto power = [&](const char* name, double beta) {
    return Variable(At(root.Named(name)), Shape(), type, initializers::Constant(beta),
                    NotTrained());
  };
  const auto scalar = [&](const char* name, double value) {
    return ConstScalar(At(s.Named(name)), type, value);
  };
  return {power("beta1_power", beta1_),
          power("beta2_power", beta2_),
          learning_rate().As(s.Named("learning_rate"), type),
          scalar("beta1", beta1_),
          scalar("beta2", beta2_),
          scalar("epsilon", epsilon_)};
}

Operation Adam::Apply(const Scope& s, const GradientAndVariable& pair,
                      const std::vector<Output>& shared) const {
  const Output m = Slot(s, pair.variable, name());
  const Output v = Slot(s, pair.variable, name());  // the second of the name: "Adam_1"
  return ApplyAdam(At(s), pair.variable, m, v, shared[0], shared[1], shared[2], shared[3],
                   shared[4], shared[5], pair.gradient);
}

std::vector<Operation> Adam::Finish(const Scope& s, const std::vector<Operation>& updates,
                                    const std::vector<Output>& shared) const {
  const Scope after = s.WithControlDependencies(updates).Named("");
  return {Assign(At(after), shared[0], after(shared[0]) * after(shared[3])),
          Assign(At(after), shared[1], after(shared[1]) * after(shared[4]))};
}

}  // namespace espalier::train
