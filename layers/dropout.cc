// Tested by dropout_test.cc.
#include "espalier/graph/cond.h"
#include "espalier/layers/layer_scope.h"
#include "espalier/layers/layers.h"
#include "espalier/ops/ops.h"

namespace espalier::layers {

Output Dropout(const At& at, const Output& x, const DropoutOptions& options) {
  if (!x.valid()) return LayerError(at, "Dropout", "the input is an empty Output");
  if (!(options.rate >= 0 && options.rate < 1)) {
    return LayerError(at, "Dropout",
                      absl::StrCat("the rate must be in [0, 1), received ", options.rate));
  }
  const Scope scope = LayerScope(at, "dropout");
  const auto drop = [&](const Scope& s) -> Output {
    const auto [seed, seed2] = s.graph()->NextSeeds(options.seed);
    const Output unit = RandomUniform(At(s), Shape_(At(s), x), RemoveRef(x.dtype()),
                                      {.seed = seed, .seed2 = seed2});
    const Output kept = GreaterEqual(At(s), unit, ConstScalar(At(s), x.dtype(), options.rate));
    const Output scaled = s(x) * (1 / (1 - options.rate));
    return s(scaled) * s(Cast(At(s), kept, RemoveRef(x.dtype())));
  };
  const auto keep = [&](const Scope& s) -> Output { return Identity(At(s), x); };
  if (const bool* known = std::get_if<bool>(&options.training))
    return *known ? drop(scope) : keep(scope);
  return Cond(At(scope), std::get<Output>(options.training), drop, keep);
}

}  // namespace espalier::layers
