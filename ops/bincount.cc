// Ops that count by value: Bincount, DenseBincount, HistogramFixedWidth, Bucketize. Tested by the
// registry test.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

using BinTypes = TypeList<float, double, int32_t, int64_t>;
const std::vector<DType> kBinDTypes = {kFloat, kDouble, kInt32, kInt64};
constexpr char kCounts[] = "TensorFlow has no gradient for it";

absl::StatusOr<int64_t> CountOf(const Tensor& tensor, const char* what, int64_t least) {
  if (tensor.rank() != 0)
    return absl::InvalidArgumentError(absl::StrCat(what, " must be a scalar"));
  const int64_t count = Indices(tensor)[0];
  if (count >= least) return count;
  return absl::InvalidArgumentError(
      absl::StrCat(what, " must be at least ", least, ", received ", count));
}

// Adds weights (ones when there are none) of `n` values to `bins`; values past the end do not
// count.
template <typename T>
absl::Status AddBins(const Indices& values, int64_t begin, int64_t n, const Tensor& weights,
                     int64_t size, bool binary, T* bins) {
  for (int64_t i = begin; i < begin + n; ++i) {
    const int64_t bin = values[i];
    if (bin < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("Input must be non-negative, element ", i, " is ", bin));
    }
    if (bin >= size) continue;
    const T weight = weights.num_elements() == 0 ? T(1) : weights.data<T>()[i];
    bins[bin] = binary ? T(1) : WrapAdd(bins[bin], weight);
  }
  return absl::OkStatus();
}

// One row of bins for each row of input; a vector has one.
template <typename T, bool kDense>
absl::Status Bincount(KernelContext& context) {
  const Tensor& values = context.input(0);
  const Tensor& weights = context.input(2);
  ASSIGN_OR_RETURN(const int64_t size, CountOf(context.input(1), "size", 0));
  const bool binary = kDense && context.node().attr<bool>("binary_output");
  if (kDense && values.rank() > 2)
    return absl::InvalidArgumentError("Shape must be at most rank 2");
  if (weights.num_elements() > 0 && !(weights.shape() == values.shape())) {
    return absl::InvalidArgumentError(absl::StrCat("weights must be empty or have shape ",
                                                   values.shape().ToString(), ", received ",
                                                   weights.shape().ToString()));
  }
  const bool rows = kDense && values.rank() == 2;
  const Shape shape = rows ? Shape{values.dim(0), size} : Shape{size};
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, shape));
  T* bins = y.mutable_data<T>();
  std::fill_n(bins, y.num_elements(), T(0));
  const Indices index(values);
  const int64_t count = rows ? values.dim(0) : 1;
  const int64_t width = rows ? values.dim(1) : values.num_elements();
  for (int64_t r = 0; r < count; ++r)
    RETURN_IF_ERROR(AddBins(index, r * width, width, weights, size, binary, bins + r * size));
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <bool kDense>
absl::StatusOr<KernelFunction> MakeBincount(const Node& node) {
  return DispatchType(BinTypes(), RemoveRef(node.input(2).dtype()),
                      []<typename T>() -> KernelFunction { return Bincount<T, kDense>; });
}

template <bool kDense>
absl::Status BincountShape(InferenceContext& c) {
  const auto size = c.constant_ints(1);
  const int64_t bins = size && size->size() == 1 && (*size)[0] >= 0 ? (*size)[0] : -1;
  if (!kDense) {
    c.set_output(0, {bins});
  } else if (c.input(0).has_rank()) {
    c.set_output(0, c.input(0).rank() == 2 ? Shape{c.dim(0, 0), bins} : Shape{bins});
  }
  return absl::OkStatus();
}

// Bins of equal width between two bounds; what lies outside falls into the first or last.
template <typename T>
absl::Status Histogram(KernelContext& context) {
  const Tensor& values = context.input(0);
  const Tensor& range = context.input(1);
  ASSIGN_OR_RETURN(const int64_t bins, CountOf(context.input(2), "nbins", 1));
  if (!(range.shape() == Shape{2})) {
    return absl::InvalidArgumentError(
        absl::StrCat("value_range must have shape [2], received ", range.shape().ToString()));
  }
  const auto low = static_cast<double>(range.data<T>()[0]);
  const auto high = static_cast<double>(range.data<T>()[1]);
  if (!(low < high)) {
    return absl::InvalidArgumentError(
        absl::StrCat("value_range must rise, received [", low, ", ", high, "]"));
  }
  // Asked for first: the budget refuses what is too much.
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(context.node().attr<DType>("dtype"), {bins}));
  std::vector<int64_t> counts(bins, 0);
  const double step = (high - low) / static_cast<double>(bins);
  for (const T value : values.flat<T>()) {
    const double at = std::floor((static_cast<double>(value) - low) / step);
    if (std::isnan(at)) return absl::InvalidArgumentError("Histogram of a value that is NaN");
    ++counts[static_cast<int64_t>(std::clamp(at, 0.0, static_cast<double>(bins - 1)))];
  }
  if (y.dtype() == kInt32) {
    std::copy(counts.begin(), counts.end(), y.mutable_data<int32_t>());
  } else {
    std::copy(counts.begin(), counts.end(), y.mutable_data<int64_t>());
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// The number of boundaries that are not above a value.
template <typename T>
absl::Status Bucketize(KernelContext& context, const std::vector<float>& boundaries) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(kInt32, x.shape()));
  for (int64_t i = 0; i < x.num_elements(); ++i) {
    const auto value = x.data<T>()[i];
    const auto above = std::upper_bound(boundaries.begin(), boundaries.end(), value,
                                        [](T a, float b) { return static_cast<float>(a) < b; });
    y.mutable_data<int32_t>()[i] = static_cast<int32_t>(above - boundaries.begin());
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeBucketize(const Node& node) {
  const auto& boundaries = node.attr<std::vector<float>>("boundaries");
  if (!std::is_sorted(boundaries.begin(), boundaries.end()))
    return absl::InvalidArgumentError("attr boundaries must be sorted");
  return DispatchType(
      BinTypes(), RemoveRef(node.input(0).dtype()), [&]<typename T>() -> KernelFunction {
        return [boundaries](KernelContext& context) { return Bucketize<T>(context, boundaries); };
      });
}

}  // namespace

