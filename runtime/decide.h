// Evaluates what is known when a Run is compiled, and removes the control flow that it decides.
//
// Known are constants, PlaceholderWithDefault of a bool that is not fed, and the scalar bools in
// `known_feeds`. Pure ops over known values are evaluated (up to 4096 elements); a Switch with a
// known predicate gives way to the side that is taken; what is dead on the other side goes, and a
// Merge with one live input gives way to it. With is_training fed, the plan of a conditional
// network holds no Switch and no Merge.
#ifndef ESPALIER_RUNTIME_DECIDE_H_
#define ESPALIER_RUNTIME_DECIDE_H_

#include <map>

#include "absl/status/status.h"
#include "espalier/runtime/kernel.h"
#include "espalier/runtime/plan_graph.h"

namespace espalier {

// INVALID_ARGUMENT when a fetch lies on a side that is not taken; the message names the Switch.
absl::Status Decide(PlanGraph& plan, const std::map<int, Tensor>& known_feeds);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_DECIDE_H_
