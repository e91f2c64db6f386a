// Rows picked by index and added by segment: SparseSegmentSum, …Mean, …SqrtN, with and without the
// number of segments, and their gradient ops. Tested by the registry test.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

enum class Scale { kSum, kMean, kSqrtN };

// What a row of a segment with `count` rows is multiplied by.
template <Scale kScale>
double Weight(int64_t count) {
  if (kScale == Scale::kSum || count == 0) return 1;
  const auto n = static_cast<double>(count);
  return 1 / (kScale == Scale::kMean ? n : std::sqrt(n));
}

absl::Status CheckVectors(const Tensor& indices, const Tensor& segments) {
  if (indices.rank() == 1 && indices.shape() == segments.shape()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("indices and segment_ids must be vectors of one length, received ",
                   indices.shape().ToString(), " and ", segments.shape().ToString()));
}

// How many rows each of the segments has; ids must not fall.
absl::StatusOr<std::vector<int64_t>> CountRows(const Indices& segments, int64_t count) {
  RETURN_IF_ERROR(segments.Check(count, "segment_ids"));
  std::vector<int64_t> counts(count, 0);
  for (int64_t i = 0; i < segments.size(); ++i) {
    if (i > 0 && segments[i] < segments[i - 1])
      return absl::InvalidArgumentError(absl::StrCat("segment_ids are not sorted at ", i));
    ++counts[segments[i]];
  }
  return counts;
}

absl::StatusOr<int64_t> SegmentCount(const KernelContext& context, const Indices& segments) {
  if (context.num_inputs() < 4) {
    if (segments.size() == 0) return 0;
    const int64_t last = segments[segments.size() - 1];
    if (last >= 0 && last < std::numeric_limits<int32_t>::max()) return last + 1;
    return absl::InvalidArgumentError(absl::StrCat("segment_ids must not be negative: ", last));
  }
  const Tensor& count = context.input(3);
  if (count.rank() != 0 || Indices(count)[0] < 0)
    return absl::InvalidArgumentError("num_segments must be a scalar and not negative");
  return Indices(count)[0];
}

template <typename T, Scale kScale>
absl::Status Segment(KernelContext& context) {
  using C = ComputeType<T>;
  const Tensor& data = context.input(0);
  RETURN_IF_ERROR(CheckVectors(context.input(1), context.input(2)));
  if (data.rank() < 1) return absl::InvalidArgumentError("data must be at least a vector");
  const Indices index(context.input(1)), segments(context.input(2));
  RETURN_IF_ERROR(index.Check(data.dim(0), "indices"));
  ASSIGN_OR_RETURN(const int64_t count, SegmentCount(context, segments));
  Shape shape = data.shape();
  shape.set_dim(0, count);
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, shape));
  if (y.num_elements() == 0) {
    RETURN_IF_ERROR(segments.Check(count, "segment_ids"));
    context.set_output(0, std::move(y));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<int64_t> counts, CountRows(segments, count));
  int64_t width = 1;
  for (int d = 1; d < data.rank(); ++d) width *= data.dim(d);
  std::vector<C> sums(y.num_elements(), C(0));
  for (int64_t i = 0; i < index.size(); ++i) {
    const T* from = data.data<T>() + index[i] * width;
    C* to = sums.data() + segments[i] * width;
    for (int64_t k = 0; k < width; ++k) to[k] += static_cast<C>(from[k]);
  }
  for (int64_t i = 0; i < y.num_elements(); ++i) {
    const auto weight = static_cast<C>(Weight<kScale>(counts[i / width]));
    y.mutable_data<T>()[i] = static_cast<T>(sums[i] * weight);
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// Row indices[i] of the result gets the gradient of segment i, weighted as the row was.
template <typename T, Scale kScale>
absl::Status SegmentGrad(KernelContext& context) {
  using C = ComputeType<T>;
  const Tensor& dy = context.input(0);
  const Tensor& rows = context.input(3);
  RETURN_IF_ERROR(CheckVectors(context.input(1), context.input(2)));
  if (dy.rank() < 1) return absl::InvalidArgumentError("grad must be at least a vector");
  if (rows.rank() != 0 || Indices(rows)[0] < 0)
    return absl::InvalidArgumentError("output_dim0 must be a scalar and not negative");
  const Indices index(context.input(1)), segments(context.input(2));
  RETURN_IF_ERROR(index.Check(Indices(rows)[0], "indices"));
  ASSIGN_OR_RETURN(const std::vector<int64_t> counts, CountRows(segments, dy.dim(0)));
  Shape shape = dy.shape();
  shape.set_dim(0, Indices(rows)[0]);
  ASSIGN_OR_RETURN(Tensor dx, context.Allocate(DTypeOf<T>, shape));
  int64_t width = 1;
  for (int d = 1; d < dy.rank(); ++d) width *= dy.dim(d);
  std::vector<C> sums(dx.num_elements(), C(0));
  for (int64_t i = 0; i < index.size(); ++i) {
    const auto weight = static_cast<C>(Weight<kScale>(counts[segments[i]]));
    const T* from = dy.data<T>() + segments[i] * width;
    C* to = sums.data() + index[i] * width;
    for (int64_t k = 0; k < width; ++k) to[k] += static_cast<C>(from[k]) * weight;
  }
  for (size_t i = 0; i < sums.size(); ++i) dx.mutable_data<T>()[i] = static_cast<T>(sums[i]);
  context.set_output(0, std::move(dx));
  return absl::OkStatus();
}

template <Scale kScale, bool kGrad>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  return DispatchType(RealTypes(), RemoveRef(node.input(0).dtype()),
                      []<typename T>() -> KernelFunction {
                        if constexpr (kGrad) return SegmentGrad<T, kScale>;
                        return Segment<T, kScale>;
                      });
}