void RegisterBincount(OpRegistry& registry) {
  const Tensor values = I({5}, {1, 1, 0, 3, 9});
  registry.Add("Bincount")
      .Doc("How often (or with what weights together) each of 0 … size - 1 is in arr.")
      .In("arr", kInt32)
      .In("size", kInt32)
      .In("weights", "T")
      .Out("bins", "T")
      .TypeAttr("T", kBinDTypes)
      .Shape(BincountShape<false>)
      .Kernel(MakeBincount<false>)
      .NotDifferentiable(kCounts)
      .Example({.name = "counts",
                .inputs = {values, I({}, {4}), I({0}, {})},
                .expected = {I({4}, {1, 2, 0, 1})}})
      .Example({.name = "weights",
                .inputs = {values, I({}, {4}), F({5}, {1, 2, 3, 4, 5})},
                .expected = {F({4}, {3, 3, 0, 4})}})
      .Example({.name = "empty",
                .inputs = {I({0}, {}), I({}, {2}), F({0}, {})},
                .expected = {F({2}, {0, 0})}});
  registry.Add("DenseBincount")
      .Doc("Bincount of a vector, or of each row of a matrix; binary_output says only whether.")
      .In("input", "Tidx")
      .In("size", "Tidx")
      .In("weights", "T")
      .Out("output", "T")
      .Attr("binary_output", false)
      .TypeAttr("Tidx", kIndexDTypes)
      .TypeAttr("T", kBinDTypes)
      .Shape(BincountShape<true>)
      .Kernel(MakeBincount<true>)
      .NotDifferentiable(kCounts)
      .Example({.name = "rows",
                .inputs = {I({2, 2}, {1, 1, 0, 2}), I({}, {3}), I({0}, {})},
                .expected = {I({2, 3}, {0, 2, 0, 1, 0, 1})}})
      .Example({.name = "binary",
                .inputs = {L({3}, {1, 1, 0}), L({}, {3}), F({0}, {})},
                .attrs = {{"binary_output", true}},
                .expected = {F({3}, {1, 1, 0})}})
      .Example({.name = "empty",
                .inputs = {I({0, 2}, {}), I({}, {2}), F({0}, {})},
                .expected = {F({0, 2}, {})}});
  registry.Add("HistogramFixedWidth")
      .Doc("Counts in nbins bins of equal width over value_range; the ends take what lies outside.")
      .In("values", "T")
      .In("value_range", "T")
      .In("nbins", kInt32)
      .Out("out", "dtype")
      .TypeAttr("T", kBinDTypes)
      .TypeAttr("dtype", kIndexDTypes, kInt32)
      .Shape([](InferenceContext& c) -> absl::Status {
        const auto bins = c.constant_ints(2);
        c.set_output(0, {bins && bins->size() == 1 && (*bins)[0] > 0 ? (*bins)[0] : -1});
        return absl::OkStatus();
      })
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(BinTypes(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction { return Histogram<T>; });
      })
      .NotDifferentiable(kCounts)
      .Example({.name = "outside too",
                .inputs = {F({6}, {-1, 0, 1.5f, 2, 5, 15}), F({2}, {0, 5}), I({}, {5})},
                .expected = {I({5}, {2, 1, 1, 0, 2})}})
      .Example({.name = "integers",
                .inputs = {I({3}, {0, 1, 2}), I({2}, {0, 4}), I({}, {2})},
                .attrs = {{"dtype", kInt64}},
                .expected = {L({2}, {2, 1})}})
      .Example({.name = "empty",
                .inputs = {F({0}, {}), F({2}, {0, 1}), I({}, {2})},
                .expected = {I({2}, {0, 0})}});
  registry.Add("Bucketize")
      .Doc("The number of the interval between boundaries that each value is in.")
      .In("input", "T")
      .Out("output", kInt32)
      .TypeAttr("T", kBinDTypes)
      .RequiredAttr("boundaries", AttrKind::kFloatList)
      .Traits({.elementwise = true})
      .Shape(UnchangedShape)
      .Kernel(MakeBucketize)
      .NotDifferentiable("its result is integers")
      .Example({.name = "matrix",
                .inputs = {F({3, 2}, {-5, 10000, 150, 10, 5, 100})},
                .attrs = {{"boundaries", std::vector<float>{0, 10, 100}}},
                .expected = {I({3, 2}, {0, 3, 3, 2, 1, 3})}})
      .Example({.name = "integers",
                .inputs = {I({2}, {0, 1})},
                .attrs = {{"boundaries", std::vector<float>{0.5f}}},
                .expected = {I({2}, {0, 1})}})
      .Example({.name = "empty",
                .inputs = {F({0}, {})},
                .attrs = {{"boundaries", std::vector<float>{}}},
                .expected = {I({0}, {})}});
}

}  // namespace espalier
