// Tested by session_test.cc.
#include "espalier/runtime/plan.h"

#include "absl/strings/str_cat.h"
#include "espalier/runtime/decide.h"
#include "espalier/runtime/frames.h"
#include "espalier/runtime/order_state.h"

namespace espalier {
namespace {

// Lays the plan graph out in slots.
class Planner {
 public:
  Planner(const PlanGraph& graph, const RunSignature& signature, VariableStore& variables,
          KernelCache& kernels)
      : graph_(graph),
        signature_(signature),
        variables_(variables),
        kernels_(kernels),
        plan_(std::make_unique<Plan>()) {}

  absl::StatusOr<std::unique_ptr<Plan>> Run() {
    plan_->num_feeds = static_cast<int>(signature_.feeds.size());
    plan_->num_slots = plan_->num_feeds;
    for (const Tensor& constant : graph_.constants) {
      constant_slot_.push_back(plan_->num_slots);
      plan_->presets.push_back({plan_->num_slots++, {.tensor = constant}});
    }
    place_.assign(graph_.nodes.size(), -1);
    node_slot_.assign(graph_.nodes.size(), -1);
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      if (!graph_.nodes[i].removed) RETURN_IF_ERROR(Place(i));
    }
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      if (place_[i] >= 0) Connect(i);
    }
    PlaceInFrames();
    plan_->slot_uses.assign(plan_->num_slots, 0);
    for (const PlanNode& node : plan_->nodes) {
      for (int slot : node.inputs) ++plan_->slot_uses[slot];
    }
    for (size_t f = 0; f < graph_.fetches.size(); ++f) {
      const PlanSource& source = graph_.fetches[f];
      RETURN_IF_ERROR(CheckFetch(source, signature_.fetches[f]));
      const int producer = source.kind == PlanSource::Kind::kNode ? place_[source.index] : -1;
      plan_->fetches.push_back({SlotOf(source), signature_.fetches[f], producer});
      ++plan_->slot_uses[SlotOf(source)];
    }
    MarkLastUses();
    return std::move(plan_);
  }

 private:
  absl::Status Place(int i) {
    const Node& node = *graph_.nodes[i].node;
    node_slot_[i] = plan_->num_slots;
    plan_->num_slots += node.num_outputs();
    const OpTraits& traits = node.traits();
    if (traits.is_variable) {
      // The storage is known now: nothing is left to run.
      const DType dtype = node.attr<DType>("dtype");
      std::shared_ptr<VariableSlot> variable = variables_.FindOrCreate(VariableKey(node), dtype);
      if (variable->dtype() != dtype) {
        return absl::InvalidArgumentError(absl::StrCat(
            node.Describe(), ": attr dtype is ", DTypeName(dtype),
            ", another node has declared the variable as ", DTypeName(variable->dtype())));
      }
      plan_->presets.push_back({node_slot_[i], {.variable = std::move(variable)}});
      return absl::OkStatus();
    }
    if (traits.is_switch || traits.is_merge || traits.is_enter) plan_->has_control_flow = true;
    absl::StatusOr<KernelFunction> kernel = kernels_.KernelOf(node);
    if (!kernel.ok()) return AtNode(kernel.status(), node);
    if (*kernel == nullptr) {
      return absl::NotFoundError(
          absl::StrCat(node.Describe(), ": no kernel for type ",
                       DTypeName(node.num_inputs() > 0    ? node.input(0).dtype()
                                 : node.num_outputs() > 0 ? node.output_dtype(0)
                                                          : kInvalidDType)));
    }
    place_[i] = static_cast<int>(plan_->nodes.size());
    plan_->nodes.push_back({.node = &node,
                            .kernel = *std::move(kernel),
                            .first_output = node_slot_[i],
                            .num_outputs = node.num_outputs()});
    return absl::OkStatus();
  }

  int SlotOf(const PlanSource& source) const {
    switch (source.kind) {
      case PlanSource::Kind::kFeed:
        return source.index;
      case PlanSource::Kind::kConstant:
        return constant_slot_[source.index];
      case PlanSource::Kind::kNode:
        return node_slot_[source.index] + source.output;
    }
    return 0;
  }

  void Connect(int i) {
    const PlanGraphNode& from = graph_.nodes[i];
    const int self = place_[i];
    PlanNode& node = plan_->nodes[self];
    for (const PlanSource& source : from.inputs) {
      node.inputs.push_back(SlotOf(source));
      if (source.kind == PlanSource::Kind::kNode && place_[source.index] >= 0) {
        plan_->nodes[place_[source.index]].consumers.push_back({self, source.output});
        ++node.num_waits;
        ++node.data_waits;
      }
    }
    for (int control : from.controls) {
      if (place_[control] < 0) continue;
      plan_->nodes[place_[control]].control_consumers.push_back(self);
      ++node.num_waits;
    }
    for (int order : from.orders) {
      if (place_[order] < 0) continue;
      plan_->nodes[place_[order]].order_consumers.push_back(self);
      ++node.num_waits;
    }
  }

