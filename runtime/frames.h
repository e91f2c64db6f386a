// Pass: which frame each node runs in. A frame is a run of a loop; the outermost is the Run itself.
//
//   RETURN_IF_ERROR(AssignFrames(plan));   // sets plan.frames, node.frame, node.outputs_frame
//
// An Enter runs in the frame around the loop and gives its value to the loop's, an Exit the other
// way round; every other node runs where its inputs come from. INVALID_ARGUMENT, naming node and
// frames, for inputs of different frames, an Exit outside of all loops, two loops of one frame
// name, parallel_iterations under 1; RESOURCE_EXHAUSTED for loops nested deeper than
// kMaxFrameDepth.
#ifndef ESPALIER_RUNTIME_FRAMES_H_
#define ESPALIER_RUNTIME_FRAMES_H_

#include "absl/status/status.h"
#include "espalier/runtime/plan_graph.h"

namespace espalier {

inline constexpr int kMaxFrameDepth = 64;

absl::Status AssignFrames(PlanGraph& plan);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_FRAMES_H_
