// Rows added (or multiplied, or compared) by segment: SegmentSum and kin over sorted ids,
// UnsortedSegmentSum and kin. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"
#include "espalier/ops/reduce.h"

namespace espalier {
namespace {

// Where the rows of a segment begin, in the type C of the sums, and what an unsorted op gives for a
// segment without rows. There Max has the lowest finite number of T, not -inf, as TensorFlow has
// it.
template <typename R, typename T, typename C>
C Nothing() {
  if constexpr (std::is_same_v<R, MaxOf>) return static_cast<C>(std::numeric_limits<T>::lowest());
  if constexpr (std::is_same_v<R, MinOf>) return static_cast<C>(std::numeric_limits<T>::max());
  return R::template First<C>();
}

// out[ids[i]] = Step(out[ids[i]], data[i]) over rows of `width`, a row for each id >= 0.
template <typename R, typename T>
void AddRows(const KernelContext& context, const Indices& ids, const T* data, int64_t width,
             ComputeType<T>* out) {
  // Cut by column: rows of one segment add up in order, whatever the threads.
  const int64_t block = std::max<int64_t>(64, width / 8);
  context.ParallelFor(width, block, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < 0) continue;
      const T* from = data + i * width;
      ComputeType<T>* to = out + ids[i] * width;
      for (int64_t k = begin; k < end; ++k)
        to[k] = R::Step(to[k], static_cast<ComputeType<T>>(from[k]));
    }
  });
}

template <typename R, typename T>
absl::Status Unsorted(KernelContext& context) {
  using C = ComputeType<T>;
  const Tensor& data = context.input(0);
  const Tensor& ids = context.input(1);
  ASSIGN_OR_RETURN(std::vector<int64_t> count, IntegerVector(context.input(2), "num_segments"));
  if (count.size() != 1 || count[0] < 0)
    return absl::InvalidArgumentError("num_segments must be a scalar and not negative");
  ASSIGN_OR_RETURN(const int64_t width, RowWidth(data.shape(), ids.shape()));
  Shape shape = {count[0]};
  for (int d = ids.rank(); d < data.rank(); ++d) shape.push_back(data.dim(d));
  const Indices index(ids);
  RETURN_IF_ERROR(index.Check(count[0], "segment_ids", std::numeric_limits<int64_t>::min()));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, shape));
  std::vector<C> sums(y.num_elements(), (Nothing<R, T, C>()));
  AddRows<R>(context, index, data.data<T>(), width, sums.data());
  std::transform(sums.begin(), sums.end(), y.mutable_data<T>(),
                 [](C v) { return static_cast<T>(v); });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <typename R, typename T, bool kMean>
absl::Status Sorted(KernelContext& context) {
  using C = ComputeType<T>;
  const Tensor& data = context.input(0);
  const Tensor& ids = context.input(1);
  if (ids.rank() != 1 || data.rank() < 1 || data.dim(0) != ids.dim(0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("segment_ids must be a vector as long as data, received ",
                     ids.shape().ToString(), " and ", data.shape().ToString()));
  }
  const Indices index(ids);
  const int64_t rows = index.size();
  RETURN_IF_ERROR(index.Check(std::numeric_limits<int32_t>::max(), "segment_ids"));
  for (int64_t i = 1; i < rows; ++i) {
    if (index[i] < index[i - 1])
      return absl::InvalidArgumentError(absl::StrCat("segment_ids are not sorted at ", i));
  }
  Shape shape = data.shape();
  shape.set_dim(0, rows == 0 ? 0 : index[rows - 1] + 1);
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, shape));
  const int64_t width = rows == 0 ? 0 : data.num_elements() / rows;
  std::vector<C> sums(y.num_elements(), (Nothing<R, T, C>()));
  AddRows<R>(context, index, data.data<T>(), width, sums.data());
  std::vector<int64_t> counts(shape.dim(0), 0);
  for (int64_t i = 0; i < rows; ++i) ++counts[index[i]];
  T* out = y.mutable_data<T>();
  for (int64_t i = 0; i < y.num_elements(); ++i) {
    const int64_t count = counts[i / width];
    // TensorFlow fills segments without rows with 0, or 1 for products.
    const C value = count == 0 ? C(std::is_same_v<R, ProdOf> ? 1 : 0)
                    : kMean    ? static_cast<C>(sums[i] / static_cast<C>(count))
                               : sums[i];
    out[i] = static_cast<T>(value);
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::Status UnsortedShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(2, 0));
  if (!c.input(0).has_rank() || !c.input(1).has_rank()) return absl::OkStatus();
  const auto count = c.constant_ints(2);
  Shape shape = {count ? (*count)[0] : -1};
  for (int d = c.input(1).rank(); d < c.input(0).rank(); ++d) shape.push_back(c.input(0).dim(d));
  c.set_output(0, shape);
  return absl::OkStatus();
}

