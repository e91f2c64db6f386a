// Tested by decide_test.cc.
#include "espalier/runtime/decide.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"

namespace espalier {
namespace {

constexpr int64_t kMaxFoldedElements = 4096;
constexpr int64_t kMaxFoldedBytes = 64 * kMaxFoldedElements;

// What a pass over the plan has learnt of one output.
struct Fact {
  bool dead = false;
  const Node* killer = nullptr;        // the Switch that made it dead
  std::optional<PlanSource> replaced;  // stands for this output from now on
  std::vector<int> controls;           // what a user of the replacement waits for besides
};

class Decider {
 public:
  Decider(PlanGraph& plan, const std::map<int, Tensor>& known_feeds)
      : plan_(plan), known_feeds_(known_feeds) {}

  absl::Status Run() {
    facts_.resize(plan_.nodes.size());
    FindNeededForLiveness();
    for (int i = 0; i < static_cast<int>(plan_.nodes.size()); ++i) {
      facts_[i].resize(std::max(1, plan_.nodes[i].node->num_outputs()));
      Visit(i);
    }
    for (PlanGraphNode& node : plan_.nodes) {
      if (!node.removed) Reconnect(node);  // back edges were not known at the first visit
    }
    for (PlanSource& fetch : plan_.fetches) {
      if (fetch.kind != PlanSource::Kind::kNode) continue;
      const Fact& fact = facts_[fetch.index][fetch.output];
      if (fact.dead) {
        const Node* node = plan_.nodes[fetch.index].node;
        return absl::InvalidArgumentError(
            absl::StrCat("fetch ", node->output(fetch.output).name(), " is on the side that ",
                         fact.killer == nullptr ? "a Switch" : fact.killer->Describe(),
                         " did not take: ", node->Describe(), " has no value in this Run"));
      }
      if (fact.replaced) {
        // What the replacement was to wait for still runs.
        plan_.targets.insert(plan_.targets.end(), fact.controls.begin(), fact.controls.end());
        fetch = *fact.replaced;
      }
    }
    std::erase_if(plan_.targets, [&](int target) { return plan_.nodes[target].removed; });
    // A write goes on though what it feeds is dead: deadness stops consumers, never producers.
    for (int i = 0; i < static_cast<int>(plan_.nodes.size()); ++i) {
      const OpTraits& traits = plan_.nodes[i].node->traits();
      const bool acts = traits.stateful && !traits.is_variable && !traits.is_placeholder;
      if (acts && !plan_.nodes[i].removed) plan_.targets.push_back(i);
    }
    plan_.RemoveUnneeded();
    return absl::OkStatus();
  }

 private:
  // A constant with controls is alive when they are: for a Merge and the like that is what counts.
  void FindNeededForLiveness() {
    needed_for_liveness_.resize(plan_.nodes.size());
    for (const PlanSource& fetch : plan_.fetches) {
      if (fetch.kind == PlanSource::Kind::kNode) needed_for_liveness_[fetch.index] = true;
    }
    for (const PlanGraphNode& node : plan_.nodes) {
      const OpTraits& traits = node.node->traits();
      if (!traits.is_merge && !traits.is_switch && !traits.is_enter && !traits.is_exit &&
          !traits.is_next_iteration) {
        continue;
      }
      for (const PlanSource& input : node.inputs) {
        if (input.kind == PlanSource::Kind::kNode) needed_for_liveness_[input.index] = true;
      }
    }
  }

  // Follows replacements of the inputs and of the nodes waited for.
  void Reconnect(PlanGraphNode& node) {
    std::vector<int> controls;
    for (PlanSource& input : node.inputs) {
      if (input.kind != PlanSource::Kind::kNode) continue;
      const Fact& fact = facts_[input.index].empty() ? Fact() : facts_[input.index][input.output];
      if (!fact.replaced) continue;
      controls.insert(controls.end(), fact.controls.begin(), fact.controls.end());
      input = *fact.replaced;
    }
    for (int control : node.controls) {
      if (!plan_.nodes[control].removed) {
        controls.push_back(control);
        continue;
      }
      for (const Fact& fact : facts_[control]) {
        controls.insert(controls.end(), fact.controls.begin(), fact.controls.end());
        if (fact.replaced && fact.replaced->kind == PlanSource::Kind::kNode)
          controls.push_back(fact.replaced->index);
      }
    }
    std::sort(controls.begin(), controls.end());
    controls.erase(std::unique(controls.begin(), controls.end()), controls.end());
    if (!node.node->traits().is_merge) {
      // Who waits for a node's value waits for the node.
      for (const PlanSource& input : node.inputs) {
        if (input.kind == PlanSource::Kind::kNode) std::erase(controls, input.index);
      }
    }
    node.controls = std::move(controls);
  }

  const Fact* FactOf(const PlanSource& source) const {
    if (source.kind != PlanSource::Kind::kNode || facts_[source.index].empty()) return nullptr;
    return &facts_[source.index][source.output];
  }

  const Tensor* KnownValue(const PlanSource& source) const {
    switch (source.kind) {
      case PlanSource::Kind::kConstant:
        return &plan_.constants[source.index];
      case PlanSource::Kind::kFeed: {
        const auto it = known_feeds_.find(source.index);
        return it == known_feeds_.end() ? nullptr : &it->second;
      }
      case PlanSource::Kind::kNode:
        return nullptr;
    }
    return nullptr;
  }

  void Kill(int i, const Node* killer) {
    plan_.nodes[i].removed = true;
    for (Fact& fact : facts_[i]) fact = {.dead = true, .killer = killer};
  }

  void Replace(int i, int output, const PlanSource& source) {
    facts_[i][output].replaced = source;
    facts_[i][output].controls = plan_.nodes[i].controls;
  }

