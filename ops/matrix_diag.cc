// Diagonals and bands of matrices: MatrixDiag, MatrixDiagPart, MatrixSetDiag in their three
// versions, and MatrixBandPart. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/indexing.h"

namespace espalier {
namespace {

// The first versions know the main diagonal only; the second take a band k of diagonals, packed
// from the left; the third say in attr align to which side shorter diagonals are packed.
enum class Version { kMain, kBand, kAligned };

// Diagonals lower … upper of a matrix; 0 is the main one, 1 the one above it.
struct Band {
  int64_t rows = 0, cols = 0;
  int64_t lower = 0, upper = 0;
  bool left_above = true, left_below = true;

  int64_t count() const { return upper - lower + 1; }
  int64_t Length(int64_t d) const {
    return std::min(rows + std::min<int64_t>(d, 0), cols - std::max<int64_t>(d, 0));
  }
  int64_t longest() const {
    return std::min(rows + std::min<int64_t>(upper, 0), cols - std::max<int64_t>(lower, 0));
  }
  // Where diagonal d begins in its row of the packed tensor.
  int64_t Start(int64_t d) const {
    const bool left = (d >= 0 && left_above) || (d <= 0 && left_below);
    return left ? 0 : longest() - Length(d);
  }
  // body(index into the packed diagonals, index into the matrix) for each element of the band.
  template <typename Body>
  void ForEach(const Body& body) const {
    for (int64_t d = lower; d <= upper; ++d) {
      const int64_t packed = (upper - d) * longest() + Start(d);
      const int64_t first = d >= 0 ? d : -d * cols;
      for (int64_t i = 0; i < Length(d); ++i) body(packed + i, first + i * (cols + 1));
    }
  }
  // INVALID_ARGUMENT unless both ends are diagonals of the matrix.
  absl::Status Check() const {
    const auto inside = [&](int64_t d) { return (d > -rows && d < cols) || d == 0; };
    if (inside(lower) && inside(upper)) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "k = [", lower, ", ", upper, "] is out of range for matrices of ", rows, " by ", cols));
  }
};

// Input k_input of the op, or the main diagonal; rows and cols are for the caller to set.
absl::StatusOr<Band> BandOf(const KernelContext& context, Version version, int k_input) {
  Band band;
  if (version == Version::kMain) return band;
  ASSIGN_OR_RETURN(std::vector<int64_t> k, IntegerVector(context.input(k_input), "k"));
  if (k.empty() || k.size() > 2)
    return absl::InvalidArgumentError("k must be a scalar or have 1 or 2 entries");
  band.lower = k.front();
  band.upper = k.back();
  if (band.lower > band.upper) {
    return absl::InvalidArgumentError(
        absl::StrCat("k must not decrease, received [", band.lower, ", ", band.upper, "]"));
  }
  if (version == Version::kAligned) {
    const auto& align = context.node().attr<std::string>("align");
    band.left_above = align.starts_with("LEFT");
    band.left_below = align.ends_with("LEFT");
  }
  return band;
}

absl::Status SetMatrixSize(const Shape& shape, Band& band) {
  if (shape.rank() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("input must be at least a matrix, received ", shape.ToString()));
  }
  band.rows = shape.dim(shape.rank() - 2);
  band.cols = shape.dim(shape.rank() - 1);
  return band.Check();
}

// The shape of the packed diagonals, `outer` followed by [longest] or [count, longest].
Shape PackedShape(Shape outer, const Band& band) {
  if (band.count() > 1) outer.push_back(band.count());
  outer.push_back(band.longest());
  return outer;
}

Shape Leading(const Shape& shape, int dropped) {
  Shape leading;
  for (int d = 0; d + dropped < shape.rank(); ++d) leading.push_back(shape.dim(d));
  return leading;
}

template <typename S>
S Padding(const KernelContext& context, Version version, int input) {
  if (version == Version::kMain) return S();
  return *Storage<S>(context.input(input));
}

absl::StatusOr<int64_t> SizeFrom(const Tensor& tensor, const char* what) {
  if (tensor.rank() != 0)
    return absl::InvalidArgumentError(absl::StrCat(what, " must be a scalar"));
  return tensor.scalar<int32_t>();
}

