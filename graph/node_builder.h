// The checks that turn a NodeSpec into a Node: attrs inferred from inputs, defaults, types, counts.
// Private to Graph.
#ifndef ESPALIER_GRAPH_NODE_BUILDER_H_
#define ESPALIER_GRAPH_NODE_BUILDER_H_

#include <vector>

#include "absl/status/status.h"
#include "espalier/graph/graph.h"

namespace espalier {

// What AddNode derives from a schema.
struct ResolvedSignature {
  AttrMap attrs;
  std::vector<bool> input_is_ref;
  std::vector<DType> output_dtypes;
};

// INVALID_ARGUMENT naming op, node, expected and received when the spec does not fit the schema.
absl::StatusOr<ResolvedSignature> ResolveSignature(const OpSchema& schema, const NodeSpec& spec);

// TensorFlow's rule for node names: [A-Za-z0-9.][A-Za-z0-9_.\\/>-]*.
bool IsValidNodeName(const std::string& name);

// "Add node 'x' (made at f.cc:3)".
std::string DescribeSpec(const NodeSpec& spec);

}  // namespace espalier

#endif  // ESPALIER_GRAPH_NODE_BUILDER_H_
