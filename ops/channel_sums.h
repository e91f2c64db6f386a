// Loops over rows of channels: [rows, channels], the channels side by side.
//
//   std::vector<float> sums = ChannelSums<float>(context, rows, channels,
//       [&](int64_t at, int64_t n, float* to) {
//         for (int64_t i = 0; i < n; ++i) to[i] += x[at + i];
//       });
#ifndef ESPALIER_OPS_CHANNEL_SUMS_H_
#define ESPALIER_OPS_CHANNEL_SUMS_H_

#include <algorithm>
#include <vector>

#include "espalier/ops/reduce.h"

namespace espalier {

// Sums of a function of the row elements for each channel, over blocks of rows in parallel, in a
// fixed order. term(value, channel) is called for runs of rows laid side by side, so the inner loop
// stays wide.
template <typename T, typename Term>
std::vector<T> ChannelSums(const KernelContext& context, int64_t rows, int64_t channels,
                           Term&& term) {
  const int64_t block = std::max<int64_t>(1, 16384 / std::max<int64_t>(channels, 1));
  const int64_t blocks = std::max<int64_t>(1, (rows + block - 1) / block);
  const int64_t copies = std::max<int64_t>(1, 64 / std::max<int64_t>(channels, 1));
  const int64_t wide = copies * channels;
  std::vector<T> partial(blocks * channels, T(0));
  context.ParallelFor(rows, block, [&](int64_t begin, int64_t end) {
    std::vector<T> lanes(wide, T(0));
    int64_t row = begin;
    for (; row + copies <= end; row += copies) term(row * channels, wide, lanes.data());
    if (row < end) term(row * channels, (end - row) * channels, lanes.data());
    T* to = partial.data() + begin / block * channels;
    for (int64_t k = 0; k < copies; ++k) {
      for (int64_t c = 0; c < channels; ++c) to[c] += lanes[k * channels + c];
    }
  });
  std::vector<T> sums(channels, T(0));
  ReduceRows<SumOf>(partial.data(), blocks, channels, sums.data());
  return sums;
}

// `values` repeated to the width that ChannelSums works in.
template <typename T>
std::vector<T> Widen(const std::vector<T>& values) {
  const auto channels = static_cast<int64_t>(values.size());
  std::vector<T> wide;
  const int64_t copies = std::max<int64_t>(1, 64 / std::max<int64_t>(channels, 1));
  for (int64_t k = 0; k < copies; ++k) wide.insert(wide.end(), values.begin(), values.end());
  return wide;
}

// out[i] = f(i, channel of i) over all rows in parallel, wide.
template <typename F>
void ForEachWide(const KernelContext& context, int64_t rows, int64_t channels, F&& f) {
  const int64_t copies = std::max<int64_t>(1, 64 / std::max<int64_t>(channels, 1));
  const int64_t wide = copies * channels;
  context.ParallelFor(
      rows, std::max<int64_t>(copies, 16384 / std::max<int64_t>(channels, 1) / copies * copies),
      [&](int64_t begin, int64_t end) {
        int64_t row = begin;
        for (; row + copies <= end; row += copies) f(row * channels, wide);
        if (row < end) f(row * channels, (end - row) * channels);
      });
}

}  // namespace espalier

#endif  // ESPALIER_OPS_CHANNEL_SUMS_H_
