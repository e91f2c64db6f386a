// Bitcast. Tested by the registry test.
#include <cstring>

#include "absl/strings/str_cat.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/runtime/kernel.h"

namespace espalier {
namespace {

// The last dimension appears or goes when the elements' sizes differ.
absl::StatusOr<Shape> CastShape(const Shape& x, DType from, DType to) {
  const auto in = static_cast<int64_t>(DTypeSize(from)), out = static_cast<int64_t>(DTypeSize(to));
  Shape shape = x;
  if (!x.has_rank() || in == out) return shape;
  if (in > out) {
    shape.push_back(in / out);
    return shape;
  }
  const int64_t last = x.rank() == 0 ? 0 : x.dim(x.rank() - 1);
  if (last != -1 && last != out / in) {
    return absl::InvalidArgumentError(absl::StrCat("Cannot bitcast from ", DTypeName(from), " to ",
                                                   DTypeName(to), ": the last dimension must be ",
                                                   out / in, ", received ", x.ToString()));
  }
  Shape shorter;
  for (int d = 0; d + 1 < x.rank(); ++d) shorter.push_back(x.dim(d));
  return shorter;
}

absl::StatusOr<KernelFunction> Make(const Node& node) {
  return KernelFunction([to = node.attr<DType>("type")](KernelContext& context) -> absl::Status {
    const Tensor& x = context.input(0);
    ASSIGN_OR_RETURN(const Shape shape, CastShape(x.shape(), x.dtype(), to));
    ASSIGN_OR_RETURN(Tensor y, context.Allocate(to, shape));
    if (x.num_bytes() > 0) std::memcpy(y.mutable_raw(), x.raw(), x.num_bytes());
    context.set_output(0, std::move(y));
    return absl::OkStatus();
  });
}

}  // namespace

void RegisterBitcast(OpRegistry& registry) {
  const std::vector<DType> plain = {kFloat, kDouble, kHalf, kBFloat16, kInt32,  kInt64,
                                    kUInt8, kInt16,  kInt8, kUInt16,   kUInt32, kUInt64};
  registry.Add("Bitcast")
      .Doc("The same bytes as elements of another type.")
      .In("input", "T")
      .Out("output", "type")
      .TypeAttr("T", plain)
      .TypeAttr("type", plain)
      .Shape([](InferenceContext& c) -> absl::Status {
        ASSIGN_OR_RETURN(Shape shape, CastShape(c.input(0), c.node().attr<DType>("T"),
                                                c.node().attr<DType>("type")));
        c.set_output(0, shape);
        return absl::OkStatus();
      })
      .Kernel(Make)
      .NotDifferentiable("it works on bits")
      .Example({.name = "float to int32",
                .inputs = {F({2}, {1, -2})},
                .attrs = {{"type", kInt32}},
                .expected = {I({2}, {0x3f800000, -0x40000000})}})
      .Example({.name = "to bytes",
                .inputs = {I({1}, {0x01020304})},
                .attrs = {{"type", kUInt8}},
                .expected = {Tensor::Of<uint8_t>({1, 4}, {4, 3, 2, 1})}})
      .Example({.name = "from bytes",
                .inputs = {Tensor::Of<uint8_t>({1, 4}, {4, 3, 2, 1})},
                .attrs = {{"type", kInt32}},
                .expected = {I({1}, {0x01020304})}})
      .Example({.name = "empty",
                .inputs = {F({0}, {})},
                .attrs = {{"type", kInt32}},
                .expected = {I({0}, {})}});
}

}  // namespace espalier
