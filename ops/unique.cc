// Unique, UniqueWithCounts and their second versions, which compare slices along an axis. Tested by
// the registry test.
#include <functional>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

using UniqueTypes = TypeList<float, double, Eigen::half, int32_t, int64_t, uint8_t, int8_t, int16_t,
                             bool, std::string>;

// Slices of a tensor along one axis, told apart by their elements.
template <typename T>
struct Slices {
  const T* x;
  int64_t outer = 1, count = 0, inner = 1;

  template <typename F>
  bool All(const F& test) const {
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t k = 0; k < inner; ++k) {
        if (!test(o * count * inner + k)) return false;
      }
    }
    return true;
  }
  bool Equal(int64_t i, int64_t j) const {
    return All([&](int64_t at) { return x[at + i * inner] == x[at + j * inner]; });
  }
  size_t Hash(int64_t i) const {
    size_t hash = 0;
    All([&](int64_t at) {
      hash = hash * 1000003 + std::hash<ComputeType<T>>()(ComputeType<T>(x[at + i * inner]));
      return true;
    });
    return hash;
  }
};

template <typename T>
absl::StatusOr<Slices<T>> SlicesOf(const Tensor& x, int axis) {
  Slices<T> slices = {.x = x.data<T>(), .count = x.dim(axis)};
  for (int d = 0; d < axis; ++d) slices.outer *= x.dim(d);
  for (int d = axis + 1; d < x.rank(); ++d) slices.inner *= x.dim(d);
  return slices;
}

// The axis in input 1 of the second versions; without one the input must be a vector.
absl::StatusOr<int> AxisOf(const KernelContext& context) {
  const Tensor& x = context.input(0);
  if (context.num_inputs() > 1) {
    ASSIGN_OR_RETURN(std::vector<int64_t> axis, IntegerVector(context.input(1), "axis"));
    if (axis.size() > 1)
      return absl::InvalidArgumentError("axis must be a scalar or have at most one entry");
    if (axis.size() == 1) {
      ASSIGN_OR_RETURN(const int64_t normal, NormalizeAxis(axis[0], x.rank()));
      return static_cast<int>(normal);
    }
  }
  if (x.rank() == 1) return 0;
  return absl::InvalidArgumentError(
      absl::StrCat("the input must be a vector, received ", x.shape().ToString()));
}

template <typename T>
absl::Status Unique(KernelContext& context) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(const int axis, AxisOf(context));
  ASSIGN_OR_RETURN(const Slices<T> slices, SlicesOf<T>(x, axis));
  const auto hash = [&](int64_t i) { return slices.Hash(i); };
  const auto equal = [&](int64_t i, int64_t j) { return slices.Equal(i, j); };
  std::unordered_map<int64_t, int64_t, decltype(hash), decltype(equal)> seen(16, hash, equal);
  std::vector<int64_t> firsts, index, counts;
  for (int64_t i = 0; i < slices.count; ++i) {
    const auto [entry, fresh] = seen.emplace(i, static_cast<int64_t>(firsts.size()));
    if (fresh) {
      firsts.push_back(i);
      counts.push_back(0);
    }
    index.push_back(entry->second);
    ++counts[entry->second];
  }
  const auto distinct = static_cast<int64_t>(firsts.size());
  Shape shape = x.shape();
  shape.set_dim(axis, distinct);
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, shape));
  T* to = y.mutable_data<T>();
  for (int64_t o = 0; o < slices.outer; ++o) {
    for (const int64_t first : firsts) {
      std::copy_n(slices.x + (o * slices.count + first) * slices.inner, slices.inner, to);
      to += slices.inner;
    }
  }
  const DType type = context.node().output_dtype(1);
  context.set_output(0, std::move(y));
  context.set_output(1, AsIndices(index, type));
  if (context.num_outputs() > 2) context.set_output(2, AsIndices(counts, type));
  return absl::OkStatus();
}

absl::Status UniqueShape(InferenceContext& c) {
  const bool has_axis = c.num_inputs() > 1;
  if (!has_axis) RETURN_IF_ERROR(c.WithRank(0, 1));
  if (c.node().num_outputs() > 2) c.set_output(2, {-1});
  c.set_output(0, Shape::UnknownOfRank(has_axis ? c.input(0).rank() : 1));
  c.set_output(1, {has_axis ? -1 : c.dim(0, 0)});
  return absl::OkStatus();
}

void Add(OpRegistry& registry, bool has_axis, bool counts) {
  OpSchema& op =
      registry.Add(absl::StrCat(counts ? "UniqueWithCounts" : "Unique", has_axis ? "V2" : ""))
          .Doc(absl::StrCat("The distinct ", has_axis ? "slices along axis" : "values",
                            " in the order of their first appearance, where each ",
                            "element stands among them",
                            counts ? ", and how often each is there." : "."))
          .In("x", "T")
          .Out("y", "T")
          .Out("idx", "out_idx");
  if (has_axis) op.In("axis", "Taxis").TypeAttr("Taxis", kIndexDTypes, kInt64);
  if (counts) op.Out("count", "out_idx");
  const auto example = [&](const char* name, Tensor x, AttrMap attrs, std::vector<Tensor> expected,
                           const Tensor& count, const Tensor& axis) {
    std::vector<Tensor> inputs = {std::move(x)};
    if (has_axis) inputs.push_back(axis);
    if (counts) expected.push_back(count);
    op.Example({.name = name,
                .inputs = std::move(inputs),
                .attrs = std::move(attrs),
                .expected = std::move(expected)});
  };
  std::vector<DType> dtypes = kComparableDTypes;
  dtypes.push_back(kString);
  op.TypeAttr("T", dtypes)
      .TypeAttr("out_idx", kIndexDTypes, kInt32)
      .Shape(UniqueShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(UniqueTypes(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction { return Unique<T>; });
      })
      .NotDifferentiable("it picks by value");
  example("numbers", I({4}, {7, 3, 7, 7}), {}, {I({2}, {7, 3}), I({4}, {0, 1, 0, 0})},
          I({2}, {3, 1}), L({0}, {}));
  example("words", Tensor::Of<std::string>({2}, {"a", "a"}), {{"out_idx", kInt64}},
          {Tensor::Of<std::string>({1}, {"a"}), L({2}, {0, 0})}, L({1}, {2}), L({1}, {0}));
  example("empty", F({0}, {}), {}, {F({0}, {}), I({0}, {})}, I({0}, {}), I({0}, {}));
  if (!has_axis) return;
  example("columns", F({2, 3}, {1, 1, 2, 3, 3, 4}), {},
          {F({2, 2}, {1, 2, 3, 4}), I({3}, {0, 0, 1})}, I({2}, {2, 1}), I({1}, {-1}));
}

}  // namespace

void RegisterUnique(OpRegistry& registry) {
  for (const bool has_axis : {false, true}) {
    for (const bool counts : {false, true}) Add(registry, has_axis, counts);
  }
}

}  // namespace espalier
