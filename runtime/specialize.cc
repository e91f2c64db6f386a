// Tested by specialize_test.cc.
#include "espalier/runtime/specialize.h"

#include <map>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "espalier/graph/graph_def.h"
#include "espalier/graph/status_macros.h"
#include "espalier/runtime/decide.h"
#include "espalier/runtime/fold_channel_maps.h"
#include "espalier/runtime/frames.h"
#include "espalier/runtime/plan_graph.h"

namespace espalier {
namespace {

// What the fetches need as data once the values of the feeds are known.
absl::StatusOr<PlanGraph> Decided(const Graph& graph, const RunSignature& signature,
                                  const std::vector<Tensor>& values) {
  std::map<int, Tensor> known;
  for (size_t i = 0; i < values.size(); ++i) known[static_cast<int>(i)] = values[i];
  ASSIGN_OR_RETURN(PlanGraph plan, Prune(signature, graph.num_nodes()));
  RETURN_IF_ERROR(AssignFrames(plan));
  RETURN_IF_ERROR(Decide(plan, known));
  for (PlanGraphNode& node : plan.nodes) {
    if (node.removed) continue;
    // Waiting is only left where it keeps a node from running on the side that is not taken.
    std::erase_if(node.controls, [&](int control) {
      return node.node->context() == nullptr || plan.nodes[control].node->traits().stateful ||
             plan.nodes[control].node->num_outputs() == 0;
    });
  }
  plan.targets.clear();
  plan.RemoveUnneeded();
  return plan;
}

// Writes a decided plan down as a graph again, variables as constants.
class Writer {
 public:
  Writer(const PlanGraph& plan, const RunSignature& signature, const std::vector<Tensor>& values,
         const Session& session, Graph& to)
      : plan_(plan), signature_(signature), values_(values), session_(session), to_(to) {}

  absl::StatusOr<std::vector<Output>> Run() {
    places_.resize(plan_.nodes.size());
    // The pivot of a branch passes deadness on: what waits for it could not wait for its Switch.
    waited_for_.resize(plan_.nodes.size());
    for (const PlanGraphNode& node : plan_.nodes) {
      if (node.removed) continue;
      for (const int control : node.controls) waited_for_[control] = true;
    }
    for (int i = 0; i < static_cast<int>(plan_.nodes.size()); ++i) {
      if (plan_.nodes[i].removed) continue;
      if (absl::Status status = Write(i); !status.ok()) return status;
    }
    for (const auto& [i, input] : back_edges_) {
      ASSIGN_OR_RETURN(const Output value, ValueOf(plan_.nodes[i].inputs[input]));
      RETURN_IF_ERROR(to_.SetBackEdge(copies_.at(i), input, value));
    }
    std::vector<Output> fetches;
    for (const PlanSource& fetch : plan_.fetches) {
      ASSIGN_OR_RETURN(const Output value, ValueOf(fetch));
      fetches.push_back(value);
    }
    return fetches;
  }

 private:
  static constexpr PlanSource::Kind kNode = PlanSource::Kind::kNode;

