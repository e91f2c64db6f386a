// InTopK and InTopKV2. Tested by the registry test.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

// A target counts as found when fewer than k predictions are larger; never when a prediction that
// matters is not finite.
absl::Status InTopK(KernelContext& context, int64_t k) {
  const Tensor& predictions = context.input(0);
  const Tensor& targets = context.input(1);
  if (predictions.rank() != 2 || targets.rank() != 1 || predictions.dim(0) != targets.dim(0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("predictions must be a matrix with a row for each target, received ",
                     predictions.shape().ToString(), " and ", targets.shape().ToString()));
  }
  const int64_t rows = predictions.dim(0), classes = predictions.dim(1);
  const Indices target(targets);
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(kBool, {rows}));
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = predictions.data<float>() + r * classes;
    const bool inside = target[r] >= 0 && target[r] < classes;
    bool finite = inside && std::isfinite(row[target[r]]);
    int64_t larger = 0;
    for (int64_t c = 0; finite && c < classes && larger <= k; ++c) {
      finite = std::isfinite(row[c]);
      if (row[c] > row[target[r]]) ++larger;
    }
    y.mutable_data<bool>()[r] = finite && larger < k;
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::Status InTopKShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(0, 2));
  RETURN_IF_ERROR(c.WithRank(1, 1));
  ASSIGN_OR_RETURN(Shape rows, Shape::Merge({c.dim(0, 0)}, {c.dim(1, 0)}));
  c.set_output(0, rows);
  return absl::OkStatus();
}

OpSchema& Add(OpRegistry& registry, const char* name, const char* doc) {
  return registry.Add(name)
      .Doc(doc)
      .In("predictions", kFloat)
      .In("targets", "T")
      .Out("precision", kBool)
      .TypeAttr("T", kIndexDTypes, kInt32)
      .Shape(InTopKShape)
      .NotDifferentiable("its result is booleans");
}

}  // namespace

void RegisterInTopK(OpRegistry& registry) {
  const Tensor predictions = F({3, 3}, {0.1f, 0.7f, 0.2f, 0.5f, 0.5f, 0, 3, 2, 1});
  Add(registry, "InTopK", "Whether each target is among the k largest predictions of its row.")
      .RequiredAttr("k", AttrKind::kInt)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return KernelFunction(
            [k = node.attr<int64_t>("k")](KernelContext& c) { return InTopK(c, k); });
      })
      .Example({.name = "first",
                .inputs = {predictions, I({3}, {1, 1, 2})},
                .attrs = {{"k", 1}},
                .expected = {B({3}, {true, true, false})}})
      .Example({.name = "out of range",
                .inputs = {predictions, L({3}, {2, 9, -1})},
                .attrs = {{"k", 2}},
                .expected = {B({3}, {true, false, false})}})
      .Example({.name = "empty",
                .inputs = {F({0, 3}, {}), I({0}, {})},
                .attrs = {{"k", 1}},
                .expected = {B({0}, {})}});
  Add(registry, "InTopKV2", "InTopK with k as an input.")
      .In("k", "T")
      .Kernel([](const Node&) -> absl::StatusOr<KernelFunction> {
        return KernelFunction([](KernelContext& c) -> absl::Status {
          if (c.input(2).rank() != 0) return absl::InvalidArgumentError("k must be a scalar");
          return InTopK(c, Indices(c.input(2))[0]);
        });
      })
      .Example({.name = "first",
                .inputs = {predictions, I({3}, {1, 1, 2}), I({}, {1})},
                .expected = {B({3}, {true, true, false})}})
      .Example({.name = "wide",
                .inputs = {predictions, L({3}, {2, 9, 2}), L({}, {3})},
                .expected = {B({3}, {true, false, true})}})
      .Example({.name = "empty",
                .inputs = {F({0, 3}, {}), I({0}, {}), I({}, {1})},
                .expected = {B({0}, {})}});
}

}  // namespace espalier