  // A value of a loop is another one in each iteration.
  absl::Status CheckFetch(const PlanSource& source, const Output& output) const {
    if (source.kind != PlanSource::Kind::kNode || graph_.nodes[source.index].outputs_frame == 0)
      return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "fetch ", output.name(), ": ", output.node()->Describe(), " is inside the loop '",
        graph_.frames[graph_.nodes[source.index].outputs_frame].name,
        "', where it has a value for each iteration; fetch what the loop returns"));
  }

  void PlaceInFrames() {
    for (const PlanFrame& frame : graph_.frames) {
      plan_->frames.push_back({.name = frame.name,
                               .parent = frame.parent,
                               .parallel_iterations = frame.parallel_iterations,
                               .num_enters = static_cast<int>(frame.enters.size())});
    }
    plan_->slot_local.assign(plan_->num_slots, -1);
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      if (place_[i] < 0) continue;
      const PlanGraphNode& from = graph_.nodes[i];
      PlanNode& node = plan_->nodes[place_[i]];
      FramePlan& frame = plan_->frames[from.frame];
      node.outputs_frame = from.outputs_frame;
      node.local = static_cast<int>(frame.nodes.size());
      frame.nodes.push_back(place_[i]);
      for (int o = 0; o < node.num_outputs; ++o) {
        plan_->slot_local[node.first_output + o] = plan_->frames[from.outputs_frame].num_slots++;
      }
      for (const int frame_order : from.frame_orders) {
        plan_->frames[frame_order].order_consumers.push_back(place_[i]);
        ++node.num_waits;
      }
    }
  }

  void MarkLastUses() {
    std::vector<bool> used(plan_->num_slots, false);
    for (const PlanFetch& fetch : plan_->fetches) used[fetch.slot] = true;
    for (const auto& [slot, value] : plan_->presets) used[slot] = true;
    for (int i = static_cast<int>(plan_->nodes.size()) - 1; i >= 0; --i) {
      PlanNode& node = plan_->nodes[i];
      node.last_use.assign(node.inputs.size(), false);
      // Backwards: of two inputs from one slot, the second may move the value.
      for (size_t k = node.inputs.size(); k-- > 0;) {
        if (used[node.inputs[k]]) continue;
        used[node.inputs[k]] = true;
        node.last_use[k] = true;
      }
    }
  }

  const PlanGraph& graph_;
  const RunSignature& signature_;
  VariableStore& variables_;
  KernelCache& kernels_;
  std::unique_ptr<Plan> plan_;
  std::vector<int> constant_slot_;
  std::vector<int> node_slot_;
  std::vector<int> place_;  // in plan_->nodes; -1 for what does not run
};

}  // namespace

std::string VariableKey(const Node& variable) {
  const auto& shared = variable.attr<std::string>("shared_name");
  const auto& container = variable.attr<std::string>("container");
  return absl::StrCat(container, "\n", shared.empty() ? variable.name() : shared);
}

absl::StatusOr<KernelFunction> KernelCache::KernelOf(const Node& node) {
  if (!node.traits().stateful) return node.schema()->kernel()(node);
  absl::MutexLock lock(&mutex_);
  KernelFunction& kernel = stateful_[&node];
  if (kernel == nullptr) {
    ASSIGN_OR_RETURN(kernel, node.schema()->kernel()(node));
  }
  return kernel;
}

absl::StatusOr<std::unique_ptr<Plan>> CompilePlan(const RunSignature& signature, int node_limit,
                                                  const std::map<int, Tensor>& known_feeds,
                                                  VariableStore& variables, KernelCache& kernels,
                                                  const CompileOptions& options) {
  ASSIGN_OR_RETURN(PlanGraph graph, Prune(signature, node_limit));
  RETURN_IF_ERROR(
      AssignFrames(graph));  // a node of two frames is refused, even one that is decided
  if (options.decide) {
    RETURN_IF_ERROR(Decide(graph, known_feeds));
    RETURN_IF_ERROR(AssignFrames(graph));
  }
  OrderState(graph);  // over what is left: nodes keep their places, so the order is that of the
                      // whole graph
  ASSIGN_OR_RETURN(std::unique_ptr<Plan> plan, Planner(graph, signature, variables, kernels).Run());
  plan->debug_string = graph.DebugString();
  return plan;
}

}  // namespace espalier
