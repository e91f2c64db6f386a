// RandomUniform, RandomUniformInt, RandomStandardNormal, TruncatedNormal: TensorFlow's numbers for
// equal seeds. Tested by random_test.cc.
//
// Facts taken from TensorFlow's generator: a group of outputs comes from one counter value
// (uniform, normal), or from a stretch of 256 counter values of its own (truncated normal, which
// draws again); each run of a node moves its counter on by 256 times its number of outputs. Work is
// cut by groups, so the numbers do not depend on threads.
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/array_copy.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/philox.h"

namespace espalier {
namespace {

constexpr uint64_t kReservedPerOutput = 256;
constexpr char kNoGradient[] = "it draws random numbers";

// The generator of one node: each run takes a stretch of its own.
class NodeGenerator {
 public:
  NodeGenerator(uint64_t seed, uint64_t seed2) : generator_(Seeded(seed, seed2)) {}

  Philox Reserve(uint64_t outputs) { return ReserveGroups(outputs * kReservedPerOutput); }
  // So many groups of four 32-bit numbers.
  Philox ReserveGroups(uint64_t groups) {
    absl::MutexLock lock(&mutex_);
    const Philox mine = generator_;
    generator_.Skip(groups);
    return mine;
  }

 private:
  static Philox Seeded(uint64_t seed, uint64_t seed2) {
    if (seed != 0 || seed2 != 0) return Philox(seed, seed2);
    std::random_device device;
    const auto draw = [&] { return (uint64_t{device()} << 32) | device(); };
    const uint64_t first = draw();
    return Philox(first, draw());
  }

  absl::Mutex mutex_;
  Philox generator_ ABSL_GUARDED_BY(mutex_);
};

// [0, 1) with 23 random bits: a mantissa, minus one.
float UnitFloat(uint32_t x) {
  const uint32_t bits = (x & 0x7fffffU) | 0x3f800000U;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value - 1.0f;
}

double UnitDouble(uint32_t low, uint32_t high) {
  const uint64_t bits = (uint64_t{low & 0xfffffU} << 32) | high | (uint64_t{1023} << 52);
  double value;
  std::memcpy(&value, &bits, sizeof(value));
  return value - 1.0;
}

// Ten random bits of mantissa.
Eigen::half UnitHalf(uint32_t x) {
  const auto bits = static_cast<uint16_t>((x & 0x3ffU) | (15U << 10));
  return Eigen::half(static_cast<float>(Eigen::numext::bit_cast<Eigen::half>(bits)) - 1.0f);
}

// Box and Muller (1958): two normals from two uniforms.
std::array<float, 2> NormalPair(uint32_t a, uint32_t b) {
  const float u = std::max(UnitFloat(a), 1.0e-7f);
  const float angle = static_cast<float>(2.0 * M_PI * UnitFloat(b));
  const float radius = std::sqrt(-2.0f * std::log(u));
  return {std::sin(angle) * radius, std::cos(angle) * radius};
}

std::array<double, 2> NormalPair(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  const double u = std::max(UnitDouble(a, b), 1.0e-7);
  const double angle = 2.0 * M_PI * UnitDouble(c, d);
  const double radius = std::sqrt(-2.0 * std::log(u));
  return {std::sin(angle) * radius, std::cos(angle) * radius};
}

struct Uniform {
  static constexpr bool kDrawsAgain = false;
  static void Group(Philox& g, float* out) {
    const auto x = g();
    for (int i = 0; i < 4; ++i) out[i] = UnitFloat(x[i]);
  }
  static void Group(Philox& g, Eigen::half* out) {
    const auto x = g();
    for (int i = 0; i < 4; ++i) out[i] = UnitHalf(x[i]);
  }
  static void Group(Philox& g, double* out) {
    const auto x = g();
    for (int i = 0; i < 2; ++i) out[i] = UnitDouble(x[2 * i], x[2 * i + 1]);
  }
};

struct Normal {
  static constexpr bool kDrawsAgain = false;
  static void Group(Philox& g, float* out) {
    const auto x = g();
    for (int i = 0; i < 4; i += 2) {
      const auto pair = NormalPair(x[i], x[i + 1]);
      out[i] = pair[0];
      out[i + 1] = pair[1];
    }
  }
  static void Group(Philox& g, Eigen::half* out) {
    float wide[4];
    Group(g, wide);
    for (int i = 0; i < 4; ++i) out[i] = Eigen::half(wide[i]);
  }
  static void Group(Philox& g, double* out) {
    const auto x = g();
    const auto pair = NormalPair(x[0], x[1], x[2], x[3]);
    out[0] = pair[0];
    out[1] = pair[1];
  }
};

// Numbers one at a time out of groups of four.
class SingleDraws {
 public:
  explicit SingleDraws(Philox& generator) : generator_(generator) {}
  uint32_t operator()() {
    if (used_ == 4) {
      group_ = generator_();
      used_ = 0;
    }
    return group_[used_++];
  }