  PlanSource AddConstant(const std::string& name, Tensor value) {
    plan_.constants.push_back(std::move(value));
    plan_.constant_names.push_back(name);
    return {PlanSource::Kind::kConstant, static_cast<int>(plan_.constants.size()) - 1, 0};
  }

  void Visit(int i) {
    PlanGraphNode& node = plan_.nodes[i];
    const OpTraits& traits = node.node->traits();
    for (int control : node.controls) {
      const Fact& fact = facts_[control][0];
      const bool all_dead = std::all_of(facts_[control].begin(), facts_[control].end(),
                                        [](const Fact& f) { return f.dead; });
      if (all_dead && plan_.nodes[control].removed && !traits.is_control_trigger)
        return Kill(i, fact.killer);
    }
    if (traits.is_control_trigger) {
      std::erase_if(node.controls, [&](int control) {
        return plan_.nodes[control].removed && facts_[control][0].dead;
      });
    }
    Reconnect(node);
    if (traits.is_merge) return VisitMerge(i);
    for (const PlanSource& input : node.inputs) {
      const Fact* fact = FactOf(input);
      if (fact != nullptr && fact->dead) return Kill(i, fact->killer);
    }
    if (traits.is_switch) {
      const Tensor* pred = KnownValue(node.inputs[1]);
      if (pred != nullptr && pred->dtype() == kBool && pred->num_elements() == 1) {
        const int taken = pred->scalar<bool>() ? 1 : 0;
        Replace(i, taken, node.inputs[0]);
        facts_[i][1 - taken] = {.dead = true, .killer = node.node};
        node.removed = true;
      }
      return;
    }
    Fold(i);
  }

  void VisitMerge(int i) {
    PlanGraphNode& node = plan_.nodes[i];
    int live = -1;
    int count = 0;
    const Node* killer = nullptr;
    for (int k = 0; k < static_cast<int>(node.inputs.size()); ++k) {
      const PlanSource& input = node.inputs[k];
      const bool later = input.kind == PlanSource::Kind::kNode && input.index >= i;  // a back edge
      const Fact* fact = later ? nullptr : FactOf(input);
      if (fact != nullptr && fact->dead) {
        killer = fact->killer;
        continue;
      }
      ++count;
      live = k;
    }
    const bool loop =
        std::any_of(node.node->inputs().begin(), node.node->inputs().end(),
                    [](const Output& input) { return input.node()->traits().is_next_iteration; });
    if (count == 0) return Kill(i, killer);
    if (loop) {
      if (killer != nullptr) Kill(i, killer);  // the loop is never entered
      return;
    }
    // One input is left and the others are dead: the Merge is alive exactly when that input is.
    if (count == 1 && killer != nullptr) {
      Replace(i, 0, node.inputs[live]);
      const PlanSource index = AddConstant(absl::StrCat(node.node->name(), "/value_index"),
                                           Tensor(static_cast<int32_t>(live)));
      Replace(i, 1, index);
      node.removed = true;
    }
  }

  void Fold(int i) {
    PlanGraphNode& node = plan_.nodes[i];
    const OpTraits& traits = node.node->traits();
    if (traits.stateful || traits.is_enter || traits.is_exit || traits.is_next_iteration ||
        traits.is_loop_cond || traits.is_variable || traits.is_control_trigger ||
        node.node->num_outputs() == 0) {
      return;
    }
    if (!node.controls.empty() && (!traits.is_constant || needed_for_liveness_[i])) return;
    const bool undecided_default = traits.is_placeholder && node.inputs.size() == 1;
    if (traits.is_placeholder && !(undecided_default && node.node->output_dtype(0) == kBool))
      return;
    std::vector<Value> inputs;
    for (const PlanSource& source : node.inputs) {
      const Tensor* value = KnownValue(source);
      if (value == nullptr) return;
      inputs.push_back({.tensor = *value});
    }
    for (int o = 0; o < node.node->num_outputs(); ++o) {
      const Shape& shape = node.node->output_shape(o);
      if (IsRef(node.node->output_dtype(o)) ||
          (shape.IsFullyKnown() &&
           shape.CheckedNumElements().value_or(kMaxFoldedElements + 1) > kMaxFoldedElements)) {
        return;
      }
    }
    absl::StatusOr<KernelFunction> kernel = node.node->schema()->kernel()(*node.node);
    if (!kernel.ok() || *kernel == nullptr) return;  // reported when the plan makes its kernels
    std::vector<Value> outputs(node.node->num_outputs());
    KernelContext context(*node.node, absl::MakeSpan(inputs), absl::MakeSpan(outputs), folding_);
    if (!(*kernel)(context).ok()) return;  // reported by the Run
    for (const Value& output : outputs) {
      if (!output.tensor.valid() || output.tensor.num_elements() > kMaxFoldedElements) return;
    }
    for (int o = 0; o < node.node->num_outputs(); ++o) {
      const std::string& name = node.node->name();
      Replace(i, o, AddConstant(o == 0 ? name : absl::StrCat(name, "_", o), outputs[o].tensor));
    }
    node.removed = true;
  }

  PlanGraph& plan_;
  const std::map<int, Tensor>& known_feeds_;
  // An output of unknown shape may turn out large: it is refused before it takes memory.
  const KernelEnvironment folding_ = {.allocator = std::make_shared<RecyclingAllocator>(
                                          MemoryBudget{.max_tensor_bytes = kMaxFoldedBytes})};
  std::vector<std::vector<Fact>> facts_;
  std::vector<bool> needed_for_liveness_;
};

}  // namespace

absl::Status Decide(PlanGraph& plan, const std::map<int, Tensor>& known_feeds) {
  return Decider(plan, known_feeds).Run();
}

}  // namespace espalier
