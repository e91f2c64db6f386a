// Batches: epochs and their order.
#include <numeric>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(DatasetTest, JoinsTheTailOfAnEpochWithTheHeadOfTheNext) {
  std::vector<float> values = {0, 1, 2, 3, 4};
  train::Dataset data(Tensor::FromVector<float>({5, 1}, values),
                      Tensor::FromVector<float>({5, 1}, values), 9);
  std::vector<int> seen(5);
  for (int i = 0; i < 5; ++i) {
    const auto batch = data.NextBatch(3);
    ASSERT_TRUE(batch.ok());
    EXPECT_EQ(batch->images, batch->labels);
    for (const float v : Floats(batch->images)) ++seen[static_cast<int>(v)];
  }
  EXPECT_EQ(seen, std::vector<int>(5, 3)) << "15 draws are three whole epochs";
  EXPECT_FALSE(data.NextBatch(6).ok());
}

TEST(DatasetTest, ShufflesAsTheReaderOfTensorFlowsTutorials) {
  std::vector<float> values(10);
  std::iota(values.begin(), values.end(), 0.0f);
  const Tensor rows = Tensor::FromVector<float>({10, 1}, values);
  train::Dataset data(rows, rows, /*seed=*/1);
  // numpy.random.seed(1), then each epoch shuffles the order of the one before.
  const std::vector<std::vector<float>> epochs = {{2, 9, 6, 4, 0, 3, 1, 7, 8, 5},
                                                  {5, 3, 4, 2, 8, 0, 6, 9, 1, 7}};
  for (const std::vector<float>& epoch : epochs)
    EXPECT_EQ(Floats(data.NextBatch(10)->images), epoch);
}

}  // namespace
}  // namespace espalier
