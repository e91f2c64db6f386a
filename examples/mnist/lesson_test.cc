// The notebook's lesson on small data.
#include <algorithm>
#include <random>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

enum class Lesson { kRight, kWithoutUpdateOps, kTrainedAsInference };

// Ten kinds of small image, learnt by a stack of narrow convolutions too deep to learn without
// normalisation. The score is by the moving statistics, one image at a time.
float AccuracyOneByOne(Lesson lesson) {
  constexpr int kSide = 6, kPixels = kSide * kSide, kClasses = 10;
  Graph graph;
  graph.set_seed(5);
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, {-1, kSide, kSide, 1});
  const Output labels = Placeholder(s, kFloat, {-1, kClasses});
  const Output training = Placeholder(s, kBool);
  Output net = x;
  for (int depth = 0; depth < 16; ++depth) {
    net = layers::Conv2D(s, net, 12, 3, {.padding = kSame, .use_bias = false});
    net = layers::BatchNormalization(s, net, {.training = training, .momentum = 0.9});
    net = Relu(s, net);
  }
  const Output logits = layers::Dense(s, layers::Flatten(s, net), kClasses);
  const Output loss = ReduceMean(s, SigmoidCrossEntropyWithLogits(s, labels, logits));
  const std::vector<Operation> updates =
      lesson == Lesson::kWithoutUpdateOps ? std::vector<Operation>() : graph.collection(kUpdateOps);
  const Operation train = train::Adam(0.002).Minimize(s.WithControlDependencies(updates), loss);
  EXPECT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  EXPECT_TRUE(session.Initialize().ok());

  std::mt19937 random(11);
  std::uniform_real_distribution<float> pixel(0, 1);
  std::normal_distribution<float> noise(0, 0.2f);
  std::vector<float> patterns(kClasses * kPixels);
  for (float& p : patterns) p = pixel(random);
  const auto draw = [&](int count) {
    std::vector<float> pixels, one_hot(count * kClasses, 0.0f);
    for (int i = 0; i < count; ++i) {
      one_hot[i * kClasses + i % kClasses] = 1;
      for (int k = 0; k < kPixels; ++k)
        pixels.push_back(patterns[(i % kClasses) * kPixels + k] + noise(random));
    }
    return train::Batch{Tensor::FromVector<float>({count, kSide, kSide, 1}, pixels),
                        Tensor::FromVector<float>({count, kClasses}, one_hot)};
  };
  for (int i = 0; i < 120; ++i) {
    const train::Batch batch = draw(40);
    MustRun(session,
            {{x, batch.images},
             {labels, batch.labels},
             {training, lesson != Lesson::kTrainedAsInference}},
            {.target = {train}});
  }
  const train::Batch batch = draw(100);
  int right = 0;
  for (int i = 0; i < 100; ++i) {
    const std::vector<float> out = Floats(MustRun(
        session, {{x, *batch.images.Slice(i, i + 1)}, {training, false}}, {.fetch = {logits}})[0]);
    right += std::max_element(out.begin(), out.end()) - out.begin() == i % kClasses ? 1 : 0;
  }
  return static_cast<float>(right) / 100;
}

TEST(NotebookLessonTest, OnlyTrainingRightGeneralises) {
  EXPECT_GT(AccuracyOneByOne(Lesson::kRight), 0.9f);
  EXPECT_LT(AccuracyOneByOne(Lesson::kWithoutUpdateOps), 0.3f)
      << "the moving statistics never saw the data";
  EXPECT_LT(AccuracyOneByOne(Lesson::kTrainedAsInference), 0.3f)
      << "nothing was normalised, so nothing was learnt";
}

}  // namespace
}  // namespace espalier
