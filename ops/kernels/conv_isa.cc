// The inner loops of convolution in NHWC, compiled once for each instruction set. Tested by
// conv2d_test.cc.
//
// `strip`: a block of pixels by a block of output channels stays in registers while the inner
// product runs; lanes are channels, one input is broadcast for each pixel. `outer`: a block of
// input channels by a block of output channels stays in registers while the pixels run. Block sizes
// fill the register file.
#include "espalier/ops/kernels/conv_kernels.h"
#include "espalier/ops/kernels/simd.h"

namespace espalier::kernels::ESPALIER_ISA {
namespace {

// Leaves room for the weights (kVectors) and one broadcast.
template <int kVectors>
inline constexpr int kPixels = kVectors == 1 ? (kRegisters == 32 ? 14 : 10)
                                             : (kRegisters - kVectors - 2) / kVectors;

template <int kCount, int kVectors>
inline void StripBlock(const Run* runs, int num_runs, int64_t offset, int64_t x_step,
                       int64_t packed, int last, float* y, int64_t y_step) {
  Vec sums[kCount][kVectors] = {};
  for (int r = 0; r < num_runs; ++r) {
    const float* x = runs[r].x + offset;
    const float* w = runs[r].weights;
    for (int64_t k = runs[r].length; k > 0; --k, ++x, w += packed) {
      Vec weights[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) weights[v] = Load(w + v * kLanes);
#pragma GCC unroll 16
      for (int p = 0; p < kCount; ++p) {
        const Vec input = Broadcast(x[p * x_step]);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) sums[p][v] += input * weights[v];
      }
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < kCount; ++p) {
    float* to = y + p * y_step;
#pragma GCC unroll 4
    for (int v = 0; v + 1 < kVectors; ++v) Store(to + v * kLanes, sums[p][v]);
    if (last == kLanes) {
      Store(to + (kVectors - 1) * kLanes, sums[p][kVectors - 1]);
    } else {
      StorePartial(to + (kVectors - 1) * kLanes, sums[p][kVectors - 1], last);
    }
  }
}

template <int kVectors>
void StripColumns(int64_t count, const Run* runs, int num_runs, int64_t x_step, int64_t packed,
                  int last, float* y, int64_t y_step) {
  constexpr int kFull = kPixels<kVectors>;
  int64_t i = 0;
  for (; i + kFull <= count; i += kFull) {
    StripBlock<kFull, kVectors>(runs, num_runs, i * x_step, x_step, packed, last, y + i * y_step,
                                y_step);
  }
  if constexpr (kFull > 7) {
    for (; i + 7 <= count; i += 7) {
      StripBlock<7, kVectors>(runs, num_runs, i * x_step, x_step, packed, last, y + i * y_step,
                              y_step);
    }
  }
  for (; i + 4 <= count; i += 4) {
    StripBlock<4, kVectors>(runs, num_runs, i * x_step, x_step, packed, last, y + i * y_step,
                            y_step);
  }
  if (i + 2 <= count) {
    StripBlock<2, kVectors>(runs, num_runs, i * x_step, x_step, packed, last, y + i * y_step,
                            y_step);
    i += 2;
  }
  if (i < count)
    StripBlock<1, kVectors>(runs, num_runs, i * x_step, x_step, packed, last, y + i * y_step,
                            y_step);
}

// How many vectors of channels to take next: 3, 2 or 1, avoiding a lone 1 after a 3.
int NextVectors(int64_t left) { return left >= 5 || left == 3 ? 3 : left >= 2 ? 2 : 1; }

constexpr int kMaxRuns = 64;

void Strip(int64_t count, const Run* runs, int num_runs, int64_t x_step, int64_t packed,
           int64_t channels, float* y, int64_t y_step) {
  const int64_t vectors = (channels + kLanes - 1) / kLanes;
  Run shifted[kMaxRuns];
  for (int r = 0; r < num_runs; ++r) shifted[r] = runs[r];
  for (int64_t v = 0; v < vectors;) {
    const int take = NextVectors(vectors - v);
    const bool at_end = v + take == vectors;
    const int last = at_end ? static_cast<int>(channels - (vectors - 1) * kLanes) : kLanes;
    float* to = y + v * kLanes;
    if (take == 3) {
      StripColumns<3>(count, shifted, num_runs, x_step, packed, last, to, y_step);
    } else if (take == 2) {
      StripColumns<2>(count, shifted, num_runs, x_step, packed, last, to, y_step);
    } else {
      StripColumns<1>(count, shifted, num_runs, x_step, packed, last, to, y_step);
    }
    for (int r = 0; r < num_runs; ++r) shifted[r].weights += take * kLanes;
    v += take;
  }
}

template <int kHeight, int kVectors>
inline void OuterBlock(const PixelBlock& p, int64_t row_offset, int64_t column_offset,
                       int64_t packed, float* sums) {
  Vec total[kHeight][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kHeight; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) total[i][v] = Load(sums + i * packed + v * kLanes);
  }
  for (int64_t n = 0; n < p.images; ++n) {
    for (int64_t r = 0; r < p.rows; ++r) {
      const float* x = p.x + n * p.x_image + r * p.x_row + row_offset;
      const float* dy = p.dy + n * p.dy_image + r * p.dy_row + column_offset;
      for (int64_t c = p.columns; c > 0; --c, x += p.x_column, dy += p.dy_column) {
        Vec gradient[kVectors];
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) gradient[v] = Load(dy + v * kLanes);
#pragma GCC unroll 16
        for (int i = 0; i < kHeight; ++i) {
          const Vec input = Broadcast(x[i]);
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; ++v) total[i][v] += input * gradient[v];
        }
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kHeight; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) Store(sums + i * packed + v * kLanes, total[i][v]);
  }
}

template <int kVectors>
void OuterRows(const PixelBlock& p, int64_t height, int64_t column_offset, int64_t packed,
               float* sums) {
  constexpr int kFull = kRegisters == 32 ? (kVectors == 1   ? 12
                                            : kVectors == 2 ? 12
                                                            : 8)
                                         : (kVectors == 1 ? 8 : 4);
  int64_t i = 0;
  for (; i + kFull <= height; i += kFull)
    OuterBlock<kFull, kVectors>(p, i, column_offset, packed, sums + i * packed);
  if constexpr (kFull > 4) {
    for (; i + 4 <= height; i += 4)
      OuterBlock<4, kVectors>(p, i, column_offset, packed, sums + i * packed);
  }
  if (i + 3 <= height) {
    OuterBlock<3, kVectors>(p, i, column_offset, packed, sums + i * packed);
    i += 3;
  }
  for (; i < height; ++i) OuterBlock<1, kVectors>(p, i, column_offset, packed, sums + i * packed);
}

void Outer(const PixelBlock& p, int64_t height, int64_t packed, float* sums) {
  const int64_t vectors = packed / kLanes;
  for (int64_t v = 0; v < vectors;) {
    int take = NextVectors(vectors - v);
    if (kRegisters == 16 && take == 3) take = 2;
    if (take == 3) {
      OuterRows<3>(p, height, v * kLanes, packed, sums + v * kLanes);
    } else if (take == 2) {
      OuterRows<2>(p, height, v * kLanes, packed, sums + v * kLanes);
    } else {
      OuterRows<1>(p, height, v * kLanes, packed, sums + v * kLanes);
    }
    v += take;
  }
}

}  // namespace

extern const ConvKernels kConvKernels;
const ConvKernels kConvKernels = {ESPALIER_ISA_NAME, kLanes, Strip, Outer};

}  // namespace espalier::kernels::ESPALIER_ISA