absl::Status SortedShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(1, 1));
  RETURN_IF_ERROR(c.WithRankAtLeast(0, 1));
  if (!c.input(0).has_rank()) return absl::OkStatus();
  Shape shape = c.input(0);
  shape.set_dim(0, -1);
  c.set_output(0, shape);
  return absl::OkStatus();
}

// Rows for ids below 0, which belong to no segment, get none.
Output RowsOrZero(const GradientContext& g, const Output& rows) {
  // A mask of the ids' shape with a 1 for each further dimension.
  const Output inside = g.Op("GreaterEqual", {g.x(1), g.Scalar(g.x(1), 0)});
  const Output mask = g.Op("Cast", {inside}, {{"DstT", RemoveRef(g.x(0).dtype())}});
  const Output ids_shape = g.ShapeOf(g.x(1));
  const Output extra = g(g.Op("Rank", {g.x(0)})) - g(g.Op("Rank", {g.x(1)}));
  const Output ones = g.Op("Fill", {g.Op("Reshape", {extra, g.Int32s({1})}), g.Scalar(extra, 1)});
  const Output shape = g.Op("ConcatV2", {ids_shape, ones, g.Scalar(extra, 0)}, {{"N", 2}});
  return g(rows) * g(g.Op("Reshape", {mask, shape}));
}
Output Gathered(const GradientContext& g, const Output& from) {
  const Output zero = g.Scalar(g.x(1), 0);
  return RowsOrZero(g, g.Op("GatherV2", {from, g.Op("Maximum", {g.x(1), zero}), zero}));
}

std::vector<Output> SumGradient(const GradientContext& g) { return {Gathered(g, g.dy())}; }
// Equal extrema share the gradient.
template <bool kSorted>
std::vector<Output> ExtremumGradient(const GradientContext& g) {
  const Output chosen = g.Op("Cast", {g.Op("Equal", {Gathered(g, g.y(0)), g.x(0)})},
                             {{"DstT", RemoveRef(g.x(0).dtype())}});
  const Output count = kSorted ? g.Op("SegmentSum", {chosen, g.x(1)})
                               : g.Op("UnsortedSegmentSum", {chosen, g.x(1), g.x(2)});
  return {g(chosen) * g(Gathered(g, g.Op("DivNoNan", {g.dy(), count})))};
}
std::vector<Output> MeanGradient(const GradientContext& g) {
  const Output ones = g.Op("OnesLike", {g.x(0)});
  const Output count = g.Op("SegmentSum", {ones, g.x(1)});
  return {Gathered(g, g.Op("DivNoNan", {g.dy(), count}))};
}

// The product of the other rows of the segment: the whole product over the row where there is no
// zero; with one zero, the product of the others for that row alone.
template <bool kSorted>
std::vector<Output> ProductGradient(const GradientContext& g) {
  const Output x = g.x(0);
  const DType type = RemoveRef(x.dtype());
  const Output is_zero = g.Op("Equal", {x, g.Op("ZerosLike", {x})});
  const auto by_segment = [&](const char* op, const Output& rows) {
    std::vector<Output> inputs = {rows, g.x(1)};
    if (!kSorted) inputs.push_back(g.x(2));
    return g.Op(absl::StrCat(kSorted ? "Segment" : "UnsortedSegment", op).c_str(), inputs);
  };
  const auto number = [&](const Output& flag) { return g.Op("Cast", {flag}, {{"DstT", type}}); };
  const Output zeros = by_segment("Sum", number(is_zero));
  const Output nonzero = g.Op("SelectV2", {is_zero, g.Op("OnesLike", {x}), x});
  const Output others = by_segment("Prod", nonzero);
  const Output none = number(g.Op("Equal", {zeros, g.Scalar(x, 0)}));
  const Output one = number(g.Op("Equal", {zeros, g.Scalar(x, 1)}));
  const Expression product = g(g.dy()) * g(others);
  const Output for_zero = Gathered(g, product * g(one));
  const Output for_others = g(Gathered(g, product * g(none))) / g(nonzero);
  return {g.Op("SelectV2", {is_zero, for_zero, for_others})};
}

