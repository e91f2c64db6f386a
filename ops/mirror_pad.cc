// MirrorPad and MirrorPadGrad. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

// Paddings of a tensor whose unpadded shape is `inner`.
struct Mirror {
  Shape inner, padded;
  std::vector<int64_t> before;
  int64_t edge = 0;  // 1 for REFLECT: the border element is not repeated

  // The place in the unpadded tensor of place i in dimension d of the padded one.
  int64_t Source(int d, int64_t i) const {
    int64_t at = i - before[d];
    const int64_t size = inner.dim(d);
    if (at < 0) at = -at - 1 + edge;
    if (at >= size) at = 2 * size - 1 - edge - at;
    return at;
  }
};

// From the padded shape inwards when `inwards`.
absl::StatusOr<Mirror> MakeMirror(const Shape& shape, const Tensor& paddings, bool reflect,
                                  bool inwards) {
  if (paddings.rank() != 2 || paddings.dim(0) != shape.rank() || paddings.dim(1) != 2) {
    return absl::InvalidArgumentError(absl::StrCat("paddings must have shape [", shape.rank(),
                                                   ",2], received ", paddings.shape().ToString()));
  }
  ASSIGN_OR_RETURN(Tensor flat, paddings.Reshaped({paddings.num_elements()}));
  ASSIGN_OR_RETURN(std::vector<int64_t> values, IntegerVector(flat, "paddings"));
  Mirror mirror;
  mirror.edge = reflect ? 1 : 0;
  for (int d = 0; d < shape.rank(); ++d) {
    const int64_t before = values[2 * d];
    const int64_t after = values[2 * d + 1];
    if (shape.dim(d) < 0) {
      mirror.inner.push_back(-1);
      mirror.padded.push_back(-1);
      continue;
    }
    const int64_t size = inwards ? shape.dim(d) - before - after : shape.dim(d);
    if (before < 0 || after < 0 || size < 0 || before > size - mirror.edge ||
        after > size - mirror.edge) {
      if (before != 0 || after != 0) {
        return absl::InvalidArgumentError(absl::StrCat("paddings ", before, ", ", after,
                                                       " are negative or over what dimension ", d,
                                                       " of size ", size, " can mirror"));
      }
    }
    mirror.inner.push_back(size);
    mirror.padded.push_back(size + before + after);
    mirror.before.push_back(before);
  }
  return mirror;
}

// Calls body(place in the padded tensor, place in the unpadded one) for each padded place.
template <typename Body>
void ForEachPlace(const Mirror& mirror, const Body& body) {
  const std::vector<int64_t> strides = StridesOf(mirror.inner);
  const int rank = mirror.padded.rank();
  std::vector<int64_t> index(rank, 0);
  const int64_t total = mirror.padded.num_elements();
  for (int64_t i = 0; i < total; ++i) {
    int64_t at = 0;
    for (int d = 0; d < rank; ++d) at += mirror.Source(d, index[d]) * strides[d];
    body(i, at);
    for (int d = rank - 1; d >= 0 && ++index[d] == mirror.padded.dim(d); --d) index[d] = 0;
  }
}

template <typename S>
absl::Status MirrorPad(KernelContext& context, bool reflect) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(Mirror mirror, MakeMirror(x.shape(), context.input(1), reflect, false));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), mirror.padded));
  const S* from = Storage<S>(x);
  S* to = MutableStorage<S>(y);
  ForEachPlace(mirror, [&](int64_t padded, int64_t inner) { to[padded] = from[inner]; });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// Each padded element's gradient goes to the element that it mirrors.
template <typename T>
absl::Status MirrorPadGrad(KernelContext& context, bool reflect) {
  const Tensor& dy = context.input(0);
  ASSIGN_OR_RETURN(Mirror mirror, MakeMirror(dy.shape(), context.input(1), reflect, true));
  ASSIGN_OR_RETURN(Tensor dx, context.Allocate(dy.dtype(), mirror.inner));
  T* to = dx.mutable_data<T>();
  std::fill_n(to, dx.num_elements(), T(0));
  const T* from = dy.data<T>();
  ForEachPlace(mirror, [&](int64_t padded, int64_t inner) {
    to[inner] = static_cast<T>(to[inner] + from[padded]);
  });
  context.set_output(0, std::move(dx));
  return absl::OkStatus();
}

