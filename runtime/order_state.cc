// Tested by order_state_test.cc.
#include "espalier/runtime/order_state.h"

#include <algorithm>
#include <map>

namespace espalier {
namespace {

struct Chain {
  int last_write = -1;
  std::vector<int> reads_since;
};

// `later` waits for `earlier`. Where they run in different frames, it is the loops that stand
// between them and the frame around both that wait for each other.
void AddOrder(PlanGraph& plan, int earlier, int later) {
  const std::vector<PlanFrame>& frames = plan.frames;
  int from = plan.nodes[earlier].frame, to = plan.nodes[later].frame;
  if (from == to) {
    plan.nodes[later].orders.push_back(earlier);
    return;
  }
  int from_loop = -1, to_loop = -1;
  while (from != to) {
    if (frames[from].depth >= frames[to].depth) {
      from_loop = from;
      from = frames[from].parent;
    } else {
      to_loop = to;
      to = frames[to].parent;
    }
  }
  const std::vector<int> waiting = to_loop < 0 ? std::vector<int>{later} : frames[to_loop].enters;
  for (const int node : waiting) {
    if (from_loop < 0) {
      plan.nodes[node].orders.push_back(earlier);
    } else {
      plan.nodes[node].frame_orders.push_back(from_loop);
    }
  }
}

void SortUnique(std::vector<int>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

}  // namespace

void OrderState(PlanGraph& plan) {
  // The variables that the ref outputs of each node may name: several after a RefMerge.
  std::vector<std::vector<int>> variables(plan.nodes.size());
  std::map<int, Chain> chains;
  for (int i = 0; i < static_cast<int>(plan.nodes.size()); ++i) {
    PlanGraphNode& node = plan.nodes[i];
    if (node.removed) continue;
    const OpTraits& traits = node.node->traits();
    if (traits.is_variable) variables[i] = {i};
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const PlanSource& input = node.inputs[k];
      const DType type = node.node->input(static_cast<int>(k)).dtype();
      if (input.kind != PlanSource::Kind::kNode || !CarriesVariable(type)) continue;
      // A back edge names a node that comes later; what it may name entered the loop before.
      const std::vector<int> named = variables[input.index];
      const bool handle = type == kResource;
      const bool passes_on =
          handle ? node.node->num_outputs() > 0 && node.node->output_dtype(0) == kResource
                 : traits.forwards_ref || traits.is_merge;
      if (passes_on) variables[i].insert(variables[i].end(), named.begin(), named.end());
      const bool takes_variable = handle || node.node->input_is_ref(static_cast<int>(k));
      const bool writes = takes_variable && traits.stateful;
      const bool only_passes_on = takes_variable && !traits.stateful && (passes_on || !handle);
      if (only_passes_on) continue;
      for (int variable : named) {
        Chain& chain = chains[variable];
        if (writes) {
          for (const int read : chain.reads_since) AddOrder(plan, read, i);
          if (chain.last_write >= 0) AddOrder(plan, chain.last_write, i);
          chain.last_write = i;
          chain.reads_since.clear();
        } else {
          if (chain.last_write >= 0) AddOrder(plan, chain.last_write, i);
          chain.reads_since.push_back(i);
        }
      }
    }
    // An op that reads and writes the same variable is no predecessor of itself.
    std::erase(node.orders, i);
  }
  for (PlanGraphNode& node : plan.nodes) {
    SortUnique(node.orders);
    SortUnique(node.frame_orders);
  }
}

}  // namespace espalier