template <bool kCounted>
absl::Status RowsShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRankAtLeast(0, 1));
  RETURN_IF_ERROR(c.WithRank(1, 1));
  RETURN_IF_ERROR(c.WithRank(2, 1));
  if (!c.input(0).has_rank()) return absl::OkStatus();
  Shape shape = c.input(0);
  const auto count = kCounted ? c.constant_ints(3) : std::nullopt;
  shape.set_dim(0, count && count->size() == 1 && (*count)[0] >= 0 ? (*count)[0] : -1);
  c.set_output(0, shape);
  return absl::OkStatus();
}

constexpr const char* NameOf(Scale scale) {
  return scale == Scale::kSum    ? "SparseSegmentSum"
         : scale == Scale::kMean ? "SparseSegmentMean"
                                 : "SparseSegmentSqrtN";
}

template <Scale kScale>
std::vector<Output> SegmentGradient(const GradientContext& g) {
  const Output rows = g.Op(
      "Reshape", {g.Op("Slice", {g.ShapeOf(g.x(0)), g.Int32s({0}), g.Int32s({1})}), g.Int32s({})});
  return {g.Op(absl::StrCat(NameOf(kScale), "Grad").c_str(), {g.dy(), g.x(1), g.x(2), rows})};
}
template <Scale kScale>
std::vector<Output> GradGradient(const GradientContext& g) {
  const Output count = g.Op(
      "Reshape", {g.Op("Slice", {g.ShapeOf(g.x(0)), g.Int32s({0}), g.Int32s({1})}), g.Int32s({})});
  return {g.Op(absl::StrCat(NameOf(kScale), "WithNumSegments").c_str(),
               {g.dy(), g.x(1), g.x(2), count})};
}

