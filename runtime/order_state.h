// The order in which one Run touches each variable.
//
// Accesses to one variable form a chain along the plan's topological order. A read is each consumer
// of a ref edge that does not need the ref; a write is each that does. Reads between two writes
// stay unordered among themselves. The edges go into PlanGraphNode::orders: they wait for
// done-or-dead, carry no deadness and keep nothing alive.
#ifndef ESPALIER_RUNTIME_ORDER_STATE_H_
#define ESPALIER_RUNTIME_ORDER_STATE_H_

#include "espalier/runtime/plan_graph.h"

namespace espalier {

void OrderState(PlanGraph& plan);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_ORDER_STATE_H_
