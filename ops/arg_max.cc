// ArgMax and ArgMin. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

absl::StatusOr<int64_t> AxisOf(const Tensor& axis, int rank) {
  ASSIGN_OR_RETURN(std::vector<int64_t> value, IntegerVector(axis, "the axis"));
  if (axis.rank() != 0) return absl::InvalidArgumentError("the axis must be a scalar");
  return NormalizeAxis(value[0], rank);
}

template <typename T, typename Index, bool kMax>
absl::Status ArgExtremum(KernelContext& context) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(int64_t axis, AxisOf(context.input(1), x.rank()));
  const int64_t size = x.dim(static_cast<int>(axis));
  Shape shape;
  int64_t inner = 1;
  for (int i = 0; i < x.rank(); ++i) {
    if (i != axis) shape.push_back(x.dim(i));
    if (i > axis) inner *= x.dim(i);
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<Index>, shape));
  if (size == 0 && y.num_elements() > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("axis ", axis, " of ", x.shape().ToString(), " is empty"));
  }
  const T* in = x.data<T>();
  Index* out = y.mutable_data<Index>();
  context.ParallelFor(
      y.num_elements(), std::max<int64_t>(1, kElementwiseBlock / std::max<int64_t>(size, 1)),
      [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const T* from = in + i / inner * size * inner + i % inner;
          int64_t best = 0;
          for (int64_t k = 1; k < size; ++k) {
            if (kMax ? from[k * inner] > from[best * inner] : from[k * inner] < from[best * inner])
              best = k;
          }
          out[i] = static_cast<Index>(best);
        }
      });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <bool kMax>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  const bool wide = node.attr<DType>("output_type") == kInt64;
  return DispatchType(ComparableTypes(), RemoveRef(node.input(0).dtype()),
                      [wide]<typename T>() -> KernelFunction {
                        if (wide) return ArgExtremum<T, int64_t, kMax>;
                        return ArgExtremum<T, int32_t, kMax>;
                      });
}

absl::Status ArgShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(1, 0));
  if (!c.input(0).has_rank()) return absl::OkStatus();
  if (c.input(0).rank() == 0)
    return absl::InvalidArgumentError("the input must have rank 1 or more, received a scalar");
  const auto axis = c.constant_ints(1);
  if (!axis) {
    c.set_output(0, Shape::UnknownOfRank(c.input(0).rank() - 1));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(int64_t normal, NormalizeAxis((*axis)[0], c.input(0).rank()));
  Shape shape;
  for (int i = 0; i < c.input(0).rank(); ++i) {
    if (i != normal) shape.push_back(c.input(0).dim(i));
  }
  c.set_output(0, shape);
  return absl::OkStatus();
}

template <bool kMax>
void Add(OpRegistry& registry, const char* name, const char* doc) {
  registry.Add(name)
      .Doc(doc)
      .In("input", "T")
      .In("dimension", "Tidx")
      .Out("output", "output_type")
      .TypeAttr("T", kComparableDTypes)
      .TypeAttr("Tidx", kIndexDTypes, kInt32)
      .TypeAttr("output_type", kIndexDTypes, kInt64)
      .Shape(ArgShape)
      .Kernel(Make<kMax>)
      .NotDifferentiable("its output is an index")
      .Example({.name = "rows",
                .inputs = {F({2, 3}, {1, 3, 3, 9, 2, 1}), I({}, {1})},
                .expected = {L({2}, {kMax ? 1 : 0, kMax ? 0 : 2})},
                .constant_inputs = {1}})
      .Example({.name = "columns",
                .inputs = {I({2, 2}, {1, 5, 3, 2}), I({}, {-2})},
                .attrs = {{"output_type", kInt32}},
                .expected = {I({2}, {kMax ? 1 : 0, kMax ? 0 : 1})}})
      .Example({.name = "empty", .inputs = {F({0, 2}, {}), I({}, {1})}, .expected = {L({0}, {})}});
}

}  // namespace

void RegisterArgMax(OpRegistry& registry) {
  Add<true>(registry, "ArgMax", "The index of the largest along an axis; the first of equals.");
  Add<false>(registry, "ArgMin", "The index of the smallest along an axis; the first of equals.");
}

}  // namespace espalier
