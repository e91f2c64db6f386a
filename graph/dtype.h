// Element types.
//
//   DType t = kFloat;
//   DTypeName(t)            // "float"
//   DTypeSize(t)            // 4
//   IsRef(MakeRef(t))       // true: the edge of a variable, not of a value
//   DTypeOf<double>         // kDouble
//
// The numbers are TensorFlow's (DataType in proto/graph.proto), so a DType crosses to the wire by a
// cast.
#ifndef ESPALIER_GRAPH_DTYPE_H_
#define ESPALIER_GRAPH_DTYPE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "Eigen/Core"

namespace espalier {

enum class DType : int {
  kInvalid = 0,
  kFloat = 1,
  kDouble = 2,
  kInt32 = 3,
  kUInt8 = 4,
  kInt16 = 5,
  kInt8 = 6,
  kString = 7,
  kInt64 = 9,
  kBool = 10,
  kBFloat16 = 14,
  kUInt16 = 17,
  kHalf = 19,
  kResource = 20,
  kVariant = 21,
  kUInt32 = 22,
  kUInt64 = 23,
};

inline constexpr DType kInvalidDType = DType::kInvalid;
inline constexpr DType kFloat = DType::kFloat;
inline constexpr DType kDouble = DType::kDouble;
inline constexpr DType kInt32 = DType::kInt32;
inline constexpr DType kUInt8 = DType::kUInt8;
inline constexpr DType kInt16 = DType::kInt16;
inline constexpr DType kInt8 = DType::kInt8;
inline constexpr DType kString = DType::kString;
inline constexpr DType kInt64 = DType::kInt64;
inline constexpr DType kBool = DType::kBool;
inline constexpr DType kBFloat16 = DType::kBFloat16;
inline constexpr DType kUInt16 = DType::kUInt16;
inline constexpr DType kHalf = DType::kHalf;
inline constexpr DType kResource = DType::kResource;
inline constexpr DType kVariant = DType::kVariant;
inline constexpr DType kUInt32 = DType::kUInt32;
inline constexpr DType kUInt64 = DType::kUInt64;

// Names a session-owned object, the element type of kResource tensors.
struct ResourceHandle {
  std::string container;
  std::string name;
  friend bool operator==(const ResourceHandle&, const ResourceHandle&) = default;
};

inline bool IsRef(DType t) { return static_cast<int>(t) > 100; }
inline DType MakeRef(DType t) {
  return IsRef(t) ? t : static_cast<DType>(static_cast<int>(t) + 100);
}
// True for edges that carry a variable rather than a value: ref edges and resource handles.
inline bool CarriesVariable(DType t) { return IsRef(t) || t == kResource; }
inline DType RemoveRef(DType t) {
  return IsRef(t) ? static_cast<DType>(static_cast<int>(t) - 100) : t;
}

bool IsFloating(DType t);
bool IsInteger(DType t);
// True for the types that gradients flow through (the floating ones).
inline bool IsDifferentiable(DType t) { return IsFloating(RemoveRef(t)); }

// Bytes of one element; 0 for types that tensors cannot hold.
size_t DTypeSize(DType t);
// TensorFlow's lower-case name ("float", "int32", "float_ref"); "type 77" for an unknown number.
std::string DTypeName(DType t);

template <typename T>
inline constexpr DType DTypeOf = kInvalidDType;
template <>
inline constexpr DType DTypeOf<float> = kFloat;
template <>
inline constexpr DType DTypeOf<double> = kDouble;
template <>
inline constexpr DType DTypeOf<int32_t> = kInt32;
template <>
inline constexpr DType DTypeOf<uint8_t> = kUInt8;
template <>
inline constexpr DType DTypeOf<int16_t> = kInt16;
template <>
inline constexpr DType DTypeOf<int8_t> = kInt8;
template <>
inline constexpr DType DTypeOf<std::string> = kString;
template <>
inline constexpr DType DTypeOf<int64_t> = kInt64;
template <>
inline constexpr DType DTypeOf<bool> = kBool;
template <>
inline constexpr DType DTypeOf<Eigen::bfloat16> = kBFloat16;
template <>
inline constexpr DType DTypeOf<uint16_t> = kUInt16;
template <>
inline constexpr DType DTypeOf<Eigen::half> = kHalf;
template <>
inline constexpr DType DTypeOf<ResourceHandle> = kResource;
template <>
inline constexpr DType DTypeOf<uint32_t> = kUInt32;
template <>
inline constexpr DType DTypeOf<uint64_t> = kUInt64;

// True for the C++ types that tensors hold.
template <typename T>
inline constexpr bool IsElementType = static_cast<int>(DTypeOf<T>) != 0;

template <typename... Ts>
struct TypeList {};

using FloatTypes = TypeList<float, double, Eigen::half, Eigen::bfloat16>;
using NumericTypes = TypeList<float, double, Eigen::half, Eigen::bfloat16, int32_t, int64_t,
                              uint8_t, int16_t, int8_t, uint16_t, uint32_t, uint64_t>;
using PlainTypes = TypeList<float, double, Eigen::half, Eigen::bfloat16, int32_t, int64_t, uint8_t,
                            int16_t, int8_t, uint16_t, uint32_t, uint64_t, bool>;
using AllTypes =
    TypeList<float, double, Eigen::half, Eigen::bfloat16, int32_t, int64_t, uint8_t, int16_t,
             int8_t, uint16_t, uint32_t, uint64_t, bool, std::string, ResourceHandle>;

// Calls f.template operator()<T>() for the T in the list whose dtype is `t`, and returns its
// result; returns a default-made result when no T matches.
//
//   size_t size = DispatchType(PlainTypes(), t, []<typename T>() { return sizeof(T); });
template <typename T, typename... Ts, typename F>
auto DispatchType(TypeList<T, Ts...>, DType t, F&& f) -> decltype(f.template operator()<T>()) {
  if (t == DTypeOf<T>) return f.template operator()<T>();
  if constexpr (sizeof...(Ts) > 0) {
    return DispatchType(TypeList<Ts...>(), t, static_cast<F&&>(f));
  } else {
    return decltype(f.template operator()<T>())();
  }
}

}  // namespace espalier

#endif  // ESPALIER_GRAPH_DTYPE_H_
