// The MNIST data: four IDX files, the split of the TensorFlow tutorials, shuffled batches.
//
//   ASSIGN_OR_RETURN(train::Mnist mnist, train::Mnist::Read("data/mnist", /*seed=*/1));
//   ASSIGN_OR_RETURN(train::Batch batch, mnist.train.NextBatch(64));
//   batch.images   // float[64,28,28,1] in [0, 1]
//   batch.labels   // float[64,10], one-hot
//
// The first 5,000 training images validate, the other 55,000 train, the 10,000 test images test. A
// Dataset is used by one thread at a time; the Tensors that it hands out are shared or fresh, never
// changed later.
#ifndef ESPALIER_TRAIN_MNIST_H_
#define ESPALIER_TRAIN_MNIST_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "espalier/graph/tensor.h"

namespace espalier::train {

struct Batch {
  Tensor images;
  Tensor labels;
};

class Dataset {
 public:
  Dataset() = default;
  // `images` [n, …] and `labels` [n, …] of floats. `seed` fixes the order of the batches,
  // which is that of TensorFlow's tutorial reader (numpy's legacy shuffle) for the same seed.
  Dataset(Tensor images, Tensor labels, uint32_t seed);

  const Tensor& images() const { return images_; }
  const Tensor& labels() const { return labels_; }
  int64_t size() const { return images_.valid() ? images_.dim(0) : 0; }

  // The next `count` examples in shuffled order. Each epoch is shuffled anew; a batch across the
  // border joins the tail of one epoch with the head of the next. INVALID_ARGUMENT unless 0 < count
  // <= size().
  absl::StatusOr<Batch> NextBatch(int64_t count);

 private:
  void Shuffle();

  Tensor images_;
  Tensor labels_;
  std::mt19937 random_;
  std::vector<int64_t> order_;
  size_t next_ = 0;
};

struct Mnist {
  Dataset train;
  Dataset validation;
  Dataset test;

  // Reads train-images-idx3-ubyte and so on from `directory`, plain or with ".gz". NOT_FOUND with
  // the missing path, DATA_LOSS for a file that is cut short, has another magic number, or does not
  // match its companion.
  static absl::StatusOr<Mnist> Read(const std::string& directory, uint32_t seed,
                                    int64_t validation_size = 5000);
};

}  // namespace espalier::train

#endif  // ESPALIER_TRAIN_MNIST_H_
