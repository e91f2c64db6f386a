// Graph files of either kind: a GraphDef, or a MetaGraphDef with its collections and signatures.
//
//   ASSIGN_OR_RETURN(proto::MetaGraphDef meta, ReadMetaGraph("model.meta"));  // or a GraphDef
//   Graph graph;
//   RETURN_IF_ERROR(ImportMetaGraph(meta, graph));
//   graph.collection(kTrainableVariables)
//
// Binary or text, told by content. A plain GraphDef reads as a MetaGraphDef that has nothing but
// graph_def. Collections of nodes, and "variables" and its kin, come into the graph; others stay in
// the message.
#ifndef ESPALIER_GRAPH_META_GRAPH_H_
#define ESPALIER_GRAPH_META_GRAPH_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "espalier/graph/graph_def.h"
#include "espalier/proto/meta_graph.pb.h"

namespace espalier {

// INVALID_ARGUMENT for bytes that are neither kind; `what` names them in the message.
absl::StatusOr<proto::MetaGraphDef> ParseMetaGraph(const std::string& bytes,
                                                   const std::string& what,
                                                   const ImportLimits& limits = {});
// NOT_FOUND, RESOURCE_EXHAUSTED over the limits, else as ParseMetaGraph.
absl::StatusOr<proto::MetaGraphDef> ReadMetaGraph(const std::string& path,
                                                  const ImportLimits& limits = {});

// As ImportGraphDef; then the collections. INVALID_ARGUMENT naming the collection for an entry that
// names no node of the graph, or is no VariableDef where one is due.
absl::Status ImportMetaGraph(const proto::MetaGraphDef& meta, Graph& graph,
                             const ImportLimits& limits = {});

}  // namespace espalier

#endif  // ESPALIER_GRAPH_META_GRAPH_H_
