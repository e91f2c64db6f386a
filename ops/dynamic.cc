// Ops whose output size depends on the data: DynamicPartition, DynamicStitch, Where,
// ListDiff. Tested by the registry test.
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

template <typename S>
absl::Status Partition(KernelContext& context) {
  const Tensor& data = context.input(0);
  const Tensor& partitions = context.input(1);
  const int count = context.num_outputs();
  ASSIGN_OR_RETURN(const int64_t width, RowWidth(data.shape(), partitions.shape()));
  const Indices index(partitions);
  RETURN_IF_ERROR(index.Check(count, "partitions"));
  std::vector<int64_t> rows(count, 0);
  for (int64_t i = 0; i < index.size(); ++i) ++rows[index[i]];
  std::vector<Tensor> parts(count);
  for (int k = 0; k < count; ++k) {
    Shape shape = {rows[k]};
    for (int d = partitions.rank(); d < data.rank(); ++d) shape.push_back(data.dim(d));
    ASSIGN_OR_RETURN(parts[k], context.Allocate(data.dtype(), shape));
  }
  std::vector<int64_t> next(count, 0);
  for (int64_t i = 0; i < index.size(); ++i) {
    const int64_t part = index[i];
    std::copy_n(Storage<S>(data) + i * width, width,
                MutableStorage<S>(parts[part]) + next[part]++ * width);
  }
  for (int k = 0; k < count; ++k) context.set_output(k, std::move(parts[k]));
  return absl::OkStatus();
}

