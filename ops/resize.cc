// ResizeBilinear, ResizeNearestNeighbor and their gradients, NHWC. Tested by the registry test.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

// How places of the output lie over those of the input, in one dimension.
struct Axis {
  int64_t in, out;
  bool align_corners, half_pixel_centers;

  float scale() const {
    return align_corners && out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
                                    : static_cast<float>(in) / static_cast<float>(out);
  }
  // The two neighbours of place i and the weight of the second.
  struct Pair {
    int64_t low, high;
    float weight;
  };
  Pair Bilinear(int64_t i) const {
    const float at = half_pixel_centers ? (static_cast<float>(i) + 0.5f) * scale() - 0.5f
                                        : static_cast<float>(i) * scale();
    const float floor = std::floor(at);
    return {std::max<int64_t>(static_cast<int64_t>(floor), 0),
            std::min<int64_t>(static_cast<int64_t>(std::ceil(at)), in - 1), at - floor};
  }
  int64_t Nearest(int64_t i) const {
    const float at = (static_cast<float>(i) + (half_pixel_centers ? 0.5f : 0.0f)) * scale();
    const float place = align_corners ? std::round(at) : std::floor(at);
    return std::clamp<int64_t>(static_cast<int64_t>(place), 0, in - 1);
  }
};

struct ResizeAttrs {
  bool align_corners, half_pixel_centers;
};

// Height and width.
absl::StatusOr<std::vector<int64_t>> SizeFrom(const Tensor& tensor) {
  ASSIGN_OR_RETURN(std::vector<int64_t> size, IntegerVector(tensor, "size"));
  if (size.size() != 2) return absl::InvalidArgumentError("size must have two entries");
  if (size[0] <= 0 || size[1] <= 0) return absl::InvalidArgumentError("sizes must be positive");
  return size;
}

struct Sizes {
  int64_t batch, channels;
  Axis rows, columns;
};

absl::StatusOr<Sizes> MakeSizes(const Shape& images, int64_t rows, int64_t columns,
                                const ResizeAttrs& attrs) {
  if (images.rank() != 4)
    return absl::InvalidArgumentError(
        absl::StrCat("images must have rank 4, received shape ", images.ToString()));
  if (rows <= 0 || columns <= 0 || images.dim(1) <= 0 || images.dim(2) <= 0)
    return absl::InvalidArgumentError("sizes must be positive");
  if (attrs.align_corners && attrs.half_pixel_centers)
    return absl::InvalidArgumentError("align_corners excludes half_pixel_centers");
  return Sizes{images.dim(0),
               images.dim(3),
               {images.dim(1), rows, attrs.align_corners, attrs.half_pixel_centers},
               {images.dim(2), columns, attrs.align_corners, attrs.half_pixel_centers}};
}

// Calls body(output place, input place, weight) for each contribution, a place being the position
// of its first channel. Batches are apart.
template <bool kBilinear, typename Body>
void ForEachWeight(const Sizes& s, int64_t batch, const Body& body) {
  const auto in = [&](int64_t row, int64_t column) {
    return ((batch * s.rows.in + row) * s.columns.in + column) * s.channels;
  };
  for (int64_t r = 0; r < s.rows.out; ++r) {
    for (int64_t c = 0; c < s.columns.out; ++c) {
      const int64_t out = ((batch * s.rows.out + r) * s.columns.out + c) * s.channels;
      if (!kBilinear) {
        body(out, in(s.rows.Nearest(r), s.columns.Nearest(c)), 1.0f);
        continue;
      }
      const Axis::Pair y = s.rows.Bilinear(r), x = s.columns.Bilinear(c);
      body(out, in(y.low, x.low), (1 - y.weight) * (1 - x.weight));
      body(out, in(y.low, x.high), (1 - y.weight) * x.weight);
      body(out, in(y.high, x.low), y.weight * (1 - x.weight));
      body(out, in(y.high, x.high), y.weight * x.weight);
    }
  }
}

template <typename T, bool kBilinear>
absl::Status Resize(KernelContext& context, const ResizeAttrs& attrs) {
  using Result = std::conditional_t<kBilinear, float, T>;
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(std::vector<int64_t> size, SizeFrom(context.input(1)));
  ASSIGN_OR_RETURN(Sizes sizes, MakeSizes(x.shape(), size[0], size[1], attrs));
  ASSIGN_OR_RETURN(
      Tensor y, context.Allocate(DTypeOf<Result>, {sizes.batch, size[0], size[1], sizes.channels}));
  Result* out = y.mutable_data<Result>();
  std::fill_n(out, y.num_elements(), Result(0));
  const T* in = x.data<T>();
  context.ParallelFor(sizes.batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      ForEachWeight<kBilinear>(sizes, b, [&](int64_t to, int64_t from, float weight) {
        for (int64_t k = 0; k < sizes.channels; ++k) {
          if constexpr (kBilinear) {
            out[to + k] += weight * static_cast<float>(in[from + k]);
          } else {
            out[to + k] = in[from + k];
          }
        }
      });
    }
  });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// Each output's gradient goes to the inputs that it was mixed from. `original` has the input's
