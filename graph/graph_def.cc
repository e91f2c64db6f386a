// Tested by graph_def_test.cc.
#include "espalier/graph/graph_def.h"

#include <algorithm>
#include <queue>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "espalier/graph/control_flow_import.h"
#include "espalier/graph/proto_file.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
namespace {

// TensorFlow 2.21's: what it reads, this reads.
constexpr int kConsumerVersion = 2474;
// A placeholder's empty shape meant "unknown" in graphs of producers before this version.
constexpr int kScalarPlaceholderShapes = 24;

std::string Quoted(const std::string& name) {
  return absl::StrCat("'", absl::CHexEscape(name.substr(0, 256)), "'");
}

// One input string of a NodeDef.
struct InputName {
  std::string node;
  int index = 0;  // -1: a control input
};

absl::StatusOr<InputName> ParseInput(const std::string& text) {
  InputName input;
  if (text.starts_with("^")) {
    input.node = text.substr(1);
    input.index = -1;
  } else {
    const size_t colon = text.rfind(':');
    input.node = text.substr(0, colon);
    if (colon != std::string::npos) {
      const std::string digits = text.substr(colon + 1);
      const bool numeric =
          !digits.empty() && std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit);
      if (!numeric || !absl::SimpleAtoi(digits, &input.index)) {
        return absl::InvalidArgumentError(
            absl::StrCat("input ", Quoted(text), " is no tensor name"));
      }
    }
  }
  if (input.node.empty() || input.node.find_first_of("^:") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("input ", Quoted(text), " is no tensor name"));
  }
  return input;
}

class Importer {
 public:
  Importer(const proto::GraphDef& def, Graph& graph) : def_(def), graph_(graph), contexts_(graph) {}

  absl::Status Run() {
    RETURN_IF_ERROR(CheckVersions());
    RETURN_IF_ERROR(Index());
    RETURN_IF_ERROR(Order());
    for (int i : order_) RETURN_IF_ERROR(AddNode(def_.node(i)));
    for (const BackEdge& edge : back_edges_) RETURN_IF_ERROR(Close(edge));
    if (def_.has_library()) graph_.library().MergeFrom(def_.library());
    if (def_.has_versions()) graph_.versions() = def_.versions();
    return absl::OkStatus();
  }

 private:
  struct BackEdge {
    Node* merge;
    int index;
    InputName from;
  };

  absl::Status Error(const proto::NodeDef& node, const std::string& what) const {
    return absl::InvalidArgumentError(absl::StrCat(absl::CHexEscape(node.op().substr(0, 256)),
                                                   " node ", Quoted(node.name()), ": ", what));
  }