  absl::Status Write(int i) {
    const PlanGraphNode& planned = plan_.nodes[i];
    const Node& node = *planned.node;
    if (node.traits().is_variable) {
      ASSIGN_OR_RETURN(const Tensor value, session_.VariableValue(node));
      ASSIGN_OR_RETURN(const Output constant, AddConst(node.name(), value));
      places_[i] = {constant};
      return absl::OkStatus();
    }
    NodeSpec spec = {.name = node.name(), .op = node.op(), .device = node.device()};
    // What passes a variable on passes its value on: RefSwitch becomes Switch.
    if (node.traits().forwards_ref && node.op().starts_with("Ref")) spec.op = node.op().substr(3);
    for (int k = 0; k < static_cast<int>(planned.inputs.size()); ++k) {
      const PlanSource& source = planned.inputs[k];
      if (source.kind == kNode && source.index >= i) {
        back_edges_.push_back({i, k});
        spec.inputs.emplace_back();
        continue;
      }
      if (node.input_is_ref(k) && node.traits().stateful) {
        return absl::UnimplementedError(
            absl::StrCat(node.Describe(), " changes the variable ", node.input(k).node()->name(),
                         ": a fetch that writes on its way cannot become a graph of constants"));
      }
      ASSIGN_OR_RETURN(const Output input, planned.frame == 0 || source.kind == kNode
                                               ? ValueOf(source)
                                               : ValueInLoop(source, planned));
      spec.inputs.push_back(input);
    }
    for (const int control : planned.controls) {
      if (const auto it = copies_.find(control); it != copies_.end()) {
        spec.control_inputs.push_back(it->second);
      } else if (!places_[control].empty()) {
        spec.control_inputs.push_back(places_[control][0].node());
      }
    }
    if (node.traits().passes_through && spec.control_inputs.empty() && !waited_for_[i]) {
      places_[i] = {spec.inputs[0]};
      return absl::OkStatus();
    }
    // Hints, such as where to be placed, speak of nodes that may be gone.
    for (const auto& [name, value] : node.attrs()) {
      if (!name.starts_with("_")) spec.attrs[name] = value;
    }
    absl::StatusOr<Node*> copy = to_.AddNode(std::move(spec));
    if (!copy.ok()) {
      return absl::UnimplementedError(absl::StrCat("with variables as constants there is no ",
                                                   node.Describe(), ": ", copy.status().message()));
    }
    copies_[i] = *copy;
    for (int o = 0; o < node.num_outputs(); ++o) places_[i].push_back((*copy)->output(o));
    return absl::OkStatus();
  }

  // A constant of a loop is one of each iteration: it waits for what else its user waits for.
  absl::StatusOr<Output> ValueInLoop(const PlanSource& source, const PlanGraphNode& user) {
    const Node* anchor = nullptr;
    for (const PlanSource& input : user.inputs) {
      if (input.kind == kNode && !places_[input.index].empty())
        anchor = places_[input.index][0].node();
    }
    for (const int control : user.controls) {
      if (!places_[control].empty()) anchor = places_[control][0].node();
    }
    if (anchor == nullptr) return ValueOf(source);
    const bool fed = source.kind == PlanSource::Kind::kFeed;
    return AddConst(
        fed ? signature_.feeds[source.index].node()->name() : plan_.constant_names[source.index],
        fed ? values_[source.index] : plan_.constants[source.index], anchor);
  }

  absl::StatusOr<Output> ValueOf(const PlanSource& source) {
    switch (source.kind) {
      case PlanSource::Kind::kNode:
        return places_[source.index][source.output];
      case PlanSource::Kind::kFeed:
        return Shared(feeds_, source.index, signature_.feeds[source.index].node()->name(),
                      values_[source.index]);
      case PlanSource::Kind::kConstant:
        return Shared(constants_, source.index, plan_.constant_names[source.index],
                      plan_.constants[source.index]);
    }
    return absl::InternalError("an input of no kind");
  }

  absl::StatusOr<Output> Shared(absl::flat_hash_map<int, Output>& made, int index,
                                const std::string& name, const Tensor& value) {
    Output& constant = made[index];
    if (!constant.valid()) {
      ASSIGN_OR_RETURN(constant, AddConst(name, value));
    }
    return constant;
  }

  absl::StatusOr<Output> AddConst(const std::string& name, const Tensor& value,
                                  const Node* control = nullptr) {
    NodeSpec spec = {.name = to_.UniqueName(name),
                     .op = "Const",
                     .attrs = {{"value", value}, {"dtype", value.dtype()}}};
    if (control != nullptr) spec.control_inputs = {control};
    ASSIGN_OR_RETURN(const Node* node, to_.AddNode(std::move(spec)));
    return node->output(0);
  }

