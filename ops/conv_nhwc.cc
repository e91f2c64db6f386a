// Direct convolution in NHWC. Tested by the registry test.
//
// Forward and backward-by-input are the same loop, a *sweep*: an output pixel is the sum over
// filter rows of one contiguous run of input pixels times a contiguous run of packed weights. In
// the forward pass output columns form one class; in the backward pass with stride s they form s
// classes by (column + padding) mod s, each seeing every s-th filter column, reversed. Padding is
// never touched: a run is cut short at the border.
//
// Pixels that share their runs' shape go through the kernel together: neighbours in a row where the
// row is long, else the same pixel of several images. The backward pass by filter gathers dy into
// padded rows, and adds up an outer product for each filter row; groups of images have sums of
// their own, which are added up in order.
#include "espalier/ops/conv_nhwc.h"

#include <algorithm>

#include "espalier/ops/kernels/conv_kernels.h"

namespace espalier {
namespace {

using kernels::BestConvKernels;
using kernels::ConvKernels;
using kernels::PixelBlock;
using kernels::Run;

constexpr int kMaxFilterHeight = 64;
// A row whose interior is shorter than this is swept across images instead.
constexpr int64_t kShortRow = 6;
constexpr int64_t kImagesPerTask = 8;

int64_t RoundUp(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }
int64_t CeilDiv(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }
int64_t FloorDiv(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

// Output columns first, first + step, …: column i sees `slots` input columns from origin + i *
// advance on.
struct ColumnClass {
  int64_t first = 0, step = 1, count = 0;
  int64_t origin = 0, advance = 1, slots = 0;
  int64_t slot_offset = 0;  // of its weights, among the slots of a filter row
};

// An input row that an output row sees, through filter row `tap`.
struct RowTap {
  int64_t row;
  int64_t tap;
};

struct Sweep {
  int64_t batch = 0;
  int64_t in_height = 0, in_width = 0, in_channels = 0;
  int64_t out_height = 0, out_width = 0, out_channels = 0;
  int64_t row_slots = 0;  // slots of one filter row, all classes
  int64_t packed_channels = 0;
  std::vector<ColumnClass> classes;
  std::vector<std::vector<RowTap>> row_taps;  // by output row

  int64_t weights() const {
    return static_cast<int64_t>(row_slots) * in_channels * packed_channels;
  }
};

class Sweeper {
 public:
  Sweeper(const ConvKernels& kernels, const Sweep& sweep, const float* in, const float* weights,
          float* out)
      : kernels_(kernels), s_(sweep), in_(in), weights_(weights), out_(out) {}

  void Images(int64_t begin, int64_t end, int64_t row_begin, int64_t row_end) const {
    for (int64_t row = row_begin; row < row_end; ++row) {
      for (const ColumnClass& columns : s_.classes) Columns(begin, end, row, columns);
    }
  }

 private:
  int64_t InImage() const { return s_.in_height * s_.in_width * s_.in_channels; }
  int64_t OutImage() const { return s_.out_height * s_.out_width * s_.out_channels; }

  // The runs of column i in the first image; all pixels that share them differ by a constant step.
  int MakeRuns(int64_t image, int64_t row, const ColumnClass& columns, int64_t i, Run* runs) const {
    const int64_t start = columns.origin + i * columns.advance;
    const int64_t low = std::max<int64_t>(0, -start);
    const int64_t high = std::min(columns.slots, s_.in_width - start);
    int count = 0;
    if (low >= high) return 0;
    for (const RowTap& tap : s_.row_taps[row]) {
      runs[count++] = {
          in_ + image * InImage() + (tap.row * s_.in_width + start + low) * s_.in_channels,
          weights_ + (tap.tap * s_.row_slots + columns.slot_offset + low) * s_.in_channels *
                         s_.packed_channels,
          (high - low) * s_.in_channels};
    }
    return count;
  }

  float* OutPixel(int64_t image, int64_t row, int64_t column) const {
    return out_ + image * OutImage() + (row * s_.out_width + column) * s_.out_channels;
  }

  void Columns(int64_t begin, int64_t end, int64_t row, const ColumnClass& columns) const {
    Run runs[kMaxFilterHeight];
    // Columns [low, high) see no border.
    int64_t low = std::clamp<int64_t>(CeilDiv(-columns.origin, columns.advance), 0, columns.count);
    int64_t high = std::clamp<int64_t>(
        FloorDiv(s_.in_width - columns.slots - columns.origin, columns.advance) + 1, low,
        columns.count);
    if (high - low < kShortRow && end - begin > 1) high = low;
    if (high > low) {
      for (int64_t image = begin; image < end; ++image) {
        const int count = MakeRuns(image, row, columns, low, runs);
        kernels_.strip(high - low, runs, count, columns.advance * s_.in_channels,
                       s_.packed_channels, s_.out_channels,
                       OutPixel(image, row, columns.first + low * columns.step),
                       columns.step * s_.out_channels);
      }
    }
    for (int64_t i = 0; i < columns.count; ++i) {
      if (i == low && high > low) i = high;
      if (i >= columns.count) break;
      const int count = MakeRuns(begin, row, columns, i, runs);
      kernels_.strip(end - begin, runs, count, InImage(), s_.packed_channels, s_.out_channels,
                     OutPixel(begin, row, columns.first + i * columns.step), OutImage());
    }
  }

  const ConvKernels& kernels_;
  const Sweep& s_;
  const float* in_;
  const float* weights_;
  float* out_;
};

void RunSweep(const KernelContext& context, const Sweep& sweep, const float* in,
              const float* weights, float* out) {
  const Sweeper sweeper(BestConvKernels(), sweep, in, weights, out);
  // Few images: tasks are rows of one image group; many: groups of images.
  const int64_t groups = (sweep.batch + kImagesPerTask - 1) / kImagesPerTask;
  const int64_t bands = groups >= 4 ? 1 : std::min<int64_t>(sweep.out_height, 8);
  context.ParallelFor(groups * bands, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / bands * kImagesPerTask;
      const int64_t band = task % bands;
      sweeper.Images(image, std::min(sweep.batch, image + kImagesPerTask),
                     band * sweep.out_height / bands, (band + 1) * sweep.out_height / bands);
    }
  });
}

Sweep ForwardSweep(const ConvGeometry& g, int lanes) {
  Sweep s;
  s.batch = g.batch;
  s.in_height = g.in_height;
  s.in_width = g.in_width;
  s.in_channels = g.in_channels;
  s.out_height = g.out_height;
  s.out_width = g.out_width;
  s.out_channels = g.out_channels;
  s.row_slots = g.filter_width;
  s.packed_channels = RoundUp(g.out_channels, lanes);
  s.classes = {{.count = g.out_width,
                .origin = -g.pad_left,
                .advance = g.stride_width,
                .slots = g.filter_width}};
  s.row_taps.resize(g.out_height);
  for (int64_t row = 0; row < g.out_height; ++row) {
    for (int64_t tap = 0; tap < g.filter_height; ++tap) {
      const int64_t from = row * g.stride_height - g.pad_top + tap;
      if (from >= 0 && from < g.in_height) s.row_taps[row].push_back({from, tap});
    }
  }
  return s;
}

Sweep BackwardSweep(const ConvGeometry& g, int lanes) {
  Sweep s;
  s.batch = g.batch;
  s.in_height = g.out_height;
  s.in_width = g.out_width;
  s.in_channels = g.out_channels;
  s.out_height = g.in_height;
  s.out_width = g.in_width;
  s.out_channels = g.in_channels;
  s.packed_channels = RoundUp(g.in_channels, lanes);
  for (int64_t residue = 0; residue < g.stride_width; ++residue) {
    ColumnClass c;
    c.first = ((residue - g.pad_left) % g.stride_width + g.stride_width) % g.stride_width;
    c.step = g.stride_width;
    c.count = c.first >= g.in_width ? 0 : (g.in_width - c.first + c.step - 1) / c.step;
    c.slots = residue < g.filter_width
                  ? (g.filter_width - residue + g.stride_width - 1) / g.stride_width
                  : 0;
    c.origin = (c.first + g.pad_left) / g.stride_width - (c.slots - 1);
    c.slot_offset = s.row_slots;
    s.row_slots += c.slots;
    s.classes.push_back(c);
  }
  s.row_taps.resize(g.in_height);
  for (int64_t row = 0; row < g.in_height; ++row) {
    for (int64_t tap = 0; tap < g.filter_height; ++tap) {
      const int64_t at = row + g.pad_top - tap;
      if (at >= 0 && at % g.stride_height == 0 && at / g.stride_height < g.out_height) {
        s.row_taps[row].push_back({at / g.stride_height, tap});
      }
    }
  }
  return s;
}

// Filter [row][column][in][out] with the output channels padded with zeros.
void PackForward(const KernelContext& context, const ConvGeometry& g, const Sweep& s,
                 const float* filter, float* to) {
  const int64_t rows = g.filter_height * g.filter_width * g.in_channels;
  context.ParallelFor(rows, 512, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      float* out = to + r * s.packed_channels;
      std::copy_n(filter + r * g.out_channels, g.out_channels, out);
      std::fill(out + g.out_channels, out + s.packed_channels, 0.0f);
    }
  });
}

