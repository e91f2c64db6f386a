// The ops that a program knows.
//
//   OpRegistry registry;
//   RegisterRelu(registry);
//   const OpSchema* relu = registry.Find("Relu");    // null when unknown
//   registry.Suggest("Rleu")                         // "Relu"
//
// Filled once, then only read: safe to share between threads after that. There is no global
// registration; the table of the built-in ops is generated from the files in ops/ and calls each
// file's Register function.
#ifndef ESPALIER_GRAPH_OP_REGISTRY_H_
#define ESPALIER_GRAPH_OP_REGISTRY_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "espalier/graph/op.h"

namespace espalier {

class OpRegistry {
 public:
  OpRegistry() = default;
  OpRegistry(const OpRegistry&) = delete;  // graphs point into it
  OpRegistry& operator=(const OpRegistry&) = delete;

  // A new op to declare. A second op of the same name makes Validate fail.
  OpSchema& Add(const std::string& name);
  const OpSchema* Find(const std::string& name) const;
  // The known name nearest to `name`, or "" when none is near.
  std::string Suggest(const std::string& name) const;
  // All ops in the order of their names.
  std::vector<const OpSchema*> ops() const;
  // FAILED_PRECONDITION naming the first op that is declared twice or incompletely.
  absl::Status Validate() const;

 private:
  std::map<std::string, std::unique_ptr<OpSchema>> ops_;
  std::string duplicate_;
};

// Every op in ops/. Defined there; graph/ never refers to it.
const OpRegistry& BuiltinOps();

// The candidate within a small edit distance of `name`, or "": for "did you mean".
std::string NearestName(const std::string& name, const std::vector<std::string>& candidates);

}  // namespace espalier

#endif  // ESPALIER_GRAPH_OP_REGISTRY_H_