// Inputs 0 … N-1 are indices, N … 2N-1 data; the last of equal indices wins.
template <typename S>
absl::Status Stitch(KernelContext& context) {
  const int count = context.num_inputs() / 2;
  int64_t rows = 0;
  Shape row;
  for (int k = 0; k < count; ++k) {
    const Tensor& indices = context.input(k);
    const Tensor& data = context.input(count + k);
    RETURN_IF_ERROR(RowWidth(data.shape(), indices.shape()).status());
    Shape mine;
    for (int d = indices.rank(); d < data.rank(); ++d) mine.push_back(data.dim(d));
    if (k > 0 && !(mine == row)) {
      return absl::InvalidArgumentError(absl::StrCat("rows must have one shape, received ",
                                                     row.ToString(), " and ", mine.ToString()));
    }
    row = mine;
    const Indices index(indices);
    RETURN_IF_ERROR(index.Check(std::numeric_limits<int32_t>::max(), "indices"));
    for (int64_t i = 0; i < index.size(); ++i) rows = std::max(rows, index[i] + 1);
  }
  Shape shape = {rows};
  for (const int64_t dim : row.dims()) shape.push_back(dim);
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(context.input(count).dtype(), shape));
  S* to = MutableStorage<S>(y);
  std::fill_n(to, y.num_elements(), S{});
  const int64_t width = row.num_elements();
  for (int k = 0; k < count; ++k) {
    const Indices index(context.input(k));
    const S* from = Storage<S>(context.input(count + k));
    for (int64_t i = 0; i < index.size(); ++i)
      std::copy_n(from + i * width, width, to + index[i] * width);
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::Status StitchShape(InferenceContext& c) {
  const int count = c.num_inputs() / 2;
  bool constant = true;
  int64_t rows = 0;
  Shape row = Shape::Unknown();
  for (int k = 0; k < count; ++k) {
    const Shape& indices = c.input(k);
    const Shape& data = c.input(count + k);
    const auto values = c.constant_ints(k);
    constant = constant && values.has_value();
    for (const int64_t v : values.value_or(std::vector<int64_t>())) rows = std::max(rows, v + 1);
    if (!indices.has_rank() || !data.has_rank()) continue;
    if (data.rank() < indices.rank()) {
      return absl::InvalidArgumentError(absl::StrCat("data of shape ", data.ToString(),
                                                     " does not start with ", indices.ToString()));
    }
    Shape mine;
    for (int d = indices.rank(); d < data.rank(); ++d) mine.push_back(data.dim(d));
    ASSIGN_OR_RETURN(row, Shape::Merge(row, mine));
  }
  if (!row.has_rank()) return absl::OkStatus();
  Shape shape = {constant ? rows : -1};
  for (const int64_t dim : row.dims()) shape.push_back(dim);
  c.set_output(0, shape);
  return absl::OkStatus();
}

std::vector<Output> StitchGradient(const GradientContext& g) {
  const int count = g.node().num_inputs() / 2;
  std::vector<Output> gradients(count);
  for (int k = 0; k < count; ++k)
    gradients.push_back(g.Op("GatherV2", {g.dy(), g.x(k), g.Scalar(g.x(k), 0)}));
  return gradients;
}

// The rows' own numbers are partitioned alike; stitching by them puts the gradients back.
std::vector<Output> PartitionGradient(const GradientContext& g) {
  const int count = g.node().num_outputs();
  const Output shape = g.ShapeOf(g.x(1));
  const Output total = g.Op("Size", {g.x(1)});
  const Output numbers =
      g.Op("Reshape", {g.Op("Range", {g.Scalar(total, 0), total, g.Scalar(total, 1)}), shape});
  const Node* places = g.OpNode("DynamicPartition", {numbers, g.x(1)}, {{"num_partitions", count}});
  if (places == nullptr) return {};
  std::vector<Output> inputs;
  for (int k = 0; k < count; ++k) inputs.push_back(places->output(k));
  for (int k = 0; k < count; ++k) inputs.push_back(g.dy(k));
  const Output stitched = g.Op("ParallelDynamicStitch", inputs, {{"N", count}});
  return {g.Op("Reshape", {stitched, g.ShapeOf(g.x(0))}), Output()};
}

template <typename T>
absl::Status Where(KernelContext& context) {
  const Tensor& x = context.input(0);
  const auto values = x.flat<T>();
  std::vector<int64_t> places;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] != T(0)) places.push_back(static_cast<int64_t>(i));
  }
  const int rank = x.rank();
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(kInt64, {static_cast<int64_t>(places.size()), rank}));
  int64_t* out = y.mutable_data<int64_t>();
  for (size_t i = 0; i < places.size(); ++i) {
    int64_t rest = places[i];
    for (int d = rank - 1; d >= 0; --d) {
      out[i * rank + d] = rest % x.dim(d);
      rest /= x.dim(d);
    }
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

using KeyTypes =
    TypeList<float, double, Eigen::half, int32_t, int64_t, uint8_t, int8_t, int16_t, std::string>;
const std::vector<DType> kKeyDTypes = {kFloat, kDouble, kHalf,  kInt32, kInt64,
                                       kUInt8, kInt8,   kInt16, kString};

template <typename T>
absl::Status ListDiff(KernelContext& context) {
  const Tensor& x = context.input(0);
  const Tensor& y = context.input(1);
  if (x.rank() != 1 || y.rank() != 1)
    return absl::InvalidArgumentError("both inputs must be vectors");
  std::unordered_map<T, bool> excluded;
  for (const T& value : y.flat<T>()) excluded[value] = true;
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < x.num_elements(); ++i) {
    if (!excluded.contains(x.data<T>()[i])) kept.push_back(i);
  }
  ASSIGN_OR_RETURN(Tensor out, context.Allocate(DTypeOf<T>, {static_cast<int64_t>(kept.size())}));
  for (size_t i = 0; i < kept.size(); ++i) out.mutable_data<T>()[i] = x.data<T>()[kept[i]];
  context.set_output(0, std::move(out));
  context.set_output(1, AsIndices(kept, context.node().output_dtype(1)));
  return absl::OkStatus();
}

absl::Status VectorsOfUnknownSize(InferenceContext& c) {
  for (int i = 0; i < c.node().num_outputs(); ++i) c.set_output(i, {-1});
  return absl::OkStatus();
}

constexpr char kPicksIndices[] = "its outputs are picked by equality or are indices";

