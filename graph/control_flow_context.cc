// Tested by cond_test.cc and while_loop_test.cc.
#include "espalier/graph/control_flow_context.h"

#include "absl/strings/str_cat.h"
#include "espalier/graph/status_macros.h"

namespace espalier {

int ControlFlowContext::depth() const {
  int depth = 0;
  for (const ControlFlowContext* c = this; c != nullptr; c = c->parent_) ++depth;
  return depth;
}

bool Encloses(const ControlFlowContext* outer, const ControlFlowContext* inner) {
  for (; inner != nullptr; inner = inner->parent()) {
    if (inner == outer) return true;
  }
  return outer == nullptr;
}

WhileContext* InnermostLoop(ControlFlowContext* context) {
  for (; context != nullptr; context = context->parent()) {
    if (WhileContext* loop = context->AsWhile()) return loop;
  }
  return nullptr;
}

absl::StatusOr<Output> CaptureInto(ControlFlowContext* context, const Output& output) {
  ControlFlowContext* home = output.node()->context();
  if (home == context) return output;
  if (context == nullptr) {
    const bool loop = home->AsWhile() != nullptr;
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor ", output.name(), " of ", output.node()->Describe(), " was made inside a ",
        loop ? "loop" : "branch", " and is used outside it; return it from the ",
        loop ? "loop" : "branch", " instead"));
  }
  const auto known = context->captured_.find(output);
  if (known != context->captured_.end()) return known->second;
  Output inside;
  if (!Encloses(home, context)) {
    ASSIGN_OR_RETURN(inside, context->Recall(output));
  }
  if (!inside.valid()) {
    ASSIGN_OR_RETURN(const Output outer, CaptureInto(context->parent(), output));
    const auto entered = context->captured_.find(outer);
    if (entered != context->captured_.end()) return entered->second;
    ASSIGN_OR_RETURN(inside, context->Enter(outer));
    context->captured_[outer] = inside;
  }
  return context->captured_[output] = inside;
}

absl::StatusOr<Node*> AddBorderNode(ControlFlowContext* context, ControlFlowContext* node_context,
                                    NodeSpec spec, const char* name) {
  const Node* pivot = context->pivot().node();
  Graph* graph = pivot->graph();
  spec.name =
      graph->UniqueName(absl::StrCat(pivot->name().substr(0, pivot->name().rfind('/') + 1), name));
  spec.context = node_context;
  spec.line = pivot->line();
  spec.inner_line = pivot->inner_line();
  return graph->AddNode(std::move(spec));
}

}  // namespace espalier
