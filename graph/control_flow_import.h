// The branches and loops of imported graphs, found from their structure: a GraphDef does not hold
// them.
//
//   ControlFlowImport contexts(graph);
//   spec.context = contexts.ContextOf(spec, {.outputs_used = {false, true}});   // in file order
//
// A value lives in the branch of a Switch when it depends on one of its outputs; a Merge leads out
// again. It lives in the loop whose frame an Enter names; an Exit leads out. What cannot be told
// gets no context: such a graph runs, but a gradient that needs it is an error that says so.
#ifndef ESPALIER_GRAPH_CONTROL_FLOW_IMPORT_H_
#define ESPALIER_GRAPH_CONTROL_FLOW_IMPORT_H_

#include <array>
#include <map>
#include <string>
#include <tuple>

#include "espalier/graph/cond.h"
#include "espalier/graph/while_loop.h"

namespace espalier {

class ControlFlowImport {
 public:
  explicit ControlFlowImport(Graph& graph) : graph_(graph) {}

  struct Use {
    std::array<bool, 2> outputs_used = {false, false};  // of a Switch
    bool loop_merge = false;                            // a Merge that a back edge enters
  };
  // The context of the node that `spec` describes; its inputs are in the graph already. Null
  // outside.
  ControlFlowContext* ContextOf(const NodeSpec& spec, const Use& use);

 private:
  ControlFlowContext* ContextOfOutput(const Output& output);
  ControlFlowContext* Branch(ControlFlowContext* parent, const Output& pred, int side,
                             const Output& pivot);
  ControlFlowContext* Loop(ControlFlowContext* parent, const NodeSpec& enter);

  Graph& graph_;
  std::map<std::tuple<ControlFlowContext*, Output, int>, CondContext*> branches_;
  std::map<std::string, WhileContext*> loops_;  // by frame
};

// A predicate behind the Identities that Cond puts before it.
Output PredicateRoot(Output pred);

}  // namespace espalier

#endif  // ESPALIER_GRAPH_CONTROL_FLOW_IMPORT_H_
