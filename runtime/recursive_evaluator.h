// A gold standard for tests: evaluates a graph as its definition reads, with no plan, no passes and
// no threads.
//
//   RecursiveEvaluator evaluator(graph);
//   evaluator.Run({{x, value}}, {y}, {update});
//
// Testing only: slow, recursive, no loops. Nodes are taken in the order of their creation, which
// for a graph made by builders is the fixed topological order that state follows.
#ifndef ESPALIER_RUNTIME_RECURSIVE_EVALUATOR_H_
#define ESPALIER_RUNTIME_RECURSIVE_EVALUATOR_H_

#include <map>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "espalier/graph/graph.h"
#include "espalier/runtime/kernel.h"

namespace espalier {

class RecursiveEvaluator {
 public:
  absl::StatusOr<std::vector<Tensor>> Run(const std::map<Output, Tensor>& feeds,
                                          const std::vector<Output>& fetches,
                                          const std::vector<Operation>& targets);

 private:
  struct Result {
    bool dead = false;
    std::vector<Value> outputs;
  };

  void Need(const Node* node);
  absl::Status Evaluate(const Node* node);
  // The value of an output; not present when dead.
  Value ValueOf(const Output& output);

  VariableStore variables_;
  std::map<Output, Tensor> feeds_;
  std::map<int, const Node*> needed_;
  std::map<const Node*, Result> results_;
};

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_RECURSIVE_EVALUATOR_H_
