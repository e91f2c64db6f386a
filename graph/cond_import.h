// The branches of imported graphs, found from their structure: a GraphDef does not hold them.
//
//   CondImport branches(graph);
//   spec.context = branches.ContextOf(spec, {.outputs_used = {false, true}});   // in file order
//
// A value lives in the branch of a Switch when it depends on one of its outputs; a Merge leads out
// again. Switches of loops, whose predicate is a LoopCond, make no branch. What cannot be told gets
// no branch: such a graph runs, but the gradient of its Merge is an error that says so.
#ifndef ESPALIER_GRAPH_COND_IMPORT_H_
#define ESPALIER_GRAPH_COND_IMPORT_H_

#include <array>
#include <map>
#include <tuple>

#include "espalier/graph/cond.h"

namespace espalier {

class CondImport {
 public:
  explicit CondImport(Graph& graph) : graph_(graph) {}

  struct Use {
    std::array<bool, 2> outputs_used = {false, false};  // of a Switch
    bool loop_merge = false;                            // a Merge that a back edge enters
  };
  // The branch of the node that `spec` describes; its inputs are in the graph already. Null
  // outside.
  CondContext* ContextOf(const NodeSpec& spec, const Use& use);

 private:
  CondContext* ContextOfOutput(const Output& output);
  CondContext* Branch(CondContext* parent, const Output& pred, int side, const Output& pivot);

  Graph& graph_;
  std::map<std::tuple<CondContext*, Output, int>, CondContext*> branches_;
};

// A predicate behind the Identities that Cond puts before it.
Output PredicateRoot(Output pred);

}  // namespace espalier

#endif  // ESPALIER_GRAPH_COND_IMPORT_H_
