// Distributions over a Philox generator, with TensorFlow's very numbers.
//
//   return FillRandom<Normal, float>(context, shape, generator.Reserve(size));
//
// Facts taken from TensorFlow's generator: a group of outputs comes from one counter value
// (uniform, normal), or from a stretch of 256 counter values of its own (truncated normal, which
// draws again); each run of a node moves its counter on by 256 times its number of outputs. Work is
// cut by groups, so the numbers do not depend on threads.
#ifndef ESPALIER_OPS_RANDOM_NUMBERS_H_
#define ESPALIER_OPS_RANDOM_NUMBERS_H_

#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/philox.h"

namespace espalier {

inline constexpr uint64_t kReservedPerOutput = 256;

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
inline float UnitFloat(uint32_t x) {
  const uint32_t bits = (x & 0x7fffffU) | 0x3f800000U;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value - 1.0f;
}

inline double UnitDouble(uint32_t low, uint32_t high) {
  const uint64_t bits = (uint64_t{low & 0xfffffU} << 32) | high | (uint64_t{1023} << 52);
  double value;
  std::memcpy(&value, &bits, sizeof(value));
  return value - 1.0;
}

// Ten random bits of mantissa.
inline Eigen::half UnitHalf(uint32_t x) {
  const auto bits = static_cast<uint16_t>((x & 0x3ffU) | (15U << 10));
  return Eigen::half(static_cast<float>(Eigen::numext::bit_cast<Eigen::half>(bits)) - 1.0f);
}

// Box and Muller (1958): two normals from two uniforms.
inline std::array<float, 2> NormalPair(uint32_t a, uint32_t b) {
  const float u = std::max(UnitFloat(a), 1.0e-7f);
  const float angle = static_cast<float>(2.0 * M_PI * UnitFloat(b));
  const float radius = std::sqrt(-2.0f * std::log(u));
  return {std::sin(angle) * radius, std::cos(angle) * radius};
}

inline std::array<double, 2> NormalPair(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
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

inline constexpr double kTruncateAt = 2.0;
// The stretch of a group ends; at 2 % misses a pair it never comes near (a bound all the same).
inline constexpr int kMaxDraws = 500;

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

// Output 0 becomes a tensor of `shape` full of numbers that come from `start` on.
template <typename Distribution, typename T>
absl::Status FillRandom(KernelContext& context, const Shape& shape, const Philox& start) {
  constexpr int64_t kGroup = sizeof(T) == 8 ? 2 : 4;
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, shape));
  const int64_t size = y.num_elements();
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

inline std::shared_ptr<NodeGenerator> GeneratorOf(const Node& node) {
  return std::make_shared<NodeGenerator>(static_cast<uint64_t>(node.attr<int64_t>("seed")),
                                         static_cast<uint64_t>(node.attr<int64_t>("seed2")));
}

// minimum + x mod (maximum - minimum), on 32 or 64 random bits. The bounds are inputs `bounds`
// and `bounds` + 1.
template <typename T>
absl::Status FillRandomInt(KernelContext& context, const Shape& shape, Philox g, int bounds) {
  using U = std::make_unsigned_t<T>;
  constexpr int64_t kGroup = sizeof(T) == 8 ? 2 : 4;
  if (context.input(bounds).rank() != 0 || context.input(bounds + 1).rank() != 0) {
    return absl::InvalidArgumentError("minval and maxval must be scalars");
  }
  const T low = context.input(bounds).scalar<T>();
  const T high = context.input(bounds + 1).scalar<T>();
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(DTypeOf<T>, shape));
  if (y.num_elements() > 0 && low >= high) {
    return absl::InvalidArgumentError(
        absl::StrCat("Need minval < maxval, got ", low, " >= ", high));
  }
  const U range = static_cast<U>(high) - static_cast<U>(low);
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

// Where the numbers of a stateless op begin: the two integers of its seed, mixed by the generator
// itself, so that neighbouring seeds give unlike numbers.
inline absl::StatusOr<Philox> StartFromSeed(const Tensor& seed) {
  ASSIGN_OR_RETURN(std::vector<int64_t> values, IntegerVector(seed, "seed"));
  if (seed.rank() != 1 || values.size() != 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("seed must have shape [2], received ", seed.shape().ToString()));
  }
  const auto low = [](int64_t v) { return static_cast<uint32_t>(v); };
  const auto high = [](int64_t v) { return static_cast<uint32_t>(static_cast<uint64_t>(v) >> 32); };
  Philox mixer({0x3ec8f720, 0x02461e29},
               {low(values[0]), high(values[0]), low(values[1]), high(values[1])});
  const auto mixed = mixer();
  return Philox({mixed[0], mixed[1]}, {0, 0, mixed[2], mixed[3]});
}

// The same for the ops that take the generator's key and counter themselves, and an algorithm:
// Philox (1), or a choice that is ours (3).
inline absl::StatusOr<Philox> StartFromKey(const Tensor& key, const Tensor& counter,
                                           const Tensor& algorithm) {
  if (!(key.shape() == Shape{1}) || counter.rank() != 1 || counter.dim(0) < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("key must have shape [1] and counter at least two entries, received ",
                     key.shape().ToString(), " and ", counter.shape().ToString()));
  }
  if (algorithm.rank() != 0) return absl::InvalidArgumentError("alg must be a scalar");
  if (const int32_t id = algorithm.scalar<int32_t>(); id != 1 && id != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("Unsupported algorithm id: ", id, "; 1 is Philox, 3 a choice"));
  }
  const auto low = [](uint64_t v) { return static_cast<uint32_t>(v); };
  const auto high = [](uint64_t v) { return static_cast<uint32_t>(v >> 32); };
  const uint64_t* at = counter.data<uint64_t>();
  const uint64_t k = key.scalar<uint64_t>();
  return Philox({low(k), high(k)}, {low(at[0]), high(at[0]), low(at[1]), high(at[1])});
}

// The shape of a random op's output: input 0 holds it.
inline absl::Status RandomShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(Shape shape, c.ShapeFromInput(0));
  c.set_output(0, shape);
  return absl::OkStatus();
}

inline constexpr char kDrawsNoGradient[] = "it draws random numbers";

}  // namespace espalier

#endif  // ESPALIER_OPS_RANDOM_NUMBERS_H_
