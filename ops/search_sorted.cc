// LowerBound and UpperBound: places in sorted rows. Tested by the registry test.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

template <typename T, bool kUpper>
absl::Status Search(KernelContext& context) {
  const Tensor& sorted = context.input(0);
  const Tensor& values = context.input(1);
  if (sorted.rank() != 2 || values.rank() != 2 || sorted.dim(0) != values.dim(0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("sorted_inputs and values must be matrices with equally many rows, received ",
                     sorted.shape().ToString(), " and ", values.shape().ToString()));
  }
  const int64_t n = sorted.dim(1), m = values.dim(1);
  ASSIGN_OR_RETURN(Tensor y,
                   context.Allocate(context.node().attr<DType>("out_type"), values.shape()));
  for (int64_t i = 0; i < values.num_elements(); ++i) {
    const T* begin = sorted.data<T>() + i / m * n;
    const T value = values.data<T>()[i];
    const int64_t at = (kUpper ? std::upper_bound(begin, begin + n, value)
                               : std::lower_bound(begin, begin + n, value)) -
                       begin;
    if (y.dtype() == kInt32) {
      y.mutable_data<int32_t>()[i] = static_cast<int32_t>(at);
    } else {
      y.mutable_data<int64_t>()[i] = at;
    }
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::Status SearchShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(0, 2));
  RETURN_IF_ERROR(c.WithRank(1, 2));
  RETURN_IF_ERROR(Shape::Merge({c.dim(0, 0)}, {c.dim(1, 0)}).status());
  c.set_output(0, c.input(1));
  return absl::OkStatus();
}

template <bool kUpper>
void Add(OpRegistry& registry, const char* name, const char* doc,
         std::initializer_list<int32_t> expected) {
  registry.Add(name)
      .Doc(doc)
      .In("sorted_inputs", "T")
      .In("values", "T")
      .Out("output", "out_type")
      .TypeAttr("T", kArithmeticDTypes)
      .TypeAttr("out_type", kIndexDTypes, kInt32)
      .Shape(SearchShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(ArithmeticTypes(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction { return Search<T, kUpper>; });
      })
      .NotDifferentiable("its result is integers")
      .Example({.name = "two rows",
                .inputs = {F({2, 3}, {1, 3, 5, 2, 2, 9}), F({2, 2}, {3, 6, 2, 0})},
                .expected = {I({2, 2}, expected)}})
      .Example({.name = "int64",
                .inputs = {I({1, 2}, {1, 3}), I({1, 1}, {2})},
                .attrs = {{"out_type", kInt64}},
                .expected = {L({1, 1}, {1})}})
      .Example({.name = "empty",
                .inputs = {F({2, 0}, {}), F({2, 1}, {1, 2})},
                .expected = {I({2, 1}, {0, 0})}});
}

}  // namespace

void RegisterSearchSorted(OpRegistry& registry) {
  Add<false>(registry, "LowerBound", "How many entries of the sorted row are below each value.",
             {1, 3, 0, 0});
  Add<true>(registry, "UpperBound", "How many entries of the sorted row are not above each value.",
            {2, 3, 2, 0});
}

}  // namespace espalier