// Filter [row][slot][out][in]: the slots of each class in turn, in the order in which dy's columns
// come.
void PackBackward(const KernelContext& context, const ConvGeometry& g, const Sweep& s,
                  const float* filter, float* to) {
  context.ParallelFor(g.filter_height * g.stride_width, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t tap = i / g.stride_width;
      const int64_t residue = i % g.stride_width;
      const ColumnClass& columns = s.classes[residue];
      for (int64_t slot = 0; slot < columns.slots; ++slot) {
        const int64_t column = residue + (columns.slots - 1 - slot) * g.stride_width;
        const float* from =
            filter + (tap * g.filter_width + column) * g.in_channels * g.out_channels;
        float* out = to + (tap * s.row_slots + columns.slot_offset + slot) * g.out_channels *
                              s.packed_channels;
        for (int64_t o = 0; o < g.out_channels; ++o) {
          for (int64_t c = 0; c < g.in_channels; ++c)
            out[o * s.packed_channels + c] = from[c * g.out_channels + o];
          std::fill(out + o * s.packed_channels + g.in_channels, out + (o + 1) * s.packed_channels,
                    0.0f);
        }
      }
    }
  });
}

// --- Backward by filter.

class FilterSums {
 public:
  FilterSums(const ConvGeometry& g, const ConvKernels& kernels, const float* x, const float* dy)
      : g_(g), kernels_(kernels), x_(x), dy_(dy), packed_(RoundUp(g.out_channels, kernels.lanes)) {}

