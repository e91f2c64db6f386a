// Tested by session_test.cc.
#include <functional>
#include <queue>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "espalier/graph/status_macros.h"
#include "espalier/graph/while_loop.h"
#include "espalier/runtime/plan_graph.h"

namespace espalier {
namespace {

bool IsBackEdge(const Node& to, const Output& input) {
  return to.traits().is_merge && input.node()->traits().is_next_iteration;
}

class Pruner {
 public:
  Pruner(const RunSignature& signature, int node_limit)
      : signature_(signature), node_limit_(node_limit) {}

  absl::StatusOr<PlanGraph> Run() {
    if (signature_.fetches.empty() && signature_.targets.empty()) {
      return absl::InvalidArgumentError("Run: nothing to fetch and nothing to run");
    }
    for (size_t i = 0; i < signature_.feeds.size(); ++i)
      feeds_[signature_.feeds[i]] = static_cast<int>(i);
    RETURN_IF_ERROR(Collect());
    RETURN_IF_ERROR(Order(true));
    Connect();
    return std::move(plan_);
  }

 private:
  absl::Status Visit(const Node* node) {
    if (!needed_.emplace(node, -1).second) return absl::OkStatus();
    if (node->id() >= node_limit_) {
      return absl::FailedPreconditionError(
          absl::StrCat(node->Describe(),
                       " was made after the session took its graph; Session::Extend takes it in"));
    }
    if (node->schema() == nullptr) {
      return absl::NotFoundError(
          absl::StrCat(node->Describe(), ": the op ", node->op(), " is not known"));
    }
    collected_.push_back(node);
    return absl::OkStatus();
  }

  absl::Status Collect() {
    for (const Output& fetch : signature_.fetches) {
      if (!feeds_.contains(fetch)) RETURN_IF_ERROR(Visit(fetch.node()));
    }
    for (const Node* target : signature_.targets) RETURN_IF_ERROR(Visit(target));
    for (size_t i = 0; i < collected_.size(); ++i) {
      for (const Output& input : collected_[i]->inputs()) {
        if (!feeds_.contains(input)) RETURN_IF_ERROR(Visit(input.node()));
      }
      for (const Node* control : collected_[i]->control_inputs()) RETURN_IF_ERROR(Visit(control));
    }
    return absl::OkStatus();
  }

  // A loop is a unit: its nodes come after all its Enters and before its Exits, with nothing
  // between them. So what reads or writes a variable outside comes before the loop or after it.
  struct Loop {
    int enters = 0;                    // to come
    int left = 0;                      // nodes in it and its inner loops, to come
    std::vector<const Node*> members;  // wait for the Enters
    std::vector<const Node*> exits;    // wait for all the rest
  };
  using Loops = absl::flat_hash_map<const WhileContext*, Loop>;

  static WhileContext* LoopWhereItRuns(const Node& node) {
    WhileContext* loop = InnermostLoop(node.context());
    return node.traits().is_enter && loop != nullptr ? InnermostLoop(loop->parent()) : loop;
  }

  static WhileContext* LoopThatItLeaves(const Node& node) {
    return node.traits().is_exit && node.num_inputs() > 0
               ? InnermostLoop(node.input(0).node()->context())
               : nullptr;
  }

  Loops CollectLoops(absl::flat_hash_map<const Node*, int>& pending) const {
    Loops loops;
    for (const Node* node : collected_) {
      WhileContext* loop = LoopWhereItRuns(*node);
      if (loop != nullptr) {
        loops[loop].members.push_back(node);
        ++pending[node];
      }
      for (; loop != nullptr; loop = InnermostLoop(loop->parent())) ++loops[loop].left;
      if (node->traits().is_enter && node->context() != nullptr)
        ++loops[InnermostLoop(node->context())].enters;
      WhileContext* left = LoopThatItLeaves(*node);
      if (left == nullptr) continue;
      loops[left].exits.push_back(node);
      ++pending[node];
    }
    return loops;
  }

