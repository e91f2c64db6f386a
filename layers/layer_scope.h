// The scopes that a layer works in. Private to layers/.
#ifndef ESPALIER_LAYERS_LAYER_SCOPE_H_
#define ESPALIER_LAYERS_LAYER_SCOPE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "espalier/graph/scope.h"

namespace espalier::layers {

// The name of the layer: the scope's, else a unique one after its kind. Variables stand under it,
// nodes too.
inline Scope LayerScope(const At& at, const std::string& kind) {
  const Scope inside = at.Inside();
  const std::string& wanted = at.scope().next_name();
  if (!wanted.empty()) return inside.WithVariableScope(wanted);
  const std::string unique =
      at.scope().graph()->UniqueVariableScope(inside.variable_prefix() + kind);
  return inside.WithVariableScope(unique.substr(inside.variable_prefix().size()));
}

// Records an error that names the layer and its line.
inline Output LayerError(const At& at, const char* layer, const std::string& what) {
  at.scope().graph()->RecordError(absl::InvalidArgumentError(
      absl::StrCat(layer, " (made at ", at.line().ToString(), "): ", what)));
  return Output();
}

}  // namespace espalier::layers

#endif  // ESPALIER_LAYERS_LAYER_SCOPE_H_