  int64_t packed() const { return packed_; }
  int64_t sums() const { return g_.filter_height * g_.filter_width * g_.in_channels * packed_; }
  // Images whose pixels stay in the first-level cache together.
  int64_t chunk() const {
    const int64_t floats = g_.out_height * g_.out_width * (g_.in_channels + packed_);
    return std::clamp<int64_t>(8192 / std::max<int64_t>(floats, 1), 1, kImagesPerTask);
  }
  int64_t gathered() const { return chunk() * g_.out_height * g_.out_width * packed_; }

  // Adds the images [begin, end) to `sums`; `gathered` is scratch.
  void Add(int64_t begin, int64_t end, float* gathered, float* sums) const {
    for (int64_t image = begin; image < end; image += chunk()) {
      const int64_t images = std::min(chunk(), end - image);
      Gather(image, images, gathered);
      for (int64_t tap = 0; tap < g_.filter_height; ++tap) {
        AddRow(image, images, tap, gathered,
               sums + tap * g_.filter_width * g_.in_channels * packed_);
      }
    }
  }

 private:
  void Gather(int64_t image, int64_t images, float* to) const {
    const int64_t pixels = g_.out_height * g_.out_width;
    const float* from = dy_ + image * pixels * g_.out_channels;
    for (int64_t p = 0; p < images * pixels; ++p, from += g_.out_channels, to += packed_) {
      std::copy_n(from, g_.out_channels, to);
      std::fill(to + g_.out_channels, to + packed_, 0.0f);
    }
  }

  void AddRow(int64_t image, int64_t images, int64_t tap, const float* gathered,
              float* sums) const {
    // Output rows [top, bottom) whose input row is inside.
    const int64_t top = std::max<int64_t>(0, CeilDiv(g_.pad_top - tap, g_.stride_height));
    const int64_t bottom = std::min(
        g_.out_height, FloorDiv(g_.in_height - 1 + g_.pad_top - tap, g_.stride_height) + 1);
    if (top >= bottom) return;
    // Output columns [low, high) whose whole filter row is inside; the others one by one.
    const int64_t low = std::clamp<int64_t>(CeilDiv(g_.pad_left, g_.stride_width), 0, g_.out_width);
    const int64_t high = std::clamp<int64_t>(
        FloorDiv(g_.in_width - g_.filter_width + g_.pad_left, g_.stride_width) + 1, low,
        g_.out_width);
    for (int64_t column = 0; column < g_.out_width;) {
      const bool interior = column == low && high > low;
      const int64_t count = interior ? high - low : 1;
      const int64_t start = column * g_.stride_width - g_.pad_left;
      const int64_t first = std::max<int64_t>(0, -start);
      const int64_t last = std::min(g_.filter_width, g_.in_width - start);
      if (first < last) {
        PixelBlock p;
        p.x =
            x_ + ((image * g_.in_height + top * g_.stride_height - g_.pad_top + tap) * g_.in_width +
                  start + first) *
                     g_.in_channels;
        p.dy = gathered + (top * g_.out_width + column) * packed_;
        p.images = images;
        p.rows = bottom - top;
        p.columns = count;
        p.x_image = g_.in_height * g_.in_width * g_.in_channels;
        p.x_row = g_.stride_height * g_.in_width * g_.in_channels;
        p.x_column = g_.stride_width * g_.in_channels;
        p.dy_image = g_.out_height * g_.out_width * packed_;
        p.dy_row = g_.out_width * packed_;
        p.dy_column = packed_;
        kernels_.outer(p, (last - first) * g_.in_channels, packed_,
                       sums + first * g_.in_channels * packed_);
      }
      column += count;
    }
  }