// Rows and columns of the matrices whose diagonals are given: what is not said is the least that
// holds them.
absl::Status SizeMatrix(KernelContext& context, Version version, int64_t longest, Band& band) {
  int64_t rows = -1, cols = -1;
  if (version != Version::kMain) {
    ASSIGN_OR_RETURN(rows, SizeFrom(context.input(2), "num_rows"));
    ASSIGN_OR_RETURN(cols, SizeFrom(context.input(3), "num_cols"));
  }
  const int64_t least_rows = longest - std::min<int64_t>(band.upper, 0);
  const int64_t least_cols = longest + std::max<int64_t>(band.lower, 0);
  if (rows == -1 && cols == -1) {
    rows = cols = std::max(least_rows, least_cols);
  } else if (rows == -1) {
    rows = least_rows;
  } else if (cols == -1) {
    cols = least_cols;
  }
  if (rows < least_rows || cols < least_cols || (rows > least_rows && cols > least_cols)) {
    return absl::InvalidArgumentError(
        absl::StrCat("diagonals of ", longest, " elements do not fit ", rows, " by ", cols));
  }
  band.rows = rows;
  band.cols = cols;
  return band.Check();
}

template <typename S, Version kVersion>
absl::Status Diag(KernelContext& context) {
  const Tensor& packed = context.input(0);
  ASSIGN_OR_RETURN(Band band, BandOf(context, kVersion, 1));
  const int own = band.count() > 1 ? 2 : 1;
  if (packed.rank() < own || (own == 2 && packed.dim(packed.rank() - 2) != band.count())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "diagonal must end in ", band.count(), " diagonals, received ", packed.shape().ToString()));
  }
  if (kVersion != Version::kMain && context.input(4).rank() != 0)
    return absl::InvalidArgumentError("padding_value must be a scalar");
  RETURN_IF_ERROR(SizeMatrix(context, kVersion, packed.dim(packed.rank() - 1), band));
  Shape shape = Leading(packed.shape(), own);
  const int64_t matrices = shape.num_elements();
  shape.push_back(band.rows);
  shape.push_back(band.cols);
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(packed.dtype(), shape));
  S* to = MutableStorage<S>(y);
  std::fill_n(to, y.num_elements(), Padding<S>(context, kVersion, 4));
  const S* from = Storage<S>(packed);
  for (int64_t m = 0; m < matrices; ++m, from += band.count() * band.longest()) {
    band.ForEach([&](int64_t p, int64_t at) { to[at] = from[p]; });
    to += band.rows * band.cols;
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <typename S, Version kVersion>
absl::Status DiagPart(KernelContext& context) {
  const Tensor& x = context.input(0);
  ASSIGN_OR_RETURN(Band band, BandOf(context, kVersion, 1));
  RETURN_IF_ERROR(SetMatrixSize(x.shape(), band));
  if (kVersion != Version::kMain && context.input(2).rank() != 0)
    return absl::InvalidArgumentError("padding_value must be a scalar");
  const Shape outer = Leading(x.shape(), 2);
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), PackedShape(outer, band)));
  S* to = MutableStorage<S>(y);
  std::fill_n(to, y.num_elements(), Padding<S>(context, kVersion, 2));
  const S* from = Storage<S>(x);
  for (int64_t m = 0; m < outer.num_elements(); ++m, from += band.rows * band.cols) {
    band.ForEach([&](int64_t p, int64_t at) { to[p] = from[at]; });
    to += band.count() * band.longest();
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <typename S, Version kVersion>
absl::Status SetDiag(KernelContext& context) {
  const Tensor& x = context.input(0);
  const Tensor& packed = context.input(1);
  ASSIGN_OR_RETURN(Band band, BandOf(context, kVersion, 2));
  RETURN_IF_ERROR(SetMatrixSize(x.shape(), band));
  const Shape outer = Leading(x.shape(), 2);
  if (!(packed.shape() == PackedShape(outer, band))) {
    return absl::InvalidArgumentError(absl::StrCat("diagonal must have shape ",
                                                   PackedShape(outer, band).ToString(),
                                                   ", received ", packed.shape().ToString()));
  }
  ASSIGN_OR_RETURN(Tensor y, x.Clone(context.allocator()));
  S* to = MutableStorage<S>(y);
  const S* from = Storage<S>(packed);
  for (int64_t m = 0; m < outer.num_elements(); ++m, to += band.rows * band.cols) {
    band.ForEach([&](int64_t p, int64_t at) { to[at] = from[p]; });
    from += band.count() * band.longest();
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// Elements with row - col <= lower and col - row <= upper stay, others become 0; a negative bound
// keeps all on its side.
template <typename S>
absl::Status BandPart(KernelContext& context) {
  const Tensor& x = context.input(0);
  Band size;
  RETURN_IF_ERROR(SetMatrixSize(x.shape(), size));
  const Indices lower(context.input(1)), upper(context.input(2));
  if (context.input(1).rank() != 0 || context.input(2).rank() != 0)
    return absl::InvalidArgumentError("num_lower and num_upper must be scalars");
  const int64_t below = lower[0] < 0 ? size.rows : lower[0];
  const int64_t above = upper[0] < 0 ? size.cols : upper[0];
  if (below > size.rows || above > size.cols) {
    return absl::InvalidArgumentError(absl::StrCat("num_lower ", below, " or num_upper ", above,
                                                   " is larger than a matrix of ", size.rows,
                                                   " by ", size.cols));
  }
  ASSIGN_OR_RETURN(Tensor y, context.ForwardOrAllocate(0, x.shape()));
  const int64_t rows = size.cols == 0 ? 0 : x.num_elements() / size.cols;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t row = r % size.rows;
    for (int64_t col = 0; col < size.cols; ++col) {
      const bool kept = row - col <= below && col - row <= above;
      MutableStorage<S>(y)[r * size.cols + col] = kept ? Storage<S>(x)[r * size.cols + col] : S();
    }
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// What the band is, as far as the graph tells: nothing when k is fed.
std::optional<std::pair<int64_t, int64_t>> KnownBand(InferenceContext& c, Version version,
                                                     int k_input) {
  if (version == Version::kMain) return std::pair<int64_t, int64_t>(0, 0);
  const auto k = c.constant_ints(k_input);
  if (!k || k->empty() || k->size() > 2 || k->front() > k->back()) return std::nullopt;
  return std::pair(k->front(), k->back());
}

template <Version kVersion>
absl::Status DiagShape(InferenceContext& c) {
  const auto band = KnownBand(c, kVersion, 1);
  if (!c.input(0).has_rank() || !band) return absl::OkStatus();
  const int own = band->second > band->first ? 2 : 1;
  RETURN_IF_ERROR(c.WithRankAtLeast(0, own));
  Shape shape = Leading(c.input(0), own);
  const int64_t size = kVersion == Version::kMain ? c.dim(0, -1) : -1;
  shape.push_back(size);
  shape.push_back(size);
  c.set_output(0, shape);
  return absl::OkStatus();
}

template <Version kVersion>
absl::Status DiagPartShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRankAtLeast(0, 2));
  const auto k = KnownBand(c, kVersion, 1);
  if (!c.input(0).has_rank() || !k) return absl::OkStatus();
  Band band = {.rows = c.dim(0, -2), .cols = c.dim(0, -1), .lower = k->first, .upper = k->second};
  const bool known = band.rows >= 0 && band.cols >= 0;
  if (known) RETURN_IF_ERROR(band.Check());
  Shape shape = PackedShape(Leading(c.input(0), 2), band);
  if (!known) shape.set_dim(shape.rank() - 1, -1);
  c.set_output(0, shape);
  return absl::OkStatus();
}

absl::Status LikeInputMatrix(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRankAtLeast(0, 2));
  c.set_output(0, c.input(0));
  return absl::OkStatus();
}

template <Version kVersion>
const char* Suffix() {
  return kVersion == Version::kMain ? "" : kVersion == Version::kBand ? "V2" : "V3";
}

template <Version kVersion>
AttrMap AlignOf(const GradientContext& g) {
  if (kVersion != Version::kAligned) return {};
  return {{"align", *g.node().FindAttr("align")}};
}
// An op of this family and version; `band` are the inputs that only the later versions take.
template <Version kVersion>
Output Kin(const GradientContext& g, const char* name, std::vector<Output> inputs,
           const std::vector<Output>& band) {
  if (kVersion != Version::kMain) inputs.insert(inputs.end(), band.begin(), band.end());
  return g.Op(absl::StrCat(name, Suffix<kVersion>()).c_str(), inputs, AlignOf<kVersion>(g));
}
template <Version kVersion>
Output BandInput(const GradientContext& g, int i) {
  return kVersion == Version::kMain ? Output() : g.x(i);
}

template <Version kVersion>
std::vector<Output> DiagGradient(const GradientContext& g) {
  return {Kin<kVersion>(g, "MatrixDiagPart", {g.dy()},
                        {BandInput<kVersion>(g, 1), g.Scalar(g.x(0), 0)})};
}
template <Version kVersion>
std::vector<Output> DiagPartGradient(const GradientContext& g) {
  return {Kin<kVersion>(g, "MatrixSetDiag", {g.Op("ZerosLike", {g.x(0)}), g.dy()},
                        {BandInput<kVersion>(g, 1)})};
}
template <Version kVersion>
std::vector<Output> SetDiagGradient(const GradientContext& g) {
  const Output k = BandInput<kVersion>(g, 2);
  return {
      Kin<kVersion>(g, "MatrixSetDiag", {g.dy(), g.Op("ZerosLike", {g.x(1)})}, {k}),
      Kin<kVersion>(g, "MatrixDiagPart", {g.dy()}, {k, g.Scalar(g.x(0), 0)}),
  };
}

template <Version kVersion>
OpSchema& Declare(OpRegistry& registry, const char* name, const char* doc) {
  OpSchema& op = registry.Add(absl::StrCat(name, Suffix<kVersion>())).Doc(doc);
  op.TypeAttr("T");
  if (kVersion == Version::kAligned) {
    op.StringAttr("align", {"LEFT_RIGHT", "RIGHT_LEFT", "LEFT_LEFT", "RIGHT_RIGHT"}, "RIGHT_LEFT");
  }
  return op;
}

template <Version kVersion>
std::vector<Tensor> With(std::vector<Tensor> inputs, const std::vector<Tensor>& band) {
  if (kVersion != Version::kMain) inputs.insert(inputs.end(), band.begin(), band.end());
  return inputs;
}

template <Version kVersion>
void AddVersion(OpRegistry& registry) {
  const std::vector<Tensor> size = {I({}, {0}), I({}, {-1}), I({}, {-1}), F({}, {9})};
  const bool main = kVersion == Version::kMain;
  // The padding has no gradient, as in TensorFlow.
  const std::vector<int> padding = main ? std::vector<int>() : std::vector<int>{4};
  const float pad = main ? 0 : 9;
  OpSchema& diag = Declare<kVersion>(registry, "MatrixDiag", "Matrices with the given diagonals.")
                       .In("diagonal", "T")
                       .Out("output", "T")
                       .Shape(DiagShape<kVersion>)
                       .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
                         return DispatchStorage(RemoveRef(node.input(0).dtype()), []<typename S>() {
                           return KernelFunction(Diag<S, kVersion>);
                         });
                       })
                       .Gradient(DiagGradient<kVersion>)
                       .Example({.name = "vector",
                                 .inputs = With<kVersion>({F({2}, {1, 2})}, size),
                                 .expected = {F({2, 2}, {1, pad, pad, 2})},
                                 .constant_inputs = padding})
                       .Example({.name = "batch",
                                 .inputs = With<kVersion>({F({2, 1}, {1, 2})}, size),
                                 .expected = {F({2, 1, 1}, {1, 2})}})
                       .Example({.name = "empty",
                                 .inputs = With<kVersion>({F({2, 0}, {})}, size),
                                 .expected = {F({2, 0, 0}, {})}});
  OpSchema& part =
      Declare<kVersion>(registry, "MatrixDiagPart", "Diagonals of matrices.")
          .In("input", "T")
          .Out("diagonal", "T")
          .Shape(DiagPartShape<kVersion>)
          .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
            return DispatchStorage(RemoveRef(node.input(0).dtype()), []<typename S>() {
              return KernelFunction(DiagPart<S, kVersion>);
            });
          })
          .Gradient(DiagPartGradient<kVersion>)
          .Example(
              {.name = "wide",
               .inputs = With<kVersion>({F({2, 3}, {1, 2, 3, 4, 5, 6})}, {I({}, {0}), F({}, {9})}),
               .expected = {F({2}, {1, 5})}})
          .Example({.name = "batch",
                    .inputs = With<kVersion>({F({2, 1, 1}, {1, 2})}, {I({}, {0}), F({}, {9})}),
                    .expected = {F({2, 1}, {1, 2})}})
          .Example({.name = "empty",
                    .inputs = With<kVersion>({F({0, 2}, {})}, {I({}, {0}), F({}, {9})}),
                    .expected = {F({0}, {})}});
  OpSchema& set =
      Declare<kVersion>(registry, "MatrixSetDiag", "Matrices with their diagonals replaced.")
          .In("input", "T")
          .In("diagonal", "T")
          .Out("output", "T")
          .Shape(LikeInputMatrix)
          .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
            return DispatchStorage(RemoveRef(node.input(0).dtype()), []<typename S>() {
              return KernelFunction(SetDiag<S, kVersion>);
            });
          })
          .Gradient(SetDiagGradient<kVersion>)
          .Example({.name = "wide",
                    .inputs = With<kVersion>({F({2, 3}, {1, 2, 3, 4, 5, 6}), F({2}, {7, 8})},
                                             {I({}, {0})}),
                    .expected = {F({2, 3}, {7, 2, 3, 4, 8, 6})}})
          .Example(
              {.name = "batch",
               .inputs = With<kVersion>({F({2, 1, 1}, {1, 2}), F({2, 1}, {3, 4})}, {I({}, {0})}),
               .expected = {F({2, 1, 1}, {3, 4})}})
          .Example({.name = "empty",
                    .inputs = With<kVersion>({F({0, 2}, {}), F({0}, {})}, {I({}, {0})}),
                    .expected = {F({0, 2}, {})}});
  if (main) return;
  diag.In("k", kInt32).In("num_rows", kInt32).In("num_cols", kInt32).In("padding_value", "T");
  part.In("k", kInt32).In("padding_value", "T");
  set.In("k", kInt32);
  // Diagonals 1 and 0 of a 2 x 2 matrix: the shorter one is packed to the right in the third
  // version, to the left in the second.
  const bool right = kVersion == Version::kAligned;
  const Tensor packed = right ? F({2, 2}, {0, 2, 1, 4}) : F({2, 2}, {2, 0, 1, 4});
  const Tensor k = I({2}, {0, 1});
  diag.Example({.name = "band",
                .inputs = {packed, k, I({}, {-1}), I({}, {-1}), F({}, {9})},
                .expected = {F({2, 2}, {1, 2, 9, 4})},
                .constant_inputs = padding});
  part.Example({.name = "band",
                .inputs = {F({2, 2}, {1, 2, 3, 4}), k, F({}, {0})},
                .expected = {packed},
                .constant_inputs = {2}});
  set.Example({.name = "band",
               .inputs = {F({2, 2}, {9, 9, 3, 9}), packed, k},
               .expected = {F({2, 2}, {1, 2, 3, 4})}});
}

}  // namespace

