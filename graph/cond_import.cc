// Tested by cond_test.cc and the conformance cases.
#include "espalier/graph/cond_import.h"

namespace espalier {
namespace {

int Depth(const CondContext* context) { return context == nullptr ? 0 : context->depth(); }

bool SplitsABranch(const OpTraits& traits, const Output& pred) {
  return traits.is_switch && pred.valid() && !pred.node()->traits().is_loop_cond;
}

}  // namespace

Output PredicateRoot(Output pred) {
  while (pred.node()->op() == "Identity" && pred.node()->input(0).valid())
    pred = pred.node()->input(0);
  return pred;
}

CondContext* CondImport::Branch(CondContext* parent, const Output& pred, int side,
                                const Output& pivot) {
  CondContext*& branch = branches_[{parent, PredicateRoot(pred), side}];
  if (branch == nullptr) {
    branch = graph_.AddContext(std::make_unique<CondContext>(parent, pred, side));
    if (pivot.valid()) branch->set_pivot(pivot);
  }
  return branch;
}

CondContext* CondImport::ContextOfOutput(const Output& output) {
  const Node& node = *output.node();
  CondContext* context = node.context();
  if (node.num_inputs() < 2 || !SplitsABranch(node.traits(), node.input(1))) return context;
  // A Switch of which one side is used stands in that branch already.
  const bool inside =
      context != nullptr && PredicateRoot(context->pred()) == PredicateRoot(node.input(1));
  CondContext* branch = inside ? context : Branch(context, node.input(1), output.index(), output);
  if (!branch->pivot().valid()) branch->set_pivot(output);
  return branch;
}

CondContext* CondImport::ContextOf(const NodeSpec& spec, const Use& use) {
  CondContext* deepest = nullptr;
  const auto consider = [&](CondContext* context) {
    if (Depth(context) > Depth(deepest)) deepest = context;
  };
  for (const Output& input : spec.inputs) {
    if (input.valid()) consider(ContextOfOutput(input));
  }
  for (const Node* node : spec.control_inputs) consider(node->context());
  const OpSchema* schema = graph_.registry().Find(spec.op);
  if (schema == nullptr) return deepest;
  if (schema->traits().is_merge && !use.loop_merge)
    return deepest == nullptr ? nullptr : deepest->parent();
  if (spec.inputs.size() > 1 && SplitsABranch(schema->traits(), spec.inputs[1]) &&
      use.outputs_used[0] != use.outputs_used[1]) {
    return Branch(deepest, spec.inputs[1], use.outputs_used[1] ? 1 : 0, Output());
  }
  return deepest;
}

}  // namespace espalier
