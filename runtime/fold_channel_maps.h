// A step of Specialize: scales and shifts of channels go into the linear op before them.
//
//   Graph folded;
//   ASSIGN_OR_RETURN(fetches, FoldChannelMaps(plain, fetches, folded));
//
// `plain` has constants for weights and for the numbers of the maps. A chain conv → batch norm →
// bias becomes one conv with other weights and one BiasAdd under the name of the chain's last node.
// A value that is used twice, or fetched, ends its chain.
#ifndef ESPALIER_RUNTIME_FOLD_CHANNEL_MAPS_H_
#define ESPALIER_RUNTIME_FOLD_CHANNEL_MAPS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "espalier/graph/graph.h"

namespace espalier {

// `fetches` as tensors of `folded`.
absl::StatusOr<std::vector<Output>> FoldChannelMaps(const Graph& plain,
                                                    const std::vector<Output>& fetches,
                                                    Graph& folded);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_FOLD_CHANNEL_MAPS_H_
