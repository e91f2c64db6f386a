// BitwiseAnd, BitwiseOr, BitwiseXor, LeftShift, RightShift, Invert. Tested by the registry test.
#include <climits>

#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

using BitTypes = TypeList<int32_t, int64_t, uint8_t, int8_t, int16_t, uint16_t, uint32_t, uint64_t>;
const std::vector<DType> kBitDTypes = {kInt32, kInt64,  kUInt8,  kInt8,
                                       kInt16, kUInt16, kUInt32, kUInt64};
constexpr char kBits[] = "it works on the bits of integers";

struct And {
  template <typename T>
  T operator()(T x, T y) const {
    return static_cast<T>(x & y);
  }
};
struct Or {
  template <typename T>
  T operator()(T x, T y) const {
    return static_cast<T>(x | y);
  }
};
struct Xor {
  template <typename T>
  T operator()(T x, T y) const {
    return static_cast<T>(x ^ y);
  }
};
struct Inverted {
  template <typename T>
  T operator()(T x) const {
    return static_cast<T>(~x);
  }
};

// A distance out of range is brought into it, as in TensorFlow: C++ leaves it undefined.
template <typename T>
int Distance(T y) {
  constexpr int kBitsOfT = static_cast<int>(sizeof(T)) * CHAR_BIT;
  if constexpr (std::is_signed_v<T>) {
    if (y < 0) return 0;
  }
  return y > static_cast<T>(kBitsOfT - 1) ? kBitsOfT - 1 : static_cast<int>(y);
}
struct Left {
  template <typename T>
  T operator()(T x, T y) const {
    return static_cast<T>(static_cast<uint64_t>(x) << Distance(y));
  }
};
struct Right {
  template <typename T>
  T operator()(T x, T y) const {
    return static_cast<T>(x >> Distance(y));
  }
};

template <typename Functor>
void Add(OpRegistry& registry, const char* name, const char* doc,
         std::initializer_list<int32_t> expected) {
  registry.Add(name)
      .Doc(doc)
      .In("x", "T")
      .In("y", "T")
      .Out("z", "T")
      .TypeAttr("T", kBitDTypes)
      .Traits({.elementwise = true})
      .Shape(BroadcastShape)
      .Kernel(BinaryKernel<Functor>(BitTypes()))
      .NotDifferentiable(kBits)
      .Example({.name = "vector",
                .inputs = {I({3}, {12, 5, -8}), I({3}, {10, 1, 2})},
                .expected = {I({3}, expected)}})
      .Example({.name = "broadcast",
                .inputs = {I({1, 1}, {12}), I({1}, {10})},
                .expected = {I({1, 1}, {*expected.begin()})}})
      .Example({.name = "empty", .inputs = {I({0}, {}), I({1}, {1})}, .expected = {I({0}, {})}});
}

}  // namespace

void RegisterBitwise(OpRegistry& registry) {
  Add<And>(registry, "BitwiseAnd", "x & y, bit by bit.", {8, 1, 0});
  Add<Or>(registry, "BitwiseOr", "x | y, bit by bit.", {14, 5, -6});
  Add<Xor>(registry, "BitwiseXor", "x ^ y, bit by bit.", {6, 4, -6});
  Add<Left>(registry, "LeftShift", "x << y; a distance out of range is brought into it.",
            {12288, 10, -32});
  Add<Right>(registry, "RightShift", "x >> y; a distance out of range is brought into it.",
             {0, 2, -2});
  registry.Add("Invert")
      .Doc("~x, bit by bit.")
      .In("x", "T")
      .Out("y", "T")
      .TypeAttr("T", kBitDTypes)
      .Traits({.elementwise = true})
      .Shape(UnchangedShape)
      .Kernel(UnaryKernel<Inverted>(BitTypes()))
      .NotDifferentiable(kBits)
      .Example({.name = "vector", .inputs = {I({2}, {0, 5})}, .expected = {I({2}, {-1, -6})}})
      .Example({.name = "scalar", .inputs = {L({}, {-1})}, .expected = {L({}, {0})}})
      .Example({.name = "empty", .inputs = {I({0}, {})}, .expected = {I({0}, {})}});
}

}  // namespace espalier
