// The inner loops of convolution, for each instruction set, and the choice among them.
//
//   const ConvKernels& k = BestConvKernels();
//   k.strip(count, runs, num_runs, x_step, packed_columns, channels, y, y_step);
//
// Chosen once for the machine, so results are the same bits on one machine at any thread count.
#ifndef ESPALIER_OPS_KERNELS_CONV_KERNELS_H_
#define ESPALIER_OPS_KERNELS_CONV_KERNELS_H_

#include <cstdint>

namespace espalier::kernels {

// A stretch of the inner product: `length` consecutive inputs against as many rows of packed
// weights.
struct Run {
  const float* x;
  const float* weights;
  int64_t length;
};

// Pixels for the backward filter: images of rows of columns, with the steps of x and dy between
// them.
struct PixelBlock {
  const float* x;
  const float* dy;
  int64_t images, rows, columns;
  int64_t x_image, x_row, x_column;
  int64_t dy_image, dy_row, dy_column;
};

struct ConvKernels {
  const char* name;
  // Channels are packed to a multiple of this.
  int lanes;
  // y[i * y_step + c] = sum over runs r and k of runs[r].x[i * x_step + k] * runs[r].weights[k *
  // packed_columns + c], for i < count and c < channels.
  void (*strip)(int64_t count, const Run* runs, int num_runs, int64_t x_step,
                int64_t packed_columns, int64_t channels, float* y, int64_t y_step);
  // sums[i * packed_columns + c] += sum over pixels of x[pixel][i] * dy[pixel][c], for i < height,
  // c < packed_columns.
  void (*outer)(const PixelBlock& pixels, int64_t height, int64_t packed_columns, float* sums);
};

const ConvKernels& BestConvKernels();

}  // namespace espalier::kernels

#endif  // ESPALIER_OPS_KERNELS_CONV_KERNELS_H_
