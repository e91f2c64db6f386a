// Transpose, ConjugateTranspose and InvertPermutation. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

absl::Status CheckPermutation(const std::vector<int64_t>& perm, int rank) {
  std::vector<bool> seen(perm.size());
  for (int64_t p : perm) {
    if (p < 0 || p >= static_cast<int64_t>(perm.size()) || seen[p]) {
      return absl::InvalidArgumentError(
          absl::StrCat("perm is no permutation: ", p, " is repeated or out of range"));
    }
    seen[p] = true;
  }
  if (rank >= 0 && static_cast<int>(perm.size()) != rank) {
    return absl::InvalidArgumentError(
        absl::StrCat("perm must have ", rank, " entries, received ", perm.size()));
  }
  return absl::OkStatus();
}

template <typename S>
absl::Status Permute(KernelContext& context) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(std::vector<int64_t> perm, IntegerVector(context.input(1), "perm"));
  for (int64_t& p : perm) p = p < 0 ? p + x.rank() : p;
  RETURN_IF_ERROR(CheckPermutation(perm, x.rank()));
  const std::vector<int64_t> from = StridesOf(x.shape());
  Shape shape;
  std::vector<int64_t> strides;
  for (int64_t p : perm) {
    shape.push_back(x.dim(static_cast<int>(p)));
    strides.push_back(from[p]);
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), shape));
  const S* in = Storage<S>(x);
  S* out = MutableStorage<S>(y);
  ForEachStrided(context, shape, strides, [&](int64_t i, int64_t at) { out[i] = in[at]; });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::Status TransposeShape(InferenceContext& c) {
  const Shape& input = c.input(0);
  if (!input.has_rank()) return absl::OkStatus();
  auto perm = c.constant_ints(1);
  if (!perm) {
    c.set_output(0, Shape::UnknownOfRank(input.rank()));
    return absl::OkStatus();
  }
  for (int64_t& p : *perm) p = p < 0 ? p + input.rank() : p;
  RETURN_IF_ERROR(CheckPermutation(*perm, input.rank()));
  Shape shape;
  for (int64_t p : *perm) shape.push_back(input.dim(static_cast<int>(p)));
  c.set_output(0, shape);
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeInvert(const Node& node) {
  return DispatchType(
      TypeList<int32_t, int64_t>(), RemoveRef(node.input(0).dtype()),
      []<typename T>() -> KernelFunction {
        return [](KernelContext& context) -> absl::Status {
          ASSIGN_OR_RETURN(std::vector<int64_t> perm, IntegerVector(context.input(0), "x"));
          RETURN_IF_ERROR(CheckPermutation(perm, -1));
          ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, context.input(0).shape()));
          for (size_t i = 0; i < perm.size(); ++i) y.mutable_data<T>()[perm[i]] = static_cast<T>(i);
          context.set_output(0, std::move(y));
          return absl::OkStatus();
        };
      });
}

std::vector<Output> TransposeGradient(const GradientContext& g) {
  return {g.Op("Transpose", {g.dy(), g.Op("InvertPermutation", {g.x(1)})}), Output()};
}

}  // namespace

void RegisterTranspose(OpRegistry& registry) {
  for (const bool conjugate : {false, true}) {
    registry.Add(conjugate ? "ConjugateTranspose" : "Transpose")
        .Doc(conjugate ? "Transpose: numbers here have no imaginary part."
                       : "Dimension i of the output is dimension perm[i] of the input.")
        .In("x", "T")
        .In("perm", "Tperm")
        .Out("y", "T")
        .TypeAttr("T")
        .TypeAttr("Tperm", kIndexDTypes, kInt32)
        .Shape(TransposeShape)
        .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
          return DispatchStorage(RemoveRef(node.input(0).dtype()),
                                 []<typename S>() -> KernelFunction { return Permute<S>; });
        })
        .Gradient(TransposeGradient)
        .Example({.name = "matrix",
                  .inputs = {F({2, 3}, {1, 2, 3, 4, 5, 6}), I({2}, {1, 0})},
                  .expected = {F({3, 2}, {1, 4, 2, 5, 3, 6})},
                  .constant_inputs = {1}})
        .Example({.name = "cube",
                  .inputs = {F({1, 2, 2}, {1, 2, 3, 4}), I({3}, {2, 0, 1})},
                  .expected = {F({2, 1, 2}, {1, 3, 2, 4})}})
        .Example({.name = "empty",
                  .inputs = {F({0, 2}, {}), I({2}, {1, 0})},
                  .expected = {F({2, 0}, {})}});
  }
  registry.Add("InvertPermutation")
      .Doc("y[x[i]] = i.")
      .In("x", "T")
      .Out("y", "T")
      .TypeAttr("T", kIndexDTypes, kInt32)
      .Shape(UnchangedShape)
      .Kernel(MakeInvert)
      .NotDifferentiable("it works on indices")
      .Example({.name = "three", .inputs = {I({3}, {1, 2, 0})}, .expected = {I({3}, {2, 0, 1})}})
      .Example({.name = "wide", .inputs = {L({2}, {1, 0})}, .expected = {L({2}, {1, 0})}})
      .Example({.name = "empty", .inputs = {I({0}, {})}, .expected = {I({0}, {})}});
}

}  // namespace espalier