  absl::Status CheckVersions() const {
    const proto::VersionDef& versions = def_.versions();
    if (versions.producer() < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("versions.producer must not be negative, received ", versions.producer()));
    }
    if (versions.min_consumer() > kConsumerVersion) {
      return absl::InvalidArgumentError(absl::StrCat("the graph needs a reader of version ",
                                                     versions.min_consumer(), ", this one has ",
                                                     kConsumerVersion));
    }
    for (const int version : versions.bad_consumers()) {
      if (version == kConsumerVersion) {
        return absl::InvalidArgumentError(
            absl::StrCat("versions.bad_consumers excludes this reader, ", kConsumerVersion));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Index() {
    for (int i = 0; i < def_.node_size(); ++i) {
      const proto::NodeDef& node = def_.node(i);
      if (node.op().empty()) return Error(node, "the op is empty");
      if (!index_.emplace(node.name(), i).second)
        return Error(node, "the node name is not unique in the graph");
    }
    inputs_.resize(def_.node_size());
    for (int i = 0; i < def_.node_size(); ++i) {
      const proto::NodeDef& node = def_.node(i);
      bool control = false;
      for (const std::string& text : node.input()) {
        absl::StatusOr<InputName> input = ParseInput(text);
        if (!input.ok()) return Error(node, std::string(input.status().message()));
        if (control && input->index >= 0)
          return Error(node, "a data input comes after a control input");
        control = input->index < 0;
        const auto source = index_.find(input->node);
        if (source == index_.end()) {
          return Error(node,
                       absl::StrCat("input ", Quoted(text), " names a node that does not exist"));
        }
        int& outputs = outputs_needed_[input->node];
        outputs = std::max(outputs, input->index + 1);
        if (input->index >= 0 && input->index < 2)
          uses_[input->node].outputs_used[input->index] = true;
        inputs_[i].push_back(*std::move(input));
      }
    }
    return absl::OkStatus();
  }

  bool IsBackEdge(int node, const InputName& input) const {
    const OpSchema* to = graph_.registry().Find(def_.node(node).op());
    const OpSchema* from = graph_.registry().Find(def_.node(index_.at(input.node)).op());
    return input.index >= 0 && to != nullptr && to->traits().is_merge && from != nullptr &&
           from->traits().is_next_iteration;
  }

  // Inputs first; among nodes that are ready, the order of the file.
  absl::Status Order() {
    std::vector<int> pending(def_.node_size());
    std::vector<std::vector<int>> consumers(def_.node_size());
    std::priority_queue<int, std::vector<int>, std::greater<>> ready;
    for (int i = 0; i < def_.node_size(); ++i) {
      for (const InputName& input : inputs_[i]) {
        if (IsBackEdge(i, input)) continue;
        ++pending[i];
        consumers[index_.at(input.node)].push_back(i);
      }
      if (pending[i] == 0) ready.push(i);
    }
    while (!ready.empty()) {
      const int next = ready.top();
      ready.pop();
      order_.push_back(next);
      for (int consumer : consumers[next]) {
        if (--pending[consumer] == 0) ready.push(consumer);
      }
    }
    if (static_cast<int>(order_.size()) == def_.node_size()) return absl::OkStatus();
    std::string names;
    int listed = 0;
    for (int i = 0; i < def_.node_size() && listed < 10; ++i) {
      if (pending[i] > 0)
        absl::StrAppend(&names, listed++ > 0 ? ", " : "", Quoted(def_.node(i).name()));
    }
    return absl::InvalidArgumentError(
        absl::StrCat(def_.node_size() - order_.size(),
                     " nodes are in a cycle that is no loop, or wait for one: ", names));
  }

  absl::Status AddNode(const proto::NodeDef& def) {
    NodeSpec spec;
    spec.name = def.name();
    spec.op = def.op();
    spec.device = def.device();
    const OpSchema* schema = graph_.registry().Find(def.op());
    if (schema == nullptr) spec.unknown_op_outputs = outputs_needed_[def.name()];
    std::vector<BackEdge> open;
    const int self = index_.at(def.name());
    for (const InputName& input : inputs_[self]) {
      if (input.index < 0) {
        spec.control_inputs.push_back(graph_.FindNode(input.node));
      } else if (IsBackEdge(self, input)) {
        open.push_back({nullptr, static_cast<int>(spec.inputs.size()), input});
        spec.inputs.emplace_back();
      } else {
        const Node* source = graph_.FindNode(input.node);
        spec.inputs.emplace_back(source, input.index);
      }
    }
    for (const auto& [name, value] : def.attr()) {
      const AttrSchema* attr = schema == nullptr ? nullptr : schema->FindAttr(name);
      absl::StatusOr<AttrValue> parsed =
          AttrFromProto(value, attr == nullptr ? AttrKind::kMessage : attr->kind);
      if (!parsed.ok()) {
        const bool hint = name.starts_with("_");
        if (!hint) {
          return absl::Status(parsed.status().code(),
                              absl::StrCat(def.op(), " node ", Quoted(def.name()), ": attr ",
                                           Quoted(name), ": ", parsed.status().message()));
        }
        parsed = AttrValue(value);
      }
      spec.attrs[name] = *std::move(parsed);
    }
    if (schema != nullptr) {
      // A builder lets attrs follow from the inputs; a file must say them.
      for (const AttrSchema& attr : schema->attrs()) {
        if (attr.required() && !spec.attrs.contains(attr.name))
          return Error(def, absl::StrCat("the attr '", attr.name, "' is missing"));
      }
    }
    if (schema != nullptr && schema->traits().is_placeholder &&
        ProducerBefore(kScalarPlaceholderShapes)) {
      const auto shape = spec.attrs.find("shape");
      if (shape != spec.attrs.end() && shape->second == AttrValue(Shape()))
        shape->second = Shape::Unknown();
    }
    ControlFlowImport::Use& use = uses_[def.name()];
    use.loop_merge = !open.empty();
    spec.context = contexts_.ContextOf(spec, use);
    ASSIGN_OR_RETURN(Node * node, graph_.AddNode(std::move(spec)));
    for (BackEdge& edge : open) {
      edge.merge = node;
      back_edges_.push_back(edge);
    }
    return absl::OkStatus();
  }

  bool ProducerBefore(int version) const {
    return def_.has_versions() && def_.versions().producer() < version;
  }

  absl::Status Close(const BackEdge& edge) {
    const Node* from = graph_.FindNode(edge.from.node);
    if (edge.from.index >= from->num_outputs()) {
      return absl::InvalidArgumentError(
          absl::StrCat(from->Describe(), " has no output ", edge.from.index));
    }
    return graph_.SetBackEdge(edge.merge, edge.index, from->output(edge.from.index));
  }

  const proto::GraphDef& def_;
  Graph& graph_;
  ControlFlowImport contexts_;
  absl::flat_hash_map<std::string, int> index_;
  absl::flat_hash_map<std::string, int> outputs_needed_;
  absl::flat_hash_map<std::string, ControlFlowImport::Use> uses_;
  std::vector<std::vector<InputName>> inputs_;
  std::vector<int> order_;
  std::vector<BackEdge> back_edges_;
};

}  // namespace

absl::StatusOr<proto::GraphDef> ExportGraphDef(const Graph& graph) {
  RETURN_IF_ERROR(graph.status());
  proto::GraphDef def;
  for (const auto& node : graph.nodes()) {
    proto::NodeDef* out = def.add_node();
    out->set_name(node->name());
    out->set_op(node->op());
    out->set_device(node->device());
    for (const Output& input : node->inputs()) {
      out->add_input(input.index() == 0 ? input.node()->name() : input.name());
    }
    for (const Node* control : node->control_inputs()) out->add_input("^" + control->name());
    for (const auto& [name, value] : node->attrs())
      (*out->mutable_attr())[name] = AttrToProto(value);
  }
  if (graph.library().function_size() > 0) *def.mutable_library() = graph.library();
  *def.mutable_versions() = graph.versions();
  return def;
}

absl::Status CheckNodeCount(int64_t count, const ImportLimits& limits) {
  if (count <= limits.max_nodes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(count, " nodes are over the limit of ", limits.max_nodes));
}

absl::Status ImportGraphDef(const proto::GraphDef& def, Graph& graph, const ImportLimits& limits) {
  RETURN_IF_ERROR(CheckNodeCount(def.node_size(), limits));
  absl::Status status = Importer(def, graph).Run();
  if (!status.ok()) graph.RecordError(status);  // half a graph must not run
  return status;
}

absl::StatusOr<proto::GraphDef> ParseGraphDef(const std::string& bytes, const std::string& what,
                                              const ImportLimits& limits) {
  RETURN_IF_ERROR(CheckNodeCount(CountFields(bytes, {proto::GraphDef::kNodeFieldNumber}), limits));
  proto::GraphDef def;
  RETURN_IF_ERROR(ParseMessage(bytes, what, &def));
  return def;
}

absl::StatusOr<proto::GraphDef> ReadGraphDef(const std::string& path, const ImportLimits& limits) {
  ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, limits.max_file_bytes));
  return ParseGraphDef(bytes, path, limits);
}

absl::Status WriteGraphDef(const proto::GraphDef& def, const std::string& path) {
  return WriteMessage(def, path);
}

}  // namespace espalier
