// GraphDef in and out: TensorFlow's wire format, binary or text.
//
//   ASSIGN_OR_RETURN(proto::GraphDef def, ExportGraphDef(graph));
//   RETURN_IF_ERROR(WriteGraphDef(def, "train.pb"));            // "….pbtxt" writes text
//   ASSIGN_OR_RETURN(def, ReadGraphDef("train.pb"));  // binary or text, told by content
//   Graph copy;
//   RETURN_IF_ERROR(ImportGraphDef(def, copy));
//
// Whatever bytes come, the answer is a Status. An op that the registry does not know is kept on
// import and written back; only a plan that needs it is refused. Attributes whose name starts with
// "_" are hints: kept, never trusted.
#ifndef ESPALIER_GRAPH_GRAPH_DEF_H_
#define ESPALIER_GRAPH_GRAPH_DEF_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "espalier/graph/graph.h"
#include "espalier/proto/graph.pb.h"

namespace espalier {

struct ImportLimits {
  int64_t max_file_bytes = int64_t{2} << 30;
  int64_t max_nodes = 4'000'000;
};

// Every node with every attribute, in the order of creation. Fails with the graph's error when it
// has one.
absl::StatusOr<proto::GraphDef> ExportGraphDef(const Graph& graph);

// Adds the nodes of `def` to `graph`, in the order of the file. INVALID_ARGUMENT for a name used
// twice, an input that does not exist, a cycle that is no loop, an attribute that does not fit; the
// graph is then unusable but whole.
absl::Status ImportGraphDef(const proto::GraphDef& def, Graph& graph,
                            const ImportLimits& limits = {});

// RESOURCE_EXHAUSTED over the limits, told before the bytes are parsed.
absl::StatusOr<proto::GraphDef> ReadGraphDef(const std::string& path,
                                             const ImportLimits& limits = {});
absl::StatusOr<proto::GraphDef> ParseGraphDef(const std::string& bytes, const std::string& what,
                                              const ImportLimits& limits = {});
absl::Status WriteGraphDef(const proto::GraphDef& def, const std::string& path);

// RESOURCE_EXHAUSTED for more nodes than the limits allow.
absl::Status CheckNodeCount(int64_t count, const ImportLimits& limits);

// One tensor to its message and back. INVALID_ARGUMENT for contents that do not fit the shape.
proto::TensorProto TensorToProto(const Tensor& tensor);
absl::StatusOr<Tensor> TensorFromProto(const proto::TensorProto& message);

// One attribute to its message and back; `kind` (kNone when unknown) tells what an empty list
// holds.
proto::AttrValue AttrToProto(const AttrValue& value);
absl::StatusOr<AttrValue> AttrFromProto(const proto::AttrValue& message, AttrKind kind);

}  // namespace espalier

#endif  // ESPALIER_GRAPH_GRAPH_DEF_H_