template <typename R, bool kSorted, bool kMean = false>
OpSchema& Add(OpRegistry& registry, const char* name, const char* doc,
              std::initializer_list<float> expected) {
  OpSchema& op = registry.Add(name).Doc(doc).In("data", "T").In("segment_ids", "Tindices");
  if (!kSorted) op.In("num_segments", "Tnumsegments");
  op.Out("output", "T").TypeAttr("T", kArithmeticDTypes).TypeAttr("Tindices", kIndexDTypes);
  if (!kSorted) op.TypeAttr("Tnumsegments", kIndexDTypes, kInt32);
  op.Shape(kSorted ? SortedShape : UnsortedShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(ArithmeticTypes(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction {
                              if constexpr (kSorted) return Sorted<R, T, kMean>;
                              return Unsorted<R, T>;
                            });
      });
  const auto inputs = [](Tensor data, Tensor ids, int32_t count) {
    std::vector<Tensor> all = {std::move(data), std::move(ids)};
    if (!kSorted) all.push_back(I({}, {count}));
    return all;
  };
  const std::vector<int> fixed = kSorted ? std::vector<int>() : std::vector<int>{2};
  return op
      .Example({.name = "rows",
                .inputs = inputs(F({3, 2}, {1, 2, 3, 5, 7, 4}), I({3}, {0, 0, 1}), 2),
                .expected = {F({2, 2}, expected)},
                .constant_inputs = fixed})
      .Example({.name = "vector",
                .inputs = inputs(F({2}, {1.5f, 2}), L({2}, {0, 1}), 2),
                .expected = {F({2}, {1.5f, 2})},
                .constant_inputs = fixed})
      .Example({.name = "empty",
                .inputs = inputs(F({0, 2}, {}), I({0}, {}), 0),
                .expected = {F({0, 2}, {})},
                .check_gradient = false,
                .constant_inputs = fixed});
}

}  // namespace

void RegisterSegment(OpRegistry& registry) {
  Add<SumOf, true>(registry, "SegmentSum", "Sums of rows with equal, sorted ids.", {4, 7, 7, 4})
      .Gradient(SumGradient);
  Add<SumOf, true, true>(registry, "SegmentMean", "Means of rows with equal, sorted ids.",
                         {2, 3.5f, 7, 4})
      .Gradient(MeanGradient);
  Add<MaxOf, true>(registry, "SegmentMax", "The largest of rows with equal, sorted ids.",
                   {3, 5, 7, 4})
      .Gradient(ExtremumGradient<true>);
  Add<MinOf, true>(registry, "SegmentMin", "The smallest of rows with equal, sorted ids.",
                   {1, 2, 7, 4})
      .Gradient(ExtremumGradient<true>);
  Add<ProdOf, true>(registry, "SegmentProd", "Products of rows with equal, sorted ids.",
                    {3, 10, 7, 4})
      .Gradient(ProductGradient<true>);
  Add<SumOf, false>(registry, "UnsortedSegmentSum",
                    "Sums of rows by id; negative ids count nowhere.", {4, 7, 7, 4})
      .Gradient(SumGradient);
  Add<MaxOf, false>(registry, "UnsortedSegmentMax",
                    "The largest of rows by id; negative ids count nowhere.", {3, 5, 7, 4})
      .Gradient(ExtremumGradient<false>);
  Add<MinOf, false>(registry, "UnsortedSegmentMin",
                    "The smallest of rows by id; negative ids count nowhere.", {1, 2, 7, 4})
      .Gradient(ExtremumGradient<false>);
  Add<ProdOf, false>(registry, "UnsortedSegmentProd",
                     "Products of rows by id; negative ids count nowhere.", {3, 10, 7, 4})
      .Gradient(ProductGradient<false>);
}

}  // namespace espalier