void DeclareStitches(OpRegistry& registry) {
  registry.Add("DynamicPartition")
      .Doc("Rows of data sent to one of num_partitions outputs.")
      .In("data", "T")
      .In("partitions", kInt32)
      .OutList("outputs", "num_partitions", "T")
      .RequiredAttr("num_partitions", AttrKind::kInt)
      .Minimum(1)
      .TypeAttr("T")
      .Shape([](InferenceContext& c) -> absl::Status {
        if (!c.input(0).has_rank() || !c.input(1).has_rank()) return absl::OkStatus();
        Shape shape = {-1};
        for (int d = c.input(1).rank(); d < c.input(0).rank(); ++d)
          shape.push_back(c.input(0).dim(d));
        for (int k = 0; k < c.node().num_outputs(); ++k) c.set_output(k, shape);
        return absl::OkStatus();
      })
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchStorage(RemoveRef(node.input(0).dtype()),
                               []<typename S>() -> KernelFunction { return Partition<S>; });
      })
      .Gradient(PartitionGradient)
      .Example({.name = "vector",
                .inputs = {F({4}, {1, 2, 3, 4}), I({4}, {1, 0, 1, 1})},
                .attrs = {{"num_partitions", 2}},
                .expected = {F({1}, {2}), F({3}, {1, 3, 4})}})
      .Example({.name = "rows",
                .inputs = {F({2, 2}, {1, 2, 3, 4}), I({2}, {1, 1})},
                .attrs = {{"num_partitions", 2}},
                .expected = {F({0, 2}, {}), F({2, 2}, {1, 2, 3, 4})}})
      .Example({.name = "empty",
                .inputs = {F({0}, {}), I({0}, {})},
                .attrs = {{"num_partitions", 1}},
                .expected = {F({0}, {})}});
  for (const char* name : {"DynamicStitch", "ParallelDynamicStitch"}) {
    registry.Add(name)
        .Doc("Rows of several tensors put where the indices say; the last of equal indices wins.")
        .InList("indices", "N", kInt32)
        .InList("data", "N", "T")
        .Out("merged", "T")
        .Attr("N", 1)
        .Minimum(1)
        .TypeAttr("T")
        .Shape(StitchShape)
        .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
          return DispatchStorage(RemoveRef(node.input(node.num_inputs() - 1).dtype()),
                                 []<typename S>() -> KernelFunction { return Stitch<S>; });
        })
        .Gradient(StitchGradient)
        .Example({.name = "vectors",
                  .inputs = {I({2}, {2, 0}), I({1}, {1}), F({2}, {5, 6}), F({1}, {7})},
                  .attrs = {{"N", 2}},
                  .expected = {F({3}, {6, 7, 5})}})
        .Example({.name = "scalar and rows",
                  .inputs = {I({}, {1}), I({1}, {0}), F({2}, {5, 6}), F({1, 2}, {7, 8})},
                  .attrs = {{"N", 2}},
                  .expected = {F({2, 2}, {7, 8, 5, 6})}})
        .Example({.name = "empty",
                  .inputs = {I({0}, {}), F({0}, {})},
                  .attrs = {{"N", 1}},
                  .expected = {F({0}, {})}});
  }
}

}  // namespace

void RegisterDynamic(OpRegistry& registry) {
  DeclareStitches(registry);
  registry.Add("Where")
      .Doc("The indices of the elements that are not 0 or false, one in a row.")
      .In("input", "T")
      .Out("index", kInt64)
      .TypeAttr("T", kComparableDTypes, kBool)
      .Shape([](InferenceContext& c) {
        c.set_output(0, {-1, c.input(0).rank()});
        return absl::OkStatus();
      })
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(ComparableTypes(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction { return Where<T>; });
      })
      .NotDifferentiable("its output is indices")
      .Example({.name = "matrix",
                .inputs = {B({2, 2}, {true, false, false, true})},
                .expected = {L({2, 2}, {0, 0, 1, 1})}})
      .Example({.name = "numbers", .inputs = {F({3}, {0, 2, -1})}, .expected = {L({2, 1}, {1, 2})}})
      .Example({.name = "empty", .inputs = {B({0}, {})}, .expected = {L({0, 1}, {})}});
  registry.Add("ListDiff")
      .Doc("The values of x that y does not have, and their places in x.")
      .In("x", "T")
      .In("y", "T")
      .Out("out", "T")
      .Out("idx", "out_idx")
      .TypeAttr("T", kKeyDTypes)
      .TypeAttr("out_idx", kIndexDTypes, kInt32)
      .Shape(VectorsOfUnknownSize)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(KeyTypes(), RemoveRef(node.input(0).dtype()),
                            []<typename T>() -> KernelFunction { return ListDiff<T>; });
      })
      .NotDifferentiable(kPicksIndices)
      .Example({.name = "numbers",
                .inputs = {I({4}, {1, 2, 3, 2}), I({1}, {2})},
                .expected = {I({2}, {1, 3}), I({2}, {0, 2})}})
      .Example({.name = "nothing left",
                .inputs = {F({1}, {1}), F({1}, {1})},
                .expected = {F({0}, {}), I({0}, {})}})
      .Example({.name = "empty",
                .inputs = {I({0}, {}), I({0}, {})},
                .attrs = {{"out_idx", kInt64}},
                .expected = {I({0}, {}), L({0}, {})}});
}

}  // namespace espalier
