// Tested by loops_test.cc and bad_graphs_test.cc.
#include "espalier/runtime/frames.h"

#include <algorithm>
#include <map>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "espalier/graph/status_macros.h"
#include "espalier/runtime/kernel.h"

namespace espalier {
namespace {

// More iterations at once than any machine has work for.
constexpr int64_t kMostParallelIterations = 1 << 20;

class Assigner {
 public:
  explicit Assigner(PlanGraph& plan) : plan_(plan) {}

  absl::Status Run() {
    plan_.frames = {PlanFrame()};
    for (int i = 0; i < static_cast<int>(plan_.nodes.size()); ++i) {
      if (plan_.nodes[i].removed) continue;
      if (absl::Status status = Visit(i); !status.ok()) return AtNode(status, *plan_.nodes[i].node);
    }
    for (const PlanGraphNode& node : plan_.nodes) {
      if (node.removed) continue;
      if (absl::Status status = CheckInputs(node); !status.ok()) return AtNode(status, *node.node);
    }
    // What a loop does to state it does iteration by iteration.
    for (const PlanGraphNode& node : plan_.nodes) {
      if (node.removed || !node.node->traits().stateful) continue;
      for (int f = node.frame; f > 0; f = plan_.frames[f].parent)
        plan_.frames[f].parallel_iterations = 1;
    }
    return absl::OkStatus();
  }

 private:
  std::string NameOf(int frame) const {
    return frame == 0 ? "the graph outside of all loops"
                      : absl::StrCat("frame '", absl::CHexEscape(plan_.frames[frame].name), "'");
  }

  // A back edge comes from a node further down, whose frame is not known yet.
  static bool IsBackEdge(const PlanSource& source, int i) { return source.index >= i; }

  absl::Status Visit(int i) {
    PlanGraphNode& node = plan_.nodes[i];
    const OpTraits& traits = node.node->traits();
    node.frame = 0;
    bool known = false;
    for (const PlanSource& source : node.inputs) {
      if (known || source.kind != PlanSource::Kind::kNode || IsBackEdge(source, i)) continue;
      node.frame = plan_.nodes[source.index].outputs_frame;
      known = !plan_.nodes[source.index].node->traits().is_variable;
    }
    if (!known && !node.controls.empty()) node.frame = plan_.nodes[node.controls[0]].outputs_frame;
    node.outputs_frame = node.frame;
    if (traits.is_enter) return Open(i);
    if (traits.is_exit) {
      if (node.frame == 0) return absl::InvalidArgumentError("an Exit outside of all loops");
      node.outputs_frame = plan_.frames[node.frame].parent;
    }
    if (traits.is_loop_cond) {
      PlanFrame& frame = plan_.frames[node.frame];
      if (frame.has_condition) {
        return absl::InvalidArgumentError(
            absl::StrCat("a second loop in ", NameOf(node.frame), ": frame_name must be unique"));
      }
      frame.has_condition = true;
    }
    return absl::OkStatus();
  }

  absl::Status Open(int i) {
    PlanGraphNode& node = plan_.nodes[i];
    const std::string& name = node.node->attr<std::string>("frame_name");
    const int64_t parallel = node.node->attr<int64_t>("parallel_iterations");
    if (parallel < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("parallel_iterations must be at least 1, received ", parallel));
    }
    const int outer = node.frame;
    const auto [it, added] =
        frames_.try_emplace({outer, name}, static_cast<int>(plan_.frames.size()));
    if (added) {
      for (int f = outer; f > 0; f = plan_.frames[f].parent) {
        if (plan_.frames[f].name == name) {
          return absl::InvalidArgumentError(
              absl::StrCat(NameOf(f), " is entered from within itself"));
        }
      }
      PlanFrame frame;
      frame.name = name;
      frame.parent = outer;
      frame.depth = plan_.frames[outer].depth + 1;
      frame.parallel_iterations = std::min(parallel, kMostParallelIterations);
      if (frame.depth > kMaxFrameDepth) {
        return absl::ResourceExhaustedError(
            absl::StrCat("loops are nested deeper than ", kMaxFrameDepth, " frames"));
      }
      plan_.frames.push_back(std::move(frame));
    }
    node.outputs_frame = it->second;
    plan_.frames[it->second].enters.push_back(i);
    return absl::OkStatus();
  }

  absl::Status CheckInputs(const PlanGraphNode& node) const {
    const auto check = [&](int source) -> absl::Status {
      const PlanGraphNode& from = plan_.nodes[source];
      // Storage is everywhere.
      if (from.outputs_frame == node.frame || from.node->traits().is_variable)
        return absl::OkStatus();
      return absl::InvalidArgumentError(
          absl::StrCat("inputs come from different frames: ", from.node->Describe(), " is of ",
                       NameOf(from.outputs_frame), ", the node of ", NameOf(node.frame)));
    };
    for (const PlanSource& source : node.inputs) {
      if (source.kind == PlanSource::Kind::kNode) RETURN_IF_ERROR(check(source.index));
    }
    for (const int control : node.controls) {
      if (!plan_.nodes[control].removed) RETURN_IF_ERROR(check(control));
    }
    return absl::OkStatus();
  }

  PlanGraph& plan_;
  std::map<std::pair<int, std::string>, int> frames_;
};

}  // namespace

absl::Status AssignFrames(PlanGraph& plan) { return Assigner(plan).Run(); }

}  // namespace espalier