template <Scale kScale, bool kCounted>
void AddSegment(OpRegistry& registry, const char* doc, std::initializer_list<float> expected) {
  OpSchema& op = registry.Add(absl::StrCat(NameOf(kScale), kCounted ? "WithNumSegments" : ""))
                     .Doc(doc)
                     .In("data", "T")
                     .In("indices", "Tidx")
                     .In("segment_ids", "Tsegmentids")
                     .Out("output", "T")
                     .TypeAttr("T", kRealDTypes)
                     .TypeAttr("Tidx", kIndexDTypes, kInt32)
                     .TypeAttr("Tsegmentids", kIndexDTypes, kInt32)
                     .Attr("sparse_gradient", false)
                     .Shape(RowsShape<kCounted>)
                     .Kernel(Make<kScale, false>)
                     .Gradient(SegmentGradient<kScale>);
  if (kCounted)
    op.In("num_segments", "Tnumsegments").TypeAttr("Tnumsegments", kIndexDTypes, kInt32);
  const auto example = [&](const char* name, std::vector<Tensor> inputs, Tensor expected_value,
                           int32_t count) {
    if (kCounted) inputs.push_back(I({}, {count}));
    op.Example({.name = name,
                .inputs = std::move(inputs),
                .expected = {std::move(expected_value)},
                .constant_inputs = {3}});
  };
  example("rows", {F({3, 2}, {1, 2, 3, 4, 5, 6}), I({3}, {0, 2, 1}), I({3}, {0, 0, 1})},
          F({2, 2}, expected), 2);
  example("one each", {F({2}, {1.5f, 2}), L({2}, {1, 0}), L({2}, {0, 1})}, F({2}, {2, 1.5f}), 2);
  example("empty", {F({2, 1}, {1, 2}), I({0}, {}), I({0}, {})}, F({0, 1}, {}), 0);
}

template <Scale kScale>
void AddGrad(OpRegistry& registry, float half) {
  registry.Add(absl::StrCat(NameOf(kScale), "Grad"))
      .Doc(absl::StrCat("The gradient of ", NameOf(kScale), " by its data."))
      .In("grad", "T")
      .In("indices", "Tidx")
      .In("segment_ids", "Tsegmentids")
      .In("output_dim0", kInt32)
      .Out("output", "T")
      .TypeAttr("T", kRealDTypes)
      .TypeAttr("Tidx", kIndexDTypes, kInt32)
      .TypeAttr("Tsegmentids", kIndexDTypes, kInt32)
      .Shape(RowsShape<true>)
      .Kernel(Make<kScale, true>)
      .Gradient(GradGradient<kScale>)
      .Example({.name = "rows",
                .inputs = {F({2, 1}, {10, 20}), I({3}, {0, 2, 0}), I({3}, {0, 0, 1}), I({}, {3})},
                .expected = {F({3, 1}, {10 * half + 20, 0, 10 * half})},
                .constant_inputs = {3}})
      .Example({.name = "one",
                .inputs = {F({1}, {3}), L({1}, {1}), L({1}, {0}), I({}, {2})},
                .expected = {F({2}, {0, 3})},
                .constant_inputs = {3}})
      .Example({.name = "empty",
                .inputs = {F({0, 1}, {}), I({0}, {}), I({0}, {}), I({}, {2})},
                .expected = {F({2, 1}, {0, 0})},
                .constant_inputs = {3}});
}

}  // namespace

void RegisterSparseSegment(OpRegistry& registry) {
  constexpr char kSum[] = "Sums of the rows that indices pick, by sorted segment.";
  constexpr char kMean[] = "Means of the rows that indices pick, by sorted segment.";
  constexpr char kRoot[] =
      "Sums of the rows that indices pick over the root of their number, by sorted segment.";
  AddSegment<Scale::kSum, false>(registry, kSum, {6, 8, 3, 4});
  AddSegment<Scale::kSum, true>(registry, kSum, {6, 8, 3, 4});
  AddSegment<Scale::kMean, false>(registry, kMean, {3, 4, 3, 4});
  AddSegment<Scale::kMean, true>(registry, kMean, {3, 4, 3, 4});
  AddSegment<Scale::kSqrtN, false>(registry, kRoot, {4.2426407f, 5.6568542f, 3, 4});
  AddSegment<Scale::kSqrtN, true>(registry, kRoot, {4.2426407f, 5.6568542f, 3, 4});
  AddGrad<Scale::kSum>(registry, 1);
  AddGrad<Scale::kMean>(registry, 0.5f);
  AddGrad<Scale::kSqrtN>(registry, 0.70710678f);
}

}  // namespace espalier