  const ConvGeometry& g_;
  const ConvKernels& kernels_;
  const float* x_;
  const float* dy_;
  const int64_t packed_;
};

}  // namespace

bool FitsFastConv(const ConvGeometry& g) {
  return g.plain() && g.filter_height <= kMaxFilterHeight && g.in_channels > 0 &&
         g.out_channels > 0;
}

absl::Status FastConvForward(const KernelContext& context, const ConvGeometry& g, const float* x,
                             const float* filter, float* y) {
  const Sweep sweep = ForwardSweep(g, BestConvKernels().lanes);
  ASSIGN_OR_RETURN(Tensor packed, context.Allocate(kFloat, {g.filter_height * sweep.weights()}));
  PackForward(context, g, sweep, filter, packed.mutable_data<float>());
  RunSweep(context, sweep, x, packed.data<float>(), y);
  return absl::OkStatus();
}

absl::Status FastConvBackwardInput(const KernelContext& context, const ConvGeometry& g,
                                   const float* dy, const float* filter, float* dx) {
  const Sweep sweep = BackwardSweep(g, BestConvKernels().lanes);
  ASSIGN_OR_RETURN(Tensor packed, context.Allocate(kFloat, {g.filter_height * sweep.weights()}));
  PackBackward(context, g, sweep, filter, packed.mutable_data<float>());
  RunSweep(context, sweep, dy, packed.data<float>(), dx);
  return absl::OkStatus();
}

absl::Status FastConvBackwardFilter(const KernelContext& context, const ConvGeometry& g,
                                    const float* x, const float* dy, float* dfilter) {
  const FilterSums filter_sums(g, BestConvKernels(), x, dy);
  // Enough groups to share the work, few enough that adding up their sums stays cheap.
  const int64_t work = g.batch * g.out_height * g.out_width * g.filter_height * g.filter_width;
  const int64_t groups =
      std::clamp<int64_t>(work / 256, 1, std::min<int64_t>(8, std::max<int64_t>(g.batch, 1)));
  const int64_t images = (g.batch + groups - 1) / groups;
  ASSIGN_OR_RETURN(Tensor sums, context.Allocate(kFloat, {groups, filter_sums.sums()}));
  ASSIGN_OR_RETURN(Tensor scratch, context.Allocate(kFloat, {groups, filter_sums.gathered()}));
  float* all_sums = sums.mutable_data<float>();
  float* all_scratch = scratch.mutable_data<float>();
  context.ParallelFor(groups, 1, [&](int64_t group, int64_t) {
    float* own = all_sums + group * filter_sums.sums();
    std::fill_n(own, filter_sums.sums(), 0.0f);
    filter_sums.Add(std::min(g.batch, group * images), std::min(g.batch, (group + 1) * images),
                    all_scratch + group * filter_sums.gathered(), own);
  });
  const int64_t rows = g.filter_height * g.filter_width * g.in_channels;
  context.ParallelFor(rows, std::max<int64_t>(1, 4096 / filter_sums.packed()),
                      [&](int64_t begin, int64_t end) {
                        for (int64_t r = begin; r < end; ++r) {
                          float* out = dfilter + r * g.out_channels;
                          const float* from = all_sums + r * filter_sums.packed();
                          std::copy_n(from, g.out_channels, out);
                          for (int64_t group = 1; group < groups; ++group) {
                            const float* next = from + group * filter_sums.sums();
                            for (int64_t c = 0; c < g.out_channels; ++c) out[c] += next[c];
                          }
                        }
                      });
  return absl::OkStatus();
}

}  // namespace espalier
