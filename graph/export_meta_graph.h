// A graph as a MetaGraphDef: with the collections that TensorFlow 1 needs to go on with it.
//
//   ASSIGN_OR_RETURN(proto::MetaGraphDef meta, ExportMetaGraph(graph));
//   RETURN_IF_ERROR(WriteMetaGraph(meta, "train.meta"));   // tf.train.import_meta_graph reads it
//
// Collections of nodes come out as they are; "variables" and its kin as VariableDefs with
// initialiser and initial value; branches and loops as "cond_context" and "while_context", so that
// TensorFlow can differentiate through them. A variable gets the node "<name>/read" that
// TensorFlow's Variable wants, when there is none.
#ifndef ESPALIER_GRAPH_EXPORT_META_GRAPH_H_
#define ESPALIER_GRAPH_EXPORT_META_GRAPH_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "espalier/graph/graph.h"
#include "espalier/proto/meta_graph.pb.h"

namespace espalier {

// The graph's own error when it has one; INVALID_ARGUMENT for a variable in a collection that has
// no initialiser.
absl::StatusOr<proto::MetaGraphDef> ExportMetaGraph(const Graph& graph);

// Binary; as text when the path ends in ".pbtxt".
absl::Status WriteMetaGraph(const proto::MetaGraphDef& meta, const std::string& path);

}  // namespace espalier

#endif  // ESPALIER_GRAPH_EXPORT_META_GRAPH_H_
