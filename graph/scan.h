// Loops over the rows of tensors.
//
//   // h[t] = tanh(x[t] + h[t - 1] w), for all t
//   std::vector<Output> h = Scan(s, {x}, {h0}, [&](const Scope& s, const ScanStep& step) {
//     return std::vector<Output>{Tanh(s, s(step.elements[0]) + s(MatMul(s, step.state[0], w)))};
//   });
//   Output y = Map(s, x, [](const Scope& s, const Output& row) -> Output { return s(row) * 2; });
//
// All rows count: there are as many iterations as the first dimension of the first of `elements`
// says. Gradients flow through. Errors go to Graph::status(), as those of WhileLoop.
#ifndef ESPALIER_GRAPH_SCAN_H_
#define ESPALIER_GRAPH_SCAN_H_

#include <functional>
#include <vector>

#include "espalier/graph/scope.h"

namespace espalier {

struct ScanStep {
  std::vector<Output> state;     // what the step before returned; `initial` at first
  std::vector<Output> elements;  // this step's row of each of the elements
};
using ScanFunction = std::function<std::vector<Output>(const Scope&, const ScanStep&)>;
using MapFunction = std::function<Output(const Scope&, const Output&)>;

// Every state, stacked: [steps, …] for each of `initial`. Empty after an error.
std::vector<Output> Scan(const At& at, const std::vector<Output>& elements,
                         const std::vector<Output>& initial, const ScanFunction& step);

// What `function` returns for each row, stacked.
Output Map(const At& at, const Output& elements, const MapFunction& function);

}  // namespace espalier

#endif  // ESPALIER_GRAPH_SCAN_H_