// shape.
template <typename G, typename T, bool kBilinear>
absl::Status ResizeGrad(KernelContext& context, const ResizeAttrs& attrs) {
  const Tensor& dy = context.input(0);
  if (dy.rank() != 4) return absl::InvalidArgumentError("gradients must have rank 4");
  Shape shape = dy.shape();
  if (kBilinear) {
    if (context.input(1).rank() != 4)
      return absl::InvalidArgumentError("the original image must have rank 4");
    shape = context.input(1).shape();
  } else {
    ASSIGN_OR_RETURN(std::vector<int64_t> size, SizeFrom(context.input(1)));
    shape.set_dim(1, size[0]);
    shape.set_dim(2, size[1]);
  }
  if (shape.dim(0) != dy.dim(0) || shape.dim(3) != dy.dim(3))
    return absl::InvalidArgumentError("gradients and image must agree in batch and channels");
  ASSIGN_OR_RETURN(Sizes sizes, MakeSizes(shape, dy.dim(1), dy.dim(2), attrs));
  ASSIGN_OR_RETURN(Tensor dx, context.Allocate(DTypeOf<T>, shape));
  std::vector<ComputeType<T>> sums(dx.num_elements(), ComputeType<T>(0));
  context.ParallelFor(sizes.batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      ForEachWeight<kBilinear>(sizes, b, [&](int64_t from, int64_t to, float weight) {
        for (int64_t k = 0; k < sizes.channels; ++k)
          sums[to + k] += static_cast<ComputeType<T>>(weight) *
                          static_cast<ComputeType<T>>(dy.data<G>()[from + k]);
      });
    }
  });
  for (size_t i = 0; i < sums.size(); ++i) dx.mutable_data<T>()[i] = static_cast<T>(sums[i]);
  context.set_output(0, std::move(dx));
  return absl::OkStatus();
}

ResizeAttrs AttrsOf(const Node& node) {
  return {node.attr<bool>("align_corners"), node.attr<bool>("half_pixel_centers")};
}

absl::Status ResizeShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(0, 4));
  std::vector<int64_t> size = {-1, -1};
  if (const Tensor* constant = c.constant(1)) {
    ASSIGN_OR_RETURN(size, SizeFrom(*constant));
  }
  c.set_output(0, {c.dim(0, 0), size[0], size[1], c.dim(0, 3)});
  return absl::OkStatus();
}

AttrMap SameAttrs(const GradientContext& g) {
  return {{"align_corners", g.node().attr<bool>("align_corners")},
          {"half_pixel_centers", g.node().attr<bool>("half_pixel_centers")}};
}

// Height and width of input i, as the graph computes them.
Output ImageSize(const GradientContext& g, int i) {
  return g.Op("Slice", {g.ShapeOf(g.x(i)), g.Int32s({1}), g.Int32s({2})});
}

// Kernel<T>::Run(context, attrs) for the type T of input `typed`.
template <template <typename> class Kernel, typename Types, int kTyped>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  return DispatchType(Types(), RemoveRef(node.input(kTyped).dtype()),
                      [attrs = AttrsOf(node)]<typename T>() -> KernelFunction {
                        return [attrs](KernelContext& c) { return Kernel<T>::Run(c, attrs); };
                      });
}

template <typename T, bool kBilinear>
struct ResizeKernel {
  static absl::Status Run(KernelContext& context, const ResizeAttrs& attrs) {
    return Resize<T, kBilinear>(context, attrs);
  }
};
template <typename T>
using Bilinear = ResizeKernel<T, true>;
template <typename T>
using Nearest = ResizeKernel<T, false>;
template <typename T>
struct BilinearGrad {
  static absl::Status Run(KernelContext& context, const ResizeAttrs& attrs) {
    return ResizeGrad<float, T, true>(context, attrs);
  }
};
template <typename T>
struct NearestGrad {
  static absl::Status Run(KernelContext& context, const ResizeAttrs& attrs) {
    return ResizeGrad<T, T, false>(context, attrs);
  }
};

OpSchema& AddAttrs(OpSchema& op) {
  return op.Attr("align_corners", false).Attr("half_pixel_centers", false);
}

}  // namespace