  const PlanGraph& plan_;
  const RunSignature& signature_;
  const std::vector<Tensor>& values_;
  const Session& session_;
  Graph& to_;
  std::vector<bool> waited_for_;
  std::vector<std::vector<Output>> places_;
  std::map<int, Node*> copies_;
  std::vector<std::pair<int, int>> back_edges_;
  absl::flat_hash_map<int, Output> feeds_, constants_;
};

// A graph and what is to be fetched of it.
struct Stage {
  std::unique_ptr<Graph> graph;
  RunSignature signature;  // without feeds
};

// As if read from a file: with the branches and loops that are left.
absl::StatusOr<Stage> Reimport(const Graph& written, const std::vector<Output>& fetches) {
  Stage stage = {.graph = std::make_unique<Graph>(written.registry())};
  ASSIGN_OR_RETURN(const proto::GraphDef def, ExportGraphDef(written));
  RETURN_IF_ERROR(ImportGraphDef(def, *stage.graph));
  for (const Output& fetch : fetches) {
    ASSIGN_OR_RETURN(const Output output, stage.graph->FindOutput(fetch.name()));
    stage.signature.fetches.push_back(output);
  }
  return stage;
}

absl::StatusOr<Stage> Rewrite(const Graph& graph, const RunSignature& signature,
                              const std::vector<Tensor>& values, const Session& session) {
  ASSIGN_OR_RETURN(const PlanGraph plan, Decided(graph, signature, values));
  Graph written(graph.registry());
  ASSIGN_OR_RETURN(const std::vector<Output> fetches,
                   Writer(plan, signature, values, session, written).Run());
  return Reimport(written, fetches);
}

// Gives each fetched value its old name again.
absl::Status Rename(const std::vector<Output>& wanted, const std::vector<Output>& fetches,
                    Graph& graph) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (fetches[i].name() == wanted[i].name()) continue;
    if (wanted[i].index() != 0 || graph.FindNode(wanted[i].node()->name()) != nullptr) {
      return absl::UnimplementedError(absl::StrCat("the value of fetch ", wanted[i].name(),
                                                   " is now that of ", fetches[i].name()));
    }
    RETURN_IF_ERROR(
        graph.AddNode({.name = wanted[i].node()->name(), .op = "Identity", .inputs = {fetches[i]}})
            .status());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<proto::GraphDef> Specialize(const Graph& graph, const Session& session,
                                           const SpecializeOptions& options) {
  RETURN_IF_ERROR(graph.status());
  RunSignature signature;
  std::vector<Tensor> values;
  for (const Feed& feed : options.set) {
    ASSIGN_OR_RETURN(const Output output, feed.endpoint.Resolve(graph));
    if (RemoveRef(output.dtype()) != feed.value.dtype() ||
        !Shape::Compatible(output.shape(), feed.value.shape())) {
      return absl::InvalidArgumentError(absl::StrCat(
          output.name(), " is ", DTypeName(output.dtype()), output.shape().ToString(),
          ", it cannot be ", DTypeName(feed.value.dtype()), feed.value.shape().ToString()));
    }
    signature.feeds.push_back(output);
    values.push_back(feed.value);
  }
  for (const Endpoint& fetch : options.fetch) {
    ASSIGN_OR_RETURN(const Output output, fetch.Resolve(graph));
    signature.fetches.push_back(output);
  }
  // Once for the values, then, with variables as constants, for what follows from those.
  ASSIGN_OR_RETURN(Stage stage, Rewrite(graph, signature, values, session));
  ASSIGN_OR_RETURN(stage, Rewrite(*stage.graph, stage.signature, {}, session));
  if (options.fold_channel_maps) {
    Graph folded(graph.registry());
    ASSIGN_OR_RETURN(const std::vector<Output> fetches,
                     FoldChannelMaps(*stage.graph, stage.signature.fetches, folded));
    ASSIGN_OR_RETURN(stage, Reimport(folded, fetches));
    ASSIGN_OR_RETURN(stage, Rewrite(*stage.graph, stage.signature, {}, session));
  }
  RETURN_IF_ERROR(Rename(signature.fetches, stage.signature.fetches, *stage.graph));
  ASSIGN_OR_RETURN(proto::GraphDef def, ExportGraphDef(*stage.graph));
  *def.mutable_versions() = graph.versions();
  return def;
}

}  // namespace espalier
