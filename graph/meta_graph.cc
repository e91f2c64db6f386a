// Tested by graph_def_test.cc.
#include "espalier/graph/meta_graph.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "espalier/graph/proto_file.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
namespace {

// The two messages use the same field numbers for different things, so bytes of one often parse as
// the other; nodes with a readable op show which it was.
bool HasSoundNodes(const proto::GraphDef& def) {
  return std::all_of(def.node().begin(), def.node().end(), [](const proto::NodeDef& node) {
    return !node.op().empty() &&
           std::all_of(node.op().begin(), node.op().end(), [](unsigned char c) {
             return absl::ascii_isalnum(c) || c == '_' || c == '>' || c == '.';
           });
  });
}

absl::Status BadEntry(const std::string& key, const absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("collection '", absl::CHexEscape(key.substr(0, 256)), "': ", what));
}

// A name in a collection: "node" or "node:output".
absl::Status AddByName(Graph& graph, const std::string& key, const std::string& name) {
  if (name.find(':') != std::string::npos) {
    const absl::StatusOr<Output> output = graph.FindOutput(name);
    if (!output.ok()) return BadEntry(key, output.status().message());
    graph.AddToCollection(key, *output);
    return absl::OkStatus();
  }
  const absl::StatusOr<Operation> operation = graph.FindOperation(name);
  if (!operation.ok()) return BadEntry(key, operation.status().message());
  graph.AddToCollection(key, *operation);
  return absl::OkStatus();
}

absl::Status AddVariable(Graph& graph, const std::string& key, const std::string& bytes) {
  proto::VariableDef variable;
  if (!variable.ParseFromString(bytes)) return BadEntry(key, "an entry is no VariableDef");
  const absl::StatusOr<Output> output = graph.FindOutput(variable.variable_name());
  if (!output.ok()) return BadEntry(key, output.status().message());
  graph.AddToCollection(key, *output);
  if (const Node* assign = graph.FindNode(variable.initializer_name()))
    graph.initializers()[output->node()] = assign;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<proto::MetaGraphDef> ParseMetaGraph(const std::string& bytes,
                                                   const std::string& what,
                                                   const ImportLimits& limits) {
  // As either kind.
  RETURN_IF_ERROR(CheckNodeCount(CountFields(bytes, {proto::GraphDef::kNodeFieldNumber}), limits));
  RETURN_IF_ERROR(CheckNodeCount(CountFields(bytes, {proto::MetaGraphDef::kGraphDefFieldNumber,
                                                     proto::GraphDef::kNodeFieldNumber}),
                                 limits));
  proto::MetaGraphDef meta;
  proto::GraphDef def;
  const absl::Status as_graph = ParseMessage(bytes, what, &def);
  if (as_graph.ok() && HasSoundNodes(def)) {
    *meta.mutable_graph_def() = std::move(def);
    return meta;
  }
  const absl::Status as_meta = ParseMessage(bytes, what, &meta);
  if (as_meta.ok() && meta.has_graph_def() && HasSoundNodes(meta.graph_def())) return meta;
  if (as_graph.ok()) {  // a GraphDef with a bad op: the import says which
    proto::MetaGraphDef plain;
    *plain.mutable_graph_def() = std::move(def);
    return plain;
  }
  const bool meta_text =
      bytes.find("graph_def") != std::string::npos || bytes.find("meta_info") != std::string::npos;
  return meta_text ? as_meta : as_graph;
}

absl::StatusOr<proto::MetaGraphDef> ReadMetaGraph(const std::string& path,
                                                  const ImportLimits& limits) {
  ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, limits.max_file_bytes));
  return ParseMetaGraph(bytes, path, limits);
}

absl::Status ImportMetaGraph(const proto::MetaGraphDef& meta, Graph& graph,
                             const ImportLimits& limits) {
  RETURN_IF_ERROR(ImportGraphDef(meta.graph_def(), graph, limits));
  std::vector<std::string> keys;
  for (const auto& [key, collection] : meta.collection_def()) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  for (const std::string& key : keys) {
    const proto::CollectionDef& collection = meta.collection_def().at(key);
    for (const std::string& name : collection.node_list().value())
      RETURN_IF_ERROR(AddByName(graph, key, name));
    if (key.ends_with("variables")) {
      for (const std::string& bytes : collection.bytes_list().value())
        RETURN_IF_ERROR(AddVariable(graph, key, bytes));
    }
  }
  return absl::OkStatus();
}

}  // namespace espalier
