// One vector of floats, as wide as the instruction set that the file is compiled for.
//
// Files that include this are compiled once for each instruction set (ops/kernels/BUILD), with
// ESPALIER_ISA naming the namespace. GCC's vector extensions do the arithmetic; contraction to
// fused multiply-add is switched on for these files. No Eigen here: its alignment differs between
// instruction sets.
#ifndef ESPALIER_OPS_KERNELS_SIMD_H_
#define ESPALIER_OPS_KERNELS_SIMD_H_

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace espalier::kernels::ESPALIER_ISA {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
inline constexpr int kRegisters = 32;
#elif defined(__AVX2__)
inline constexpr int kLanes = 8;
inline constexpr int kRegisters = 16;
#else
inline constexpr int kLanes = 4;
inline constexpr int kRegisters = 16;
#endif

using Vec = float __attribute__((vector_size(kLanes * sizeof(float))));

inline Vec Load(const float* from) {
  Vec v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}

inline void Store(float* to, const Vec& v) { std::memcpy(to, &v, sizeof(v)); }

// The first n lanes only.
inline void StorePartial(float* to, const Vec& v, int n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1U << n) - 1),
                        reinterpret_cast<const __m512&>(v));
#else
  for (int i = 0; i < n; ++i) to[i] = v[i];
#endif
}

inline Vec Broadcast(float x) { return x - Vec{}; }

}  // namespace espalier::kernels::ESPALIER_ISA

#endif  // ESPALIER_OPS_KERNELS_SIMD_H_