template <bool kInwards>
absl::Status MirrorShape(InferenceContext& c) {
  if (!c.input(0).has_rank()) return absl::OkStatus();
  c.set_output(0, Shape::UnknownOfRank(c.input(0).rank()));
  const Tensor* paddings = c.constant(1);
  if (paddings == nullptr) return absl::OkStatus();
  const bool reflect = c.node().attr<std::string>("mode") == "REFLECT";
  ASSIGN_OR_RETURN(Mirror mirror, MakeMirror(c.input(0), *paddings, reflect, kInwards));
  c.set_output(0, kInwards ? mirror.inner : mirror.padded);
  return absl::OkStatus();
}

template <bool kInwards>
std::vector<Output> Opposite(const GradientContext& g) {
  return {g.Op(kInwards ? "MirrorPad" : "MirrorPadGrad", {g.dy(), g.x(1)},
               {{"mode", g.node().attr<std::string>("mode")}})};
}

OpSchema& Declare(OpRegistry& registry, const char* name, const char* doc,
                  const std::vector<DType>& types) {
  return registry.Add(name)
      .Doc(doc)
      .In("input", "T")
      .In("paddings", "Tpaddings")
      .Out("output", "T")
      .TypeAttr("T", types)
      .TypeAttr("Tpaddings", kIndexDTypes, kInt32)
      .StringAttr("mode", {"REFLECT", "SYMMETRIC"});
}

}  // namespace

void RegisterMirrorPad(OpRegistry& registry) {
  const Tensor three = F({3}, {1, 2, 3});
  const Tensor by = I({1, 2}, {2, 1});
  const AttrMap reflect = {{"mode", "REFLECT"}};
  const AttrMap symmetric = {{"mode", "SYMMETRIC"}};
  Declare(registry, "MirrorPad", "The input padded with its own mirror image.", {})
      .Shape(MirrorShape<false>)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        const bool is_reflect = node.attr<std::string>("mode") == "REFLECT";
        return DispatchStorage(RemoveRef(node.input(0).dtype()),
                               [is_reflect]<typename S>() -> KernelFunction {
                                 return [is_reflect](KernelContext& context) {
                                   return MirrorPad<S>(context, is_reflect);
                                 };
                               });
      })
      .Gradient(Opposite<false>)
      .Example({.name = "reflect",
                .inputs = {three, by},
                .attrs = reflect,
                .expected = {F({6}, {3, 2, 1, 2, 3, 2})},
                .constant_inputs = {1}})
      .Example({.name = "symmetric",
                .inputs = {three, by},
                .attrs = symmetric,
                .expected = {F({6}, {2, 1, 1, 2, 3, 3})}})
      .Example({.name = "empty",
                .inputs = {F({0}, {}), I({1, 2}, {0, 0})},
                .attrs = symmetric,
                .expected = {F({0}, {})}});
  Declare(registry, "MirrorPadGrad", "The gradient of MirrorPad.", kArithmeticDTypes)
      .Shape(MirrorShape<true>)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        const bool is_reflect = node.attr<std::string>("mode") == "REFLECT";
        return DispatchType(ArithmeticTypes(), RemoveRef(node.input(0).dtype()),
                            [is_reflect]<typename T>() -> KernelFunction {
                              return [is_reflect](KernelContext& context) {
                                return MirrorPadGrad<T>(context, is_reflect);
                              };
                            });
      })
      .Gradient(Opposite<true>)
      .Example({.name = "reflect",
                .inputs = {F({6}, {1, 2, 3, 4, 5, 6}), by},
                .attrs = reflect,
                .expected = {F({3}, {3, 12, 6})},
                .constant_inputs = {1}})
      .Example({.name = "symmetric",
                .inputs = {F({6}, {1, 2, 3, 4, 5, 6}), by},
                .attrs = symmetric,
                .expected = {F({3}, {5, 5, 11})}})
      .Example({.name = "empty",
                .inputs = {F({0}, {}), I({1, 2}, {0, 0})},
                .attrs = symmetric,
                .expected = {F({0}, {})}});
}

}  // namespace espalier
