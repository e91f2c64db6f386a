// DataFormatDimMap and DataFormatVecPermute: dimension numbers and vectors from one layout to
// another. Tested by the registry test.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

// For each dimension of `from`, its place in `to`.
absl::StatusOr<std::vector<int64_t>> PlacesOf(const std::string& from, const std::string& to) {
  std::vector<int64_t> places;
  for (const char c : from) {
    const size_t at = to.find(c);
    if (at == std::string::npos || from.size() != to.size() ||
        std::count(from.begin(), from.end(), c) != 1) {
      return absl::InvalidArgumentError(absl::StrCat("src_format '", from, "' and dst_format '", to,
                                                     "' must have the same letters once"));
    }
    places.push_back(static_cast<int64_t>(at));
  }
  return places;
}

absl::Status MapDims(KernelContext& context, const std::vector<int64_t>& places) {
  const Tensor& x = context.input(0);
  const Indices dims(x);
  const auto rank = static_cast<int64_t>(places.size());
  RETURN_IF_ERROR(dims.Check(rank, "x", -rank));
  std::vector<int64_t> mapped(dims.size());
  for (int64_t i = 0; i < dims.size(); ++i)
    mapped[i] = places[dims[i] < 0 ? dims[i] + rank : dims[i]];
  ASSIGN_OR_RETURN(Tensor y, AsIndices(mapped, x.dtype()).Reshaped(x.shape()));
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// A vector with an entry (or a matrix with a row) for each dimension, or for the spatial ones
// alone.
absl::Status Permute(KernelContext& context, const std::string& from, const std::string& to) {
  const Tensor& x = context.input(0);
  if (x.rank() < 1 || x.rank() > 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("x must be a vector or matrix, received ", x.shape().ToString()));
  }
  std::string source = from, target = to;
  if (x.dim(0) + 2 == static_cast<int64_t>(from.size())) {
    const auto spatial = [](char c) { return c == 'N' || c == 'C'; };
    std::erase_if(source, spatial);
    std::erase_if(target, spatial);
  }
  ASSIGN_OR_RETURN(const std::vector<int64_t> places, PlacesOf(source, target));
  if (x.dim(0) != static_cast<int64_t>(places.size())) {
    return absl::InvalidArgumentError(absl::StrCat("x must have ", from.size(), " or ",
                                                   from.size() - 2, " rows, received ",
                                                   x.shape().ToString()));
  }
  const Indices values(x);
  const int64_t width = x.rank() == 1 ? 1 : x.dim(1);
  std::vector<int64_t> permuted(values.size());
  for (int64_t i = 0; i < values.size(); ++i)
    permuted[places[i / width] * width + i % width] = values[i];
  ASSIGN_OR_RETURN(Tensor y, AsIndices(permuted, x.dtype()).Reshaped(x.shape()));
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

OpSchema& Add(OpRegistry& registry, const char* name, const char* doc) {
  return registry.Add(name)
      .Doc(doc)
      .In("x", "T")
      .Out("y", "T")
      .TypeAttr("T", kIndexDTypes, kInt32)
      .Attr("src_format", "NHWC")
      .Attr("dst_format", "NCHW")
      .Shape(UnchangedShape)
      .NotDifferentiable("it works on dimensions");
}

}  // namespace

void RegisterDataFormat(OpRegistry& registry) {
  Add(registry, "DataFormatDimMap", "The numbers that dimensions of src_format have in dst_format.")
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        ASSIGN_OR_RETURN(
            std::vector<int64_t> places,
            PlacesOf(node.attr<std::string>("src_format"), node.attr<std::string>("dst_format")));
        return KernelFunction([places](KernelContext& c) { return MapDims(c, places); });
      })
      .Example({.name = "to NCHW",
                .inputs = {I({4}, {0, 1, 2, -1})},
                .expected = {I({4}, {0, 2, 3, 1})}})
      .Example({.name = "to NHWC",
                .inputs = {L({}, {1})},
                .attrs = {{"src_format", "NCHW"}, {"dst_format", "NHWC"}},
                .expected = {L({}, {3})}})
      .Example({.name = "empty", .inputs = {I({0}, {})}, .expected = {I({0}, {})}});
  Add(registry, "DataFormatVecPermute",
      "The entries for dimensions of src_format in the order of dst_format.")
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        const auto& from = node.attr<std::string>("src_format");
        const auto& to = node.attr<std::string>("dst_format");
        RETURN_IF_ERROR(PlacesOf(from, to).status());
        return KernelFunction([from, to](KernelContext& c) { return Permute(c, from, to); });
      })
      .Example(
          {.name = "a shape", .inputs = {I({4}, {1, 2, 3, 4})}, .expected = {I({4}, {1, 4, 2, 3})}})
      .Example({.name = "paddings",
                .inputs = {I({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8})},
                .expected = {I({4, 2}, {1, 2, 7, 8, 3, 4, 5, 6})}})
      .Example(
          {.name = "rows and columns", .inputs = {L({2}, {5, 6})}, .expected = {L({2}, {5, 6})}});
}

}  // namespace espalier
