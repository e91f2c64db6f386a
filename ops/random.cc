// RandomUniform, RandomUniformInt, RandomStandardNormal, TruncatedNormal: TensorFlow's numbers for
// equal seeds. Tested by random_test.cc.
#include <numeric>

#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/random_numbers.h"

namespace espalier {
namespace {

// fill(context, shape, start), with the shape that input 0 holds and a stretch for so many numbers.
template <typename Fill>
absl::Status FillFrom(KernelContext& context, NodeGenerator& generator, const Fill& fill) {
  ASSIGN_OR_RETURN(Shape shape, ShapeFromTensor(context.input(0), "shape"));
  ASSIGN_OR_RETURN(const int64_t size, shape.CheckedNumElements());
  return fill(context, shape, generator.Reserve(size));
}

template <typename Distribution>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  const std::shared_ptr<NodeGenerator> generator = GeneratorOf(node);
  return DispatchType(RealTypes(), node.attr<DType>("dtype"), [&]<typename T>() -> KernelFunction {
    return [generator](KernelContext& context) {
      return FillFrom(context, *generator, FillRandom<Distribution, T>);
    };
  });
}

absl::StatusOr<KernelFunction> MakeInt(const Node& node) {
  const std::shared_ptr<NodeGenerator> generator = GeneratorOf(node);
  return DispatchType(
      TypeList<int32_t, int64_t>(), node.attr<DType>("Tout"), [&]<typename T>() -> KernelFunction {
        return [generator](KernelContext& context) {
          const auto fill = [](KernelContext& c, const Shape& shape, const Philox& start) {
            return FillRandomInt<T>(c, shape, start, /*bounds=*/1);
          };
          return FillFrom(context, *generator, fill);
        };
      });
}

// Fisher and Yates from the front, a number for each place but the last, as TensorFlow draws them.
template <typename S>
absl::Status Shuffle(KernelContext& context, NodeGenerator& generator) {
  const Tensor& x = context.input(0);
  const int64_t rows = x.rank() == 0 ? 0 : x.dim(0);
  if (rows < 2) {
    context.ForwardValue(0, 0);
    return absl::OkStatus();
  }
  Philox g = generator.ReserveGroups(static_cast<uint64_t>(rows - 1 + 3) / 4);
  SingleDraws draw(g);
  std::vector<int64_t> order(rows);
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = 0; i + 1 < rows; ++i)
    std::swap(order[i], order[i + draw() % static_cast<uint32_t>(rows - i)]);
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(x.dtype(), x.shape()));
  const int64_t width = x.num_elements() / rows;
  for (int64_t i = 0; i < rows; ++i)
    std::copy_n(Storage<S>(x) + order[i] * width, width, MutableStorage<S>(y) + i * width);
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// Expected values of the examples: TensorFlow 2.21, seed 1, seed2 2.
template <typename Distribution>
void Add(OpRegistry& registry, const char* name, const char* doc) {
  registry.Add(name)
      .Doc(doc)
      .In("shape", "T")
      .Out("output", "dtype")
      .Attr("seed", 0)
      .Attr("seed2", 0)
      .TypeAttr("dtype", kRealDTypes)
      .TypeAttr("T", kIndexDTypes)
      .Traits({.stateful = true})
      .Shape(RandomShape)
      .Kernel(Make<Distribution>)
      .NotDifferentiable(kDrawsNoGradient)
      .Example({.name = "matrix",
                .inputs = {I({2}, {3, 5})},
                .attrs = {{"dtype", kFloat}, {"seed", 1}, {"seed2", 2}},
                .constant_inputs = {0}})
      .Example({.name = "double",
                .inputs = {L({1}, {5000})},
                .attrs = {{"dtype", kDouble}, {"seed", 1}, {"seed2", 2}},
                .constant_inputs = {0}})
      .Example({.name = "empty",
                .inputs = {I({1}, {0})},
                .attrs = {{"dtype", kFloat}, {"seed", 1}, {"seed2", 2}},
                .expected = {F({0}, {})}});
}

}  // namespace

void RegisterRandom(OpRegistry& registry) {
  Add<Uniform>(registry, "RandomUniform", "Uniform in [0, 1).");
  Add<Normal>(registry, "RandomStandardNormal", "Normal with mean 0 and deviation 1.");
  Add<Truncated>(registry, "TruncatedNormal",
                 "Normal with mean 0 and deviation 1, values beyond 2 drawn again.");
  registry.Add("RandomUniformInt")
      .Doc("Uniform integers in [minval, maxval).")
      .In("shape", "T")
      .In("minval", "Tout")
      .In("maxval", "Tout")
      .Out("output", "Tout")
      .Attr("seed", 0)
      .Attr("seed2", 0)
      .TypeAttr("Tout", kIndexDTypes)
      .TypeAttr("T", kIndexDTypes)
      .Traits({.stateful = true})
      .Shape(RandomShape)
      .Kernel(MakeInt)
      .NotDifferentiable(kDrawsNoGradient)
      .Example({.name = "vector",
                .inputs = {I({1}, {5}), I({}, {-3}), I({}, {4})},
                .attrs = {{"seed", 1}, {"seed2", 2}},
                .constant_inputs = {0}})
      .Example({.name = "wide",
                .inputs = {I({1}, {5}), L({}, {0}), L({}, {1000})},
                .attrs = {{"seed", 1}, {"seed2", 2}}})
      .Example({.name = "empty",
                .inputs = {I({1}, {0}), I({}, {0}), I({}, {0})},
                .attrs = {{"seed", 1}, {"seed2", 2}},
                .expected = {I({0}, {})}});
  registry.Add("RandomShuffle")
      .Doc("The rows in random order.")
      .In("value", "T")
      .Out("output", "T")
      .Attr("seed", 0)
      .Attr("seed2", 0)
      .TypeAttr("T")
      .Traits({.stateful = true})
      .Shape(UnchangedShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        const std::shared_ptr<NodeGenerator> generator = GeneratorOf(node);
        return DispatchStorage(
            RemoveRef(node.input(0).dtype()), [&]<typename S>() -> KernelFunction {
              return
                  [generator](KernelContext& context) { return Shuffle<S>(context, *generator); };
            });
      })
      .NotDifferentiable("TensorFlow has no gradient for it")
      .Example({.name = "vector",
                .inputs = {I({5}, {0, 1, 2, 3, 4})},
                .attrs = {{"seed", 1}, {"seed2", 2}}})
      .Example({.name = "one row", .inputs = {F({1, 2}, {1, 2})}, .expected = {F({1, 2}, {1, 2})}})
      .Example({.name = "empty", .inputs = {F({0}, {})}, .expected = {F({0}, {})}});
}

}  // namespace espalier
