// Tested by mnist_test.cc and tests/errors_test.cc. The IDX format: a magic number (2051 images,
// 2049 labels), the sizes, the bytes; big endian.
#include "espalier/train/mnist.h"

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "espalier/graph/status_macros.h"

namespace espalier::train {
namespace {

constexpr uint32_t kImagesMagic = 2051;
constexpr uint32_t kLabelsMagic = 2049;
constexpr int64_t kClasses = 10;
constexpr int64_t kMaxElements = int64_t{1} << 31;

struct IdxFile {
  std::vector<int64_t> sizes;
  std::vector<uint8_t> bytes;
};

// zlib reads plain files as they are.
absl::StatusOr<gzFile> Open(const std::string& path) {
  for (const char* suffix : {"", ".gz"}) {
    if (gzFile file = gzopen((path + suffix).c_str(), "rb")) return file;
  }
  return absl::NotFoundError(absl::StrCat("cannot open ", path, " (nor ", path, ".gz)"));
}

absl::StatusOr<IdxFile> ReadIdx(const std::string& path, uint32_t magic, int dimensions) {
  ASSIGN_OR_RETURN(gzFile file, Open(path));
  const auto fail = [&](const std::string& what) {
    gzclose(file);
    return absl::DataLossError(absl::StrCat(path, ": ", what));
  };
  const auto number = [&](uint32_t& value) {
    uint8_t b[4];
    if (gzread(file, b, 4) != 4) return false;
    value = (uint32_t{b[0]} << 24) | (uint32_t{b[1]} << 16) | (uint32_t{b[2]} << 8) | b[3];
    return true;
  };
  uint32_t value = 0;
  if (!number(value)) return fail("the header is cut short");
  if (value != magic)
    return fail(absl::StrCat("expected the magic number ", magic, ", found ", value));
  IdxFile idx;
  int64_t total = 1;
  for (int i = 0; i < dimensions; ++i) {
    if (!number(value)) return fail("the header is cut short");
    idx.sizes.push_back(value);
    absl::StatusOr<int64_t> product = CheckedMultiply(total, value);
    if (!product.ok() || *product > kMaxElements)
      return fail("the sizes in the header are too large");
    total = *product;
  }
  idx.bytes.resize(total);
  int64_t got = 0;
  while (got < total) {
    const int n = gzread(file, idx.bytes.data() + got,
                         static_cast<unsigned>(std::min<int64_t>(total - got, 1 << 20)));
    if (n <= 0)
      return fail(absl::StrCat("expected ", total, " bytes after the header, found ", got));
    got += n;
  }
  gzclose(file);
  return idx;
}

absl::StatusOr<Batch> ReadPair(const std::string& directory, const std::string& prefix) {
  const std::string images_path = absl::StrCat(directory, "/", prefix, "-images-idx3-ubyte");
  const std::string labels_path = absl::StrCat(directory, "/", prefix, "-labels-idx1-ubyte");
  ASSIGN_OR_RETURN(IdxFile images, ReadIdx(images_path, kImagesMagic, 3));
  ASSIGN_OR_RETURN(IdxFile labels, ReadIdx(labels_path, kLabelsMagic, 1));
  const int64_t count = images.sizes[0];
  if (labels.sizes[0] != count) {
    return absl::DataLossError(
        absl::StrCat(labels_path, ": ", labels.sizes[0], " labels for ", count, " images"));
  }
  Batch batch;
  ASSIGN_OR_RETURN(batch.images,
                   Tensor::Allocate(kFloat, {count, images.sizes[1], images.sizes[2], 1}));
  ASSIGN_OR_RETURN(batch.labels, Tensor::Allocate(kFloat, {count, kClasses}));
  std::transform(images.bytes.begin(), images.bytes.end(), batch.images.mutable_data<float>(),
                 [](uint8_t pixel) { return static_cast<float>(pixel) * (1.0f / 255.0f); });
  float* one_hot = batch.labels.mutable_data<float>();
  std::fill_n(one_hot, count * kClasses, 0.0f);
  for (int64_t i = 0; i < count; ++i) {
    if (labels.bytes[i] >= kClasses) {
      return absl::DataLossError(absl::StrCat(labels_path, ": label ", i, " is ", labels.bytes[i]));
    }
    one_hot[i * kClasses + labels.bytes[i]] = 1.0f;
  }
  return batch;
}

// The rows of `from` in the order of `rows`.
absl::StatusOr<Tensor> Gather(const Tensor& from, absl::Span<const int64_t> rows) {
  Shape shape = from.shape();
  shape.set_dim(0, static_cast<int64_t>(rows.size()));
  ASSIGN_OR_RETURN(Tensor to, Tensor::Allocate(kFloat, shape));
  const int64_t width = from.num_elements() / from.dim(0);
  for (size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(from.data<float>() + rows[i] * width, width, to.mutable_data<float>() + i * width);
  }
  return to;
}

}  // namespace

Dataset::Dataset(Tensor images, Tensor labels, uint32_t seed)
    : images_(std::move(images)), labels_(std::move(labels)), random_(seed), order_(size()) {
  std::iota(order_.begin(), order_.end(), 0);
  Shuffle();
}

// As numpy.random.RandomState(seed).shuffle, which the reader of TensorFlow's tutorials calls:
// Fisher and Yates from the end, each index drawn by keeping the low bits until it is in range.
void Dataset::Shuffle() {
  for (size_t last = order_.size(); last-- > 1;) {
    const auto mask = static_cast<uint32_t>(std::bit_ceil(last + 1) - 1);
    uint32_t index = random_() & mask;
    while (index > last) index = random_() & mask;
    std::swap(order_[last], order_[index]);
  }
  next_ = 0;
}

absl::StatusOr<Batch> Dataset::NextBatch(int64_t count) {
  if (count <= 0 || count > size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a batch must have 1 to ", size(), " examples, asked for ", count));
  }
  std::vector<int64_t> rows;
  while (static_cast<int64_t>(rows.size()) < count) {
    if (next_ == order_.size()) Shuffle();
    rows.push_back(order_[next_++]);
  }
  Batch batch;
  ASSIGN_OR_RETURN(batch.images, Gather(images_, rows));
  ASSIGN_OR_RETURN(batch.labels, Gather(labels_, rows));
  return batch;
}

absl::StatusOr<Mnist> Mnist::Read(const std::string& directory, uint32_t seed,
                                  int64_t validation_size) {
  ASSIGN_OR_RETURN(Batch train, ReadPair(directory, "train"));
  ASSIGN_OR_RETURN(Batch test, ReadPair(directory, "t10k"));
  const int64_t count = train.images.dim(0);
  if (count < validation_size) {
    return absl::DataLossError(absl::StrCat(directory, ": ", count,
                                            " training images, fewer than the ", validation_size,
                                            " that validate"));
  }
  const auto part = [&](int64_t begin, int64_t end) -> absl::StatusOr<Dataset> {
    ASSIGN_OR_RETURN(Tensor images, train.images.Slice(begin, end));
    ASSIGN_OR_RETURN(Tensor labels, train.labels.Slice(begin, end));
    return Dataset(images, labels, seed);
  };
  Mnist mnist;
  ASSIGN_OR_RETURN(mnist.validation, part(0, validation_size));
  ASSIGN_OR_RETURN(mnist.train, part(validation_size, count));
  mnist.test = Dataset(test.images, test.labels, seed);
  return mnist;
}

}  // namespace espalier::train