  // Kahn's algorithm; of the ready nodes those of the innermost loop first, then the earliest made.
  absl::Status Order(bool loops_as_units) {
    absl::flat_hash_map<const Node*, int> pending;
    absl::flat_hash_map<const Node*, std::vector<const Node*>> consumers;
    Loops loops;
    using Ready = std::pair<int, const Node*>;  // how many loops around it
    const auto later = [](const Ready& a, const Ready& b) {
      return a.first != b.first ? a.first < b.first : a.second->id() > b.second->id();
    };
    std::priority_queue<Ready, std::vector<Ready>, decltype(later)> ready(later);
    const auto count_down = [&](const Node* node) {
      if (--pending[node] > 0) return;
      const WhileContext* loop = LoopWhereItRuns(*node);
      ready.push({loop == nullptr ? 0 : loop->depth(), node});
    };
    for (const Node* node : collected_) {
      int& count = pending[node];
      count = 1;
      for (const Output& input : node->inputs()) {
        if (feeds_.contains(input) || IsBackEdge(*node, input)) continue;
        ++count;
        consumers[input.node()].push_back(node);
      }
      for (const Node* control : node->control_inputs()) {
        ++count;
        consumers[control].push_back(node);
      }
    }
    const auto release = [&](std::vector<const Node*>& nodes) {
      for (const Node* node : std::exchange(nodes, {})) count_down(node);
    };
    if (loops_as_units) loops = CollectLoops(pending);
    for (auto& [context, loop] : loops) {
      if (loop.enters == 0) release(loop.members);
      if (loop.left == 0) release(loop.exits);
    }
    for (const Node* node : collected_) count_down(node);
    while (!ready.empty()) {
      const Node* node = ready.top().second;
      ready.pop();
      needed_[node] = static_cast<int>(plan_.nodes.size());
      plan_.nodes.push_back({.node = node});
      const auto it = consumers.find(node);
      if (it != consumers.end()) {
        for (const Node* consumer : it->second) count_down(consumer);
      }
      if (loops.empty()) continue;
      WhileContext* loop = LoopWhereItRuns(*node);
      for (; loop != nullptr; loop = InnermostLoop(loop->parent())) {
        if (--loops[loop].left == 0) release(loops[loop].exits);
      }
      if (node->traits().is_enter && node->context() != nullptr) {
        Loop& entered = loops[InnermostLoop(node->context())];
        if (--entered.enters == 0) release(entered.members);
      }
    }
    if (plan_.nodes.size() == collected_.size()) return absl::OkStatus();
    // Loops that are no units, whatever they are, may still run.
    if (loops_as_units && !loops.empty()) {
      plan_.nodes.clear();
      return Order(false);
    }
    return absl::InvalidArgumentError(absl::StrCat(collected_.size() - plan_.nodes.size(),
                                                   " nodes are in a cycle that is no loop"));
  }
  PlanSource SourceOf(const Output& output) const {
    const auto feed = feeds_.find(output);
    if (feed != feeds_.end()) return {PlanSource::Kind::kFeed, feed->second, 0};
    return {PlanSource::Kind::kNode, needed_.at(output.node()), output.index()};
  }

  void Connect() {
    for (PlanGraphNode& node : plan_.nodes) {
      for (const Output& input : node.node->inputs()) node.inputs.push_back(SourceOf(input));
      for (const Node* control : node.node->control_inputs())
        node.controls.push_back(needed_.at(control));
    }
    for (const Output& fetch : signature_.fetches) plan_.fetches.push_back(SourceOf(fetch));
    for (const Node* target : signature_.targets) plan_.targets.push_back(needed_.at(target));
  }

  const RunSignature& signature_;
  const int node_limit_;
  absl::flat_hash_map<Output, int> feeds_;
  absl::flat_hash_map<const Node*, int> needed_;
  std::vector<const Node*> collected_;
  PlanGraph plan_;
};

}  // namespace

absl::StatusOr<PlanGraph> Prune(const RunSignature& signature, int node_limit) {
  return Pruner(signature, node_limit).Run();
}

void PlanGraph::RemoveUnneeded() {
  std::vector<bool> needed(nodes.size());
  std::vector<int> queue;
  const auto visit = [&](int index) {
    if (needed[index]) return;
    needed[index] = true;
    queue.push_back(index);
  };
  for (const PlanSource& fetch : fetches) {
    if (fetch.kind == PlanSource::Kind::kNode) visit(fetch.index);
  }
  for (int target : targets) visit(target);
  for (size_t i = 0; i < queue.size(); ++i) {
    const PlanGraphNode& node = nodes[queue[i]];
    if (node.removed) continue;
    for (const PlanSource& input : node.inputs) {
      if (input.kind == PlanSource::Kind::kNode) visit(input.index);
    }
    for (int control : node.controls) visit(control);
  }
  for (size_t i = 0; i < nodes.size(); ++i) nodes[i].removed = nodes[i].removed || !needed[i];
}

std::string PlanGraph::DebugString() const {
  std::string out;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const PlanGraphNode& node = nodes[i];
    if (node.removed) continue;
    absl::StrAppend(&out, i, ": ", node.node->op(), " ", node.node->name(), "(");
    const char* separator = "";
    for (const PlanSource& input : node.inputs) {
      static constexpr const char* kKinds[] = {"", "feed ", "constant "};
      absl::StrAppend(&out, separator, kKinds[static_cast<int>(input.kind)], input.index);
      if (input.output > 0) absl::StrAppend(&out, ":", input.output);
      separator = ", ";
    }
    for (int control : node.controls) {
      absl::StrAppend(&out, separator, "^", control);
      separator = ", ";
    }
    for (int order : node.orders) {
      absl::StrAppend(&out, separator, "after ", order);
      separator = ", ";
    }
    out += ")\n";
  }
  return out;
}

}  // namespace espalier