void RegisterMatrixDiag(OpRegistry& registry) {
  AddVersion<Version::kMain>(registry);
  AddVersion<Version::kBand>(registry);
  AddVersion<Version::kAligned>(registry);
  registry.Add("MatrixBandPart")
      .Doc("Matrices with all but a band around the diagonal set to 0.")
      .In("input", "T")
      .In("num_lower", "Tindex")
      .In("num_upper", "Tindex")
      .Out("band", "T")
      .TypeAttr("T")
      .TypeAttr("Tindex", kIndexDTypes, kInt64)
      .Shape(LikeInputMatrix)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchStorage(RemoveRef(node.input(0).dtype()),
                               []<typename S>() { return KernelFunction(BandPart<S>); });
      })
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("MatrixBandPart", {g.dy(), g.x(1), g.x(2)})};
      })
      .Example({.name = "lower triangle",
                .inputs = {F({2, 2}, {1, 2, 3, 4}), L({}, {-1}), L({}, {0})},
                .expected = {F({2, 2}, {1, 0, 3, 4})}})
      .Example({.name = "one above",
                .inputs = {F({2, 3}, {1, 2, 3, 4, 5, 6}), I({}, {0}), I({}, {1})},
                .expected = {F({2, 3}, {1, 2, 0, 0, 5, 6})}})
      .Example({.name = "empty",
                .inputs = {F({0, 2}, {}), L({}, {0}), L({}, {0})},
                .expected = {F({0, 2}, {})}});
}

}  // namespace espalier