 private:
  Philox& generator_;
  std::array<uint32_t, 4> group_{};
  int used_ = 4;
};

constexpr double kTruncateAt = 2.0;
// The stretch of a group ends; at 2 % misses a pair it never comes near (a bound all the same).
constexpr int kMaxDraws = 500;

struct Truncated {
  static constexpr bool kDrawsAgain = true;
  static void Group(Philox& g, float* out) {
    SingleDraws draw(g);
    int filled = 0;
    for (int tries = 0; filled < 4 && tries < kMaxDraws; ++tries) {
      const uint32_t a = draw();
      const auto pair = NormalPair(a, draw());
      for (const float value : pair) {
        if (filled < 4 && std::abs(value) < kTruncateAt) out[filled++] = value;
      }
    }
  }
  static void Group(Philox& g, Eigen::half* out) {
    float wide[4] = {};
    Group(g, wide);
    for (int i = 0; i < 4; ++i) out[i] = Eigen::half(wide[i]);
  }
  static void Group(Philox& g, double* out) {
    SingleDraws draw(g);
    int filled = 0;
    for (int tries = 0; filled < 2 && tries < kMaxDraws; ++tries) {
      const uint32_t a = draw();
      const uint32_t b = draw();
      const uint32_t c = draw();
      const auto pair = NormalPair(a, b, c, draw());
      for (const double value : pair) {
        if (filled < 2 && std::abs(value) < kTruncateAt) out[filled++] = value;
      }
    }
  }
};

template <typename Distribution, typename T>
absl::Status FillRandom(KernelContext& context, NodeGenerator& generator) {
  constexpr int64_t kGroup = std::is_same_v<T, double> ? 2 : 4;
  ASSIGN_OR_RETURN(Shape shape, ShapeFromTensor(context.input(0), "shape"));
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, shape));
  const int64_t size = y.num_elements();
  const Philox start = generator.Reserve(size);
  T* out = y.mutable_data<T>();
  context.ParallelFor((size + kGroup - 1) / kGroup, 1024, [&](int64_t begin, int64_t end) {
    Philox g = start;
    if (!Distribution::kDrawsAgain) g.Skip(begin);
    for (int64_t group = begin; group < end; ++group) {
      T values[kGroup] = {};
      if (Distribution::kDrawsAgain) {
        g = start;
        g.Skip(group * (kGroup * kReservedPerOutput / 4));
      }
      Distribution::Group(g, values);
      for (int64_t i = 0; i < kGroup && group * kGroup + i < size; ++i)
        out[group * kGroup + i] = values[i];
    }
  });
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

std::shared_ptr<NodeGenerator> GeneratorOf(const Node& node) {
  return std::make_shared<NodeGenerator>(static_cast<uint64_t>(node.attr<int64_t>("seed")),
                                         static_cast<uint64_t>(node.attr<int64_t>("seed2")));
}

template <typename Distribution>
absl::StatusOr<KernelFunction> Make(const Node& node) {
  const std::shared_ptr<NodeGenerator> generator = GeneratorOf(node);
  return DispatchType(RealTypes(), node.attr<DType>("dtype"), [&]<typename T>() -> KernelFunction {
    return [generator](KernelContext& context) {
      return FillRandom<Distribution, T>(context, *generator);
    };
  });
}

// minimum + x mod (maximum - minimum), on 32 or 64 random bits.
template <typename T>
absl::Status FillRandomInt(KernelContext& context, NodeGenerator& generator) {
  using U = std::make_unsigned_t<T>;
  constexpr int64_t kGroup = sizeof(T) == 8 ? 2 : 4;
  ASSIGN_OR_RETURN(Shape shape, ShapeFromTensor(context.input(0), "shape"));
  if (context.input(1).rank() != 0 || context.input(2).rank() != 0) {
    return absl::InvalidArgumentError("minval and maxval must be scalars");
  }
  const T low = context.input(1).scalar<T>();
  const T high = context.input(2).scalar<T>();
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, shape));
  if (y.num_elements() > 0 && low >= high) {
    return absl::InvalidArgumentError(
        absl::StrCat("Need minval < maxval, got ", low, " >= ", high));
  }
  const U range = static_cast<U>(high) - static_cast<U>(low);
  Philox g = generator.Reserve(y.num_elements());
  for (int64_t i = 0; i < y.num_elements(); i += kGroup) {
    const auto x = g();
    for (int64_t k = 0; k < kGroup && i + k < y.num_elements(); ++k) {
      const U bits = sizeof(T) == 8
                         ? static_cast<U>(x[2 * k] | (uint64_t{x[(2 * k + 1) % 4]} << 32))
                         : static_cast<U>(x[k]);
      y.mutable_data<T>()[i + k] = static_cast<T>(static_cast<U>(low) + bits % range);
    }
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeInt(const Node& node) {
  const std::shared_ptr<NodeGenerator> generator = GeneratorOf(node);
  return DispatchType(
      TypeList<int32_t, int64_t>(), node.attr<DType>("Tout"), [&]<typename T>() -> KernelFunction {
        return
            [generator](KernelContext& context) { return FillRandomInt<T>(context, *generator); };
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

absl::Status RandomShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(Shape shape, c.ShapeFromInput(0));
  c.set_output(0, shape);
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
      .NotDifferentiable(kNoGradient)
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
      .NotDifferentiable(kNoGradient)
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