void RegisterResize(OpRegistry& registry) {
  const Tensor image = F({1, 2, 2, 1}, {1, 2, 3, 4});
  const Tensor three = I({2}, {3, 3});
  const Tensor one_row = F({1, 1, 2, 1}, {1, 3});
  const Tensor wide = F({1, 1, 4, 1}, {1, 2, 3, 4});
  const Tensor none = F({0, 2, 2, 1}, {});
  AddAttrs(registry.Add("ResizeBilinear")
               .Doc("Images of another size, each value mixed from its four neighbours.")
               .In("images", "T")
               .In("size", kInt32)
               .Out("resized_images", kFloat))
      .TypeAttr("T", kArithmeticDTypes)
      .Shape(ResizeShape)
      .Kernel(Make<Bilinear, ArithmeticTypes, 0>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        if (!IsDifferentiable(g.x(0).dtype())) return {};
        return {g.Op("ResizeBilinearGrad", {g.dy(), g.x(0)}, SameAttrs(g)), Output()};
      })
      // The output is float whatever the input: differences in double are lost in it.
      .Example({.name = "corners aligned",
                .inputs = {image, three},
                .attrs = {{"align_corners", true}},
                .expected = {F({1, 3, 3, 1}, {1, 1.5f, 2, 2, 2.5f, 3, 3, 3.5f, 4})},
                .check_gradient = false,
                .constant_inputs = {1}})
      .Example({.name = "half pixels",
                .inputs = {one_row, I({2}, {1, 4})},
                .attrs = {{"half_pixel_centers", true}},
                .expected = {F({1, 1, 4, 1}, {1, 1.5f, 2.5f, 3})},
                .check_gradient = false})
      .Example({.name = "empty",
                .inputs = {none, three},
                .expected = {F({0, 3, 3, 1}, {})},
                .check_gradient = false});
  AddAttrs(registry.Add("ResizeBilinearGrad")
               .Doc("The gradient of ResizeBilinear.")
               .In("grads", kFloat)
               .In("original_image", "T")
               .Out("output", "T"))
      .TypeAttr("T", kRealDTypes)
      .Shape([](InferenceContext& c) {
        c.set_output(0, c.input(1));
        return absl::OkStatus();
      })
      .Kernel(Make<BilinearGrad, RealTypes, 1>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("ResizeBilinear", {g.dy(), ImageSize(g, 0)}, SameAttrs(g)), Output()};
      })
      .Example({.name = "half pixels",
                .inputs = {wide, one_row},
                .attrs = {{"half_pixel_centers", true}},
                .expected = {F({1, 1, 2, 1}, {3.25f, 6.75f})},
                .check_gradient = false})
      .Example({.name = "corners aligned",
                .inputs = {F({1, 1, 3, 1}, {1, 2, 3}), one_row},
                .attrs = {{"align_corners", true}},
                .expected = {F({1, 1, 2, 1}, {2, 4})},
                .check_gradient = false})
      .Example({.name = "empty",
                .inputs = {F({0, 3, 3, 1}, {}), none},
                .expected = {none},
                .check_gradient = false});
  AddAttrs(registry.Add("ResizeNearestNeighbor")
               .Doc("Images of another size, each value that of its nearest neighbour.")
               .In("images", "T")
               .In("size", kInt32)
               .Out("resized_images", "T"))
      .TypeAttr("T", kArithmeticDTypes)
      .Shape(ResizeShape)
      .Kernel(Make<Nearest, ArithmeticTypes, 0>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("ResizeNearestNeighborGrad", {g.dy(), ImageSize(g, 0)}, SameAttrs(g)),
                Output()};
      })
      .Example({.name = "twice as large",
                .inputs = {one_row, I({2}, {1, 4})},
                .expected = {F({1, 1, 4, 1}, {1, 1, 3, 3})},
                .constant_inputs = {1}})
      .Example({.name = "corners aligned",
                .inputs = {one_row, I({2}, {2, 3})},
                .attrs = {{"align_corners", true}},
                .expected = {F({1, 2, 3, 1}, {1, 3, 3, 1, 3, 3})}})
      .Example({.name = "empty", .inputs = {none, three}, .expected = {F({0, 3, 3, 1}, {})}});
  AddAttrs(registry.Add("ResizeNearestNeighborGrad")
               .Doc("The gradient of ResizeNearestNeighbor, for images of the given size.")
               .In("grads", "T")
               .In("size", kInt32)
               .Out("output", "T"))
      .TypeAttr("T", kArithmeticDTypes)
      .Shape(ResizeShape)
      .Kernel(Make<NearestGrad, ArithmeticTypes, 0>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("ResizeNearestNeighbor", {g.dy(), ImageSize(g, 0)}, SameAttrs(g)), Output()};
      })
      .Example({.name = "half the size",
                .inputs = {wide, I({2}, {1, 2})},
                .expected = {F({1, 1, 2, 1}, {3, 7})},
                .constant_inputs = {1}})
      .Example({.name = "to one",
                .inputs = {one_row, I({2}, {1, 1})},
                .expected = {F({1, 1, 1, 1}, {4})}})
      .Example(
          {.name = "empty", .inputs = {F({0, 3, 3, 1}, {}), I({2}, {2, 2})}, .expected = {none}});
}

}  // namespace espalier
