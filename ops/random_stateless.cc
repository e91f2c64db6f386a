// Random numbers that depend on nothing but their inputs: StatelessRandomUniform, …Normal,
// …UniformInt, …UniformFullInt, StatelessTruncatedNormal, their second versions, which take the
// generator's key and counter, and the ops that make those from a seed. Tested by the registry test
// and random_test.cc.
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/random_numbers.h"

namespace espalier {
namespace {

// Every value of the type is as likely.
struct FullInt {
  static constexpr bool kDrawsAgain = false;
  template <typename T>
  static void Group(Philox& g, T* out) {
    const auto x = g();
    if constexpr (sizeof(T) == 8) {
      for (int i = 0; i < 2; ++i)
        out[i] = static_cast<T>(x[2 * i] | (uint64_t{x[2 * i + 1]} << 32));
    } else {
      for (int i = 0; i < 4; ++i) out[i] = static_cast<T>(x[i]);
    }
  }
};

using FullIntTypes = TypeList<int32_t, int64_t, uint32_t, uint64_t>;
const std::vector<DType> kFullIntDTypes = {kInt32, kInt64, kUInt32, kUInt64};

// Inputs: the shape, then a seed, or key, counter and algorithm; bounds may follow.
constexpr int AfterStart(bool keyed) { return keyed ? 4 : 2; }

template <bool kKeyed, typename Fill>
KernelFunction FillStateless(const Fill& fill) {
  return [fill](KernelContext& context) -> absl::Status {
    ASSIGN_OR_RETURN(Shape shape, ShapeFromTensor(context.input(0), "shape"));
    const absl::StatusOr<Philox> start =
        kKeyed ? StartFromKey(context.input(1), context.input(2), context.input(3))
               : StartFromSeed(context.input(1));
    if (!start.ok()) return start.status();
    return fill(context, shape, *start);
  };
}

template <typename Distribution, bool kKeyed, typename Types>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  return DispatchType(Types(), node.attr<DType>("dtype"), []<typename T>() -> KernelFunction {
    return FillStateless<kKeyed>(FillRandom<Distribution, T>);
  });
}

template <bool kKeyed>
absl::StatusOr<KernelFunction> MakeInt(const Node& node) {
  return DispatchType(
      TypeList<int32_t, int64_t>(), node.attr<DType>("dtype"), []<typename T>() -> KernelFunction {
        return FillStateless<kKeyed>([](KernelContext& c, const Shape& shape, const Philox& start) {
          return FillRandomInt<T>(c, shape, start, AfterStart(kKeyed));
        });
      });
}

template <bool kKeyed>
OpSchema& Declare(OpRegistry& registry, const char* name, const char* doc,
                  const std::vector<DType>& dtypes, DType default_dtype) {
  OpSchema& op = registry.Add(name).Doc(doc);
  if (kKeyed) {
    op.In("shape", "Tshape").In("key", kUInt64).In("counter", kUInt64).In("alg", kInt32);
    op.TypeAttr("Tshape", kIndexDTypes, kInt32);
  } else {
    op.In("shape", "T").In("seed", "Tseed");
    op.TypeAttr("T", kIndexDTypes, kInt32).TypeAttr("Tseed", kIndexDTypes, kInt64);
  }
  if (default_dtype == kInvalidDType) {
    op.In("minval", "dtype").In("maxval", "dtype").TypeAttr("dtype", dtypes);
  } else {
    op.TypeAttr("dtype", dtypes, default_dtype);
  }
  return op.Out("output", "dtype").Shape(RandomShape).NotDifferentiable(kDrawsNoGradient);
}

// Shape, seed (or key, counter, algorithm) and what follows.
template <bool kKeyed>
std::vector<Tensor> Inputs(Tensor shape, const std::vector<Tensor>& more = {}) {
  std::vector<Tensor> inputs = {std::move(shape)};
  if (kKeyed) {
    inputs.push_back(Tensor::Of<uint64_t>({1}, {1234567890123456789U}));
    inputs.push_back(Tensor::Of<uint64_t>({2}, {0, 987654321}));
    inputs.push_back(I({}, {1}));
  } else {
    inputs.push_back(I({2}, {5, -7}));
  }
  inputs.insert(inputs.end(), more.begin(), more.end());
  return inputs;
}

template <typename Distribution, bool kKeyed>
void AddReal(OpRegistry& registry, const char* name, const char* doc) {
  Declare<kKeyed>(registry, name, doc, kRealDTypes, kFloat)
      .Kernel(Make<Distribution, kKeyed, RealTypes>)
      .Example({.name = "matrix", .inputs = Inputs<kKeyed>(I({2}, {3, 5})), .constant_inputs = {0}})
      .Example({.name = "double",
                .inputs = Inputs<kKeyed>(L({1}, {5000})),
                .attrs = {{"dtype", kDouble}},
                .constant_inputs = {0}})
      .Example({.name = "empty", .inputs = Inputs<kKeyed>(I({1}, {0})), .expected = {F({0}, {})}});
}

template <bool kKeyed>
void AddInts(OpRegistry& registry, const char* name, const char* full_name) {
  Declare<kKeyed>(registry, name, "Integers in [minval, maxval), by the seed alone.", kIndexDTypes,
                  kInvalidDType)
      .Kernel(MakeInt<kKeyed>)
      .Example({.name = "vector", .inputs = Inputs<kKeyed>(I({1}, {5}), {I({}, {-3}), I({}, {4})})})
      .Example({.name = "wide", .inputs = Inputs<kKeyed>(I({1}, {5}), {L({}, {0}), L({}, {9})})})
      .Example({.name = "empty",
                .inputs = Inputs<kKeyed>(I({1}, {0}), {I({}, {0}), I({}, {0})}),
                .expected = {I({0}, {})}});
  Declare<kKeyed>(registry, full_name, "Integers of their type's whole range, by the seed alone.",
                  kFullIntDTypes, kUInt64)
      .Kernel(Make<FullInt, kKeyed, FullIntTypes>)
      .Example({.name = "vector", .inputs = Inputs<kKeyed>(I({1}, {5}))})
      .Example(
          {.name = "int32", .inputs = Inputs<kKeyed>(I({1}, {5})), .attrs = {{"dtype", kInt32}}})
      .Example({.name = "empty",
                .inputs = Inputs<kKeyed>(I({1}, {0})),
                .attrs = {{"dtype", kInt32}},
                .expected = {I({0}, {})}});
}

absl::Status KeyShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(0, 1));
  c.set_output(0, {1});
  c.set_output(1, {2});
  if (c.node().num_outputs() > 2) c.set_output(2, Shape());
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeKeyCounter(const Node&) {
  return KernelFunction([](KernelContext& context) -> absl::Status {
    ASSIGN_OR_RETURN(const Philox start, StartFromSeed(context.input(0)));
    const auto pair = [](uint32_t low, uint32_t high) { return low | (uint64_t{high} << 32); };
    const auto& [k, c] = std::pair(start.key(), start.counter());
    context.set_output(0, Tensor::Of<uint64_t>({1}, {pair(k[0], k[1])}));
    context.set_output(1, Tensor::Of<uint64_t>({2}, {pair(c[0], c[1]), pair(c[2], c[3])}));
    if (context.num_outputs() > 2) context.set_output(2, Tensor(int32_t{1}));
    return absl::OkStatus();
  });
}

