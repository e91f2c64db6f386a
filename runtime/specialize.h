// A training graph as the plain graph that its network is in use: what freezing does, and more.
//
//   ASSIGN_OR_RETURN(proto::GraphDef plain,
//                    Specialize(graph, session, {.set = {{is_training, false}}, .fetch =
//                    {logits}}));
//   RETURN_IF_ERROR(WriteGraphDef(plain, "logits.pb"));   // any importer of frozen graphs reads it
//
// What the values in `set` decide is decided: Switch and Merge go, and with them the branches that
// are not taken. Variables become constants of the values that they have in the session. What the
// fetches do not need as data goes: optimizers, update ops, checks, waiting. Constants are folded,
// and what only scales and shifts channels (batch normalisation, biases) goes into the convolution
// or matrix product before it. Fetched tensors and placeholders keep their names.
//
// The values are those of the original up to rounding: weights are scaled in double precision.
// Errors: INVALID_ARGUMENT for a fetch that is not decided to have a value; FAILED_PRECONDITION for
// a variable without a value; UNIMPLEMENTED for a fetch that writes variables on its way.
#ifndef ESPALIER_RUNTIME_SPECIALIZE_H_
#define ESPALIER_RUNTIME_SPECIALIZE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "espalier/proto/graph.pb.h"
#include "espalier/runtime/session.h"

namespace espalier {

struct SpecializeOptions {
  std::vector<Feed> set = {};
  std::vector<Endpoint> fetch = {};
  bool fold_channel_maps = true;
};

absl::StatusOr<proto::GraphDef> Specialize(const Graph& graph, const Session& session,
                                           const SpecializeOptions& options);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_SPECIALIZE_H_
