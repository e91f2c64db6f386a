// Tested by cond_test.cc, while_loop_test.cc and the conformance cases.
#include "espalier/graph/control_flow_import.h"

namespace espalier {
namespace {

int Depth(const ControlFlowContext* context) { return context == nullptr ? 0 : context->depth(); }

bool IsLoopCondition(const Output& pred) {
  return pred.valid() && pred.node()->traits().is_loop_cond;
}

bool SplitsABranch(const OpTraits& traits, const Output& pred) {
  return traits.is_switch && pred.valid() && !IsLoopCondition(pred);
}

// Null when the attr is missing or of another kind.
template <typename T>
const T* FindAttr(const NodeSpec& spec, const std::string& name) {
  const auto it = spec.attrs.find(name);
  return it == spec.attrs.end() ? nullptr
                                : std::get_if<T>(static_cast<const AttrVariant*>(&it->second));
}

}  // namespace

Output PredicateRoot(Output pred) {
  while (pred.node()->op() == "Identity" && pred.node()->input(0).valid())
    pred = pred.node()->input(0);
  return pred;
}

ControlFlowContext* ControlFlowImport::Branch(ControlFlowContext* parent, const Output& pred,
                                              int side, const Output& pivot) {
  CondContext*& branch = branches_[{parent, PredicateRoot(pred), side}];
  if (branch == nullptr) {
    branch = graph_.AddContext(std::make_unique<CondContext>(parent, pred, side));
    if (pivot.valid()) branch->set_pivot(pivot);
  }
  return branch;
}

ControlFlowContext* ControlFlowImport::Loop(ControlFlowContext* parent, const NodeSpec& enter) {
  const auto* frame = FindAttr<std::string>(enter, "frame_name");
  if (frame == nullptr) return parent;  // the node will be refused
  WhileContext*& loop = loops_[*frame];
  if (loop == nullptr) {
    const auto* parallel = FindAttr<int64_t>(enter, "parallel_iterations");
    loop = graph_.AddContext(
        std::make_unique<WhileContext>(parent, *frame, parallel == nullptr ? 10 : *parallel));
  } else if (Depth(parent) > Depth(loop->parent()) && !Encloses(loop, parent)) {
    loop->MoveInto(parent);  // an earlier Enter's value came from further out
  }
  return loop;
}

ControlFlowContext* ControlFlowImport::ContextOfOutput(const Output& output) {
  const Node& node = *output.node();
  ControlFlowContext* context = node.context();
  if (node.num_inputs() < 2 || !node.traits().is_switch) return context;
  if (IsLoopCondition(node.input(1))) {
    if (output.index() == 1 && context != nullptr && !context->pivot().valid())
      context->set_pivot(output);
    return context;
  }
  // A Switch of which one side is used stands in that branch already.
  CondContext* own = context == nullptr ? nullptr : context->AsCond();
  const bool inside = own != nullptr && PredicateRoot(own->pred()) == PredicateRoot(node.input(1));
  ControlFlowContext* branch =
      inside ? context : Branch(context, node.input(1), output.index(), output);
  if (!branch->pivot().valid()) branch->set_pivot(output);
  return branch;
}

ControlFlowContext* ControlFlowImport::ContextOf(const NodeSpec& spec, const Use& use) {
  ControlFlowContext* deepest = nullptr;
  const auto consider = [&](ControlFlowContext* context) {
    if (Depth(context) > Depth(deepest)) deepest = context;
  };
  for (const Output& input : spec.inputs) {
    if (input.valid()) consider(ContextOfOutput(input));
  }
  for (const Node* node : spec.control_inputs) consider(node->context());
  const OpSchema* schema = graph_.registry().Find(spec.op);
  if (schema == nullptr) return deepest;
  const OpTraits& traits = schema->traits();
  if (traits.is_enter) return Loop(deepest, spec);
  if (traits.is_exit) {
    const WhileContext* loop = InnermostLoop(deepest);
    return loop == nullptr ? nullptr : loop->parent();
  }
  if (traits.is_merge && !use.loop_merge)
    return deepest == nullptr || deepest->AsCond() == nullptr ? deepest : deepest->parent();
  if (spec.inputs.size() > 1 && SplitsABranch(traits, spec.inputs[1]) &&
      use.outputs_used[0] != use.outputs_used[1]) {
    return Branch(deepest, spec.inputs[1], use.outputs_used[1] ? 1 : 0, Output());
  }
  return deepest;
}

}  // namespace espalier
