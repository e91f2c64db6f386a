// Reverse, ReverseV2 and Roll. Tested by the registry test.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

// Which axes are reversed: by their numbers, or (in the first version) a bool for each.
absl::StatusOr<std::vector<bool>> ReversedAxes(const Tensor& axes, int rank) {
  std::vector<bool> reversed(rank, false);
  if (axes.dtype() == kBool) {
    if (!(axes.shape() == Shape{rank})) {
      return absl::InvalidArgumentError(
          absl::StrCat("dims must have shape [", rank, "], received ", axes.shape().ToString()));
    }
    reversed.assign(axes.data<bool>(), axes.data<bool>() + rank);
    return reversed;
  }
  ASSIGN_OR_RETURN(std::vector<int64_t> numbers, IntegerVector(axes, "the axes"));
  for (const int64_t axis : numbers) {
    ASSIGN_OR_RETURN(int64_t normal, NormalizeAxis(axis, rank));
    if (reversed[normal])
      return absl::InvalidArgumentError(absl::StrCat("axis ", axis, " is given twice"));
    reversed[normal] = true;
  }
  return reversed;
}

template <typename S>
struct Reverse {
  explicit Reverse(const Node&) {}
  absl::Status operator()(KernelContext& context) const {
    const Tensor& x = context.input(0);
    ASSIGN_OR_RETURN(const std::vector<bool> reversed, ReversedAxes(context.input(1), x.rank()));
    // Walked backwards along the reversed axes.
    std::vector<int64_t> strides = StridesOf(x.shape());
    int64_t start = 0;
    for (int d = 0; d < x.rank(); ++d) {
      if (!reversed[d]) continue;
      start += strides[d] * (x.dim(d) - 1);
      strides[d] = -strides[d];
    }
    ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), x.shape()));
    ForEachStrided(context, x.shape(), strides, [&](int64_t to, int64_t from) {
      MutableStorage<S>(y)[to] = Storage<S>(x)[start + from];
    });
    context.set_output(0, std::move(y));
    return absl::OkStatus();
  }
};

template <typename S>
struct Roll {
  explicit Roll(const Node&) {}
  absl::Status operator()(KernelContext& context) const {
    const Tensor& x = context.input(0);
    ASSIGN_OR_RETURN(std::vector<int64_t> by, IntegerVector(context.input(1), "shift"));
    ASSIGN_OR_RETURN(std::vector<int64_t> axes, IntegerVector(context.input(2), "the axes"));
    if (by.size() != axes.size())
      return absl::InvalidArgumentError("shift and axis must have the same length");
    if (x.rank() < 1) return absl::InvalidArgumentError("the input must be at least a vector");
    std::vector<int64_t> shift(x.rank(), 0);
    for (size_t i = 0; i < axes.size(); ++i) {
      ASSIGN_OR_RETURN(int64_t axis, NormalizeAxis(axes[i], x.rank()));
      const int64_t size = std::max<int64_t>(x.dim(static_cast<int>(axis)), 1);
      shift[axis] = ((shift[axis] + by[i] % size) % size + size) % size;
    }
    const std::vector<int64_t> strides = StridesOf(x.shape());
    ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), x.shape()));
    MoveEach<S>(context, x, y, [&](const std::vector<int64_t>& index) {
      int64_t at = 0;
      for (int d = 0; d < x.rank(); ++d) {
        const int64_t from = index[d] - shift[d];
        at += strides[d] * (from < 0 ? from + x.dim(d) : from);
      }
      return at;
    });
    context.set_output(0, std::move(y));
    return absl::OkStatus();
  }
};

}  // namespace

void RegisterReverse(OpRegistry& registry) {
  const Tensor m = F({2, 3}, {1, 2, 3, 4, 5, 6});
  registry.Add("ReverseV2")
      .Doc("The tensor reversed along axes.")
      .In("tensor", "T")
      .In("axis", "Tidx")
      .Out("output", "T")
      .TypeAttr("Tidx", kIndexDTypes, kInt32)
      .TypeAttr("T")
      .Shape(UnchangedShape)
      .Kernel(MakeMover<Reverse>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("ReverseV2", {g.dy(), g.x(1)})};
      })
      .Example({.name = "columns",
                .inputs = {m, I({1}, {1})},
                .expected = {F({2, 3}, {3, 2, 1, 6, 5, 4})}})
      .Example({.name = "both",
                .inputs = {m, L({2}, {0, -1})},
                .expected = {F({2, 3}, {6, 5, 4, 3, 2, 1})}})
      .Example({.name = "empty", .inputs = {F({0}, {}), I({1}, {0})}, .expected = {F({0}, {})}});
  registry.Add("Reverse")
      .Doc("The tensor reversed along the axes whose dims are true: the older form of ReverseV2.")
      .In("tensor", "T")
      .In("dims", kBool)
      .Out("output", "T")
      .TypeAttr("T")
      .Shape(UnchangedShape)
      .Kernel(MakeMover<Reverse>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("Reverse", {g.dy(), g.x(1)})};
      })
      .Example({.name = "columns",
                .inputs = {m, B({2}, {false, true})},
                .expected = {F({2, 3}, {3, 2, 1, 6, 5, 4})}})
      .Example({.name = "none", .inputs = {m, B({2}, {false, false})}, .expected = {m}})
      .Example({.name = "empty", .inputs = {F({0}, {}), B({1}, {true})}, .expected = {F({0}, {})}});
  registry.Add("Roll")
      .Doc(
          "The tensor with elements shifted along axes; what leaves at one end enters at the "
          "other.")
      .In("input", "T")
      .In("shift", "Tshift")
      .In("axis", "Taxis")
      .Out("output", "T")
      .TypeAttr("T")
      .TypeAttr("Tshift", kIndexDTypes)
      .TypeAttr("Taxis", kIndexDTypes)
      .Shape(UnchangedShape)
      .Kernel(MakeMover<Roll>)
      .Gradient([](const GradientContext& g) -> std::vector<Output> {
        return {g.Op("Roll", {g.dy(), -g(g.x(1)), g.x(2)})};
      })
      .Example({.name = "columns",
                .inputs = {m, I({}, {1}), I({}, {1})},
                .expected = {F({2, 3}, {3, 1, 2, 6, 4, 5})}})
      .Example({.name = "back", .inputs = {m, I({2}, {-1, 3}), L({2}, {0, 0})}, .expected = {m}})
      .Example({.name = "empty",
                .inputs = {F({0}, {}), I({}, {1}), I({}, {0})},
                .expected = {F({0}, {})}});
}

}  // namespace espalier