OpSchema& AddKeyCounter(OpRegistry& registry, const char* name, const char* doc) {
  return registry.Add(name)
      .Doc(doc)
      .In("seed", "Tseed")
      .Out("key", kUInt64)
      .Out("counter", kUInt64)
      .TypeAttr("Tseed", kIndexDTypes, kInt64)
      .Shape(KeyShape)
      .Kernel(MakeKeyCounter)
      .NotDifferentiable("its result is integers")
      .Example({.name = "int32", .inputs = {I({2}, {1, 2})}})
      .Example({.name = "int64", .inputs = {L({2}, {1, 2})}})
      .Example({.name = "negative", .inputs = {L({2}, {-1, -2})}});
}

}  // namespace

void RegisterRandomStateless(OpRegistry& registry) {
  constexpr char kUniform[] = "Uniform in [0, 1), by the seed alone.";
  constexpr char kNormal[] = "Normal with mean 0 and deviation 1, by the seed alone.";
  constexpr char kTruncated[] =
      "Normal with mean 0 and deviation 1, values beyond 2 drawn again, by the seed alone.";
  AddReal<Uniform, false>(registry, "StatelessRandomUniform", kUniform);
  AddReal<Normal, false>(registry, "StatelessRandomNormal", kNormal);
  AddReal<Truncated, false>(registry, "StatelessTruncatedNormal", kTruncated);
  AddReal<Uniform, true>(registry, "StatelessRandomUniformV2", kUniform);
  AddReal<Normal, true>(registry, "StatelessRandomNormalV2", kNormal);
  AddReal<Truncated, true>(registry, "StatelessTruncatedNormalV2", kTruncated);
  AddInts<false>(registry, "StatelessRandomUniformInt", "StatelessRandomUniformFullInt");
  AddInts<true>(registry, "StatelessRandomUniformIntV2", "StatelessRandomUniformFullIntV2");
  AddKeyCounter(registry, "StatelessRandomGetKeyCounter",
                "The generator's key and counter for a seed.");
  AddKeyCounter(registry, "StatelessRandomGetKeyCounterAlg",
                "The generator's key, counter and algorithm for a seed.")
      .Out("alg", kInt32);
  registry.Add("StatelessRandomGetAlg")
      .Doc("The algorithm of the stateless random ops here: 1, Philox.")
      .Out("alg", kInt32)
      .Shape(ScalarShape)
      .Kernel([](const Node&) -> absl::StatusOr<KernelFunction> {
        return KernelFunction([](KernelContext& context) {
          context.set_output(0, Tensor(int32_t{1}));
          return absl::OkStatus();
        });
      })
      .NotDifferentiable("its result is an integer")
      .Example({.name = "philox", .expected = {I({}, {1})}});
}

}  // namespace espalier
