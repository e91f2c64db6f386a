// Layers, optimizers and the notebook's lesson on small data.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(BatchNormalizationTest, TrainingNormalisesAndMovesTheStatisticsByOneRule) {
  for (const auto rule : {layers::MovingVariance::kUnbiased, layers::MovingVariance::kBiased}) {
    for (const bool image : {true, false}) {
      Graph graph;
      const Scope s = graph.root();
      const Shape shape = image ? Shape{2, 1, 2, 1} : Shape{4, 1};
      const Output x = Placeholder(s, kFloat, shape);
      const Output training = Placeholder(s, kBool);
      const Output y = layers::BatchNormalization(
          s, x, {.training = training, .momentum = 0.5, .epsilon = 0, .moving_variance = rule});
      ASSERT_TRUE(graph.status().ok()) << graph.status();
      Session session(graph);
      ASSERT_TRUE(session.Initialize().ok());
      RunRequest step = {.fetch = {y}};
      for (const Operation& update : graph.collection(kUpdateOps)) step.target.push_back(update);
      const Tensor data = Tensor::Of<float>(shape, {1, 2, 3, 6});  // mean 3, variance 3.5 or 14 / 3
      const auto out = MustRun(session, {{x, data}, {training, true}}, step);
      EXPECT_NEAR(out[0].data<float>()[3], 3 / std::sqrt(3.5f), 1e-5);
      const float variance = rule == layers::MovingVariance::kUnbiased ? 14.0f / 3 : 3.5f;
      const RunRequest statistics = {
          .fetch = {"batch_normalization/moving_mean", "batch_normalization/moving_variance"}};
      auto moving = MustRun(session, {}, statistics);
      EXPECT_NEAR(moving[0].data<float>()[0], 1.5f, 1e-5);
      EXPECT_NEAR(moving[1].data<float>()[0], 0.5f + variance / 2, 1e-5) << "image " << image;
      const auto inference = MustRun(session, {{x, data}, {training, false}}, step);
      EXPECT_NEAR(inference[0].data<float>()[0], (1 - 1.5f) / std::sqrt(0.5f + variance / 2), 1e-5);
      moving = MustRun(session, {}, statistics);
      EXPECT_NEAR(moving[0].data<float>()[0], 1.5f, 1e-5) << "not training: the statistics stay";
    }
  }
}

TEST(BatchNormalizationTest, TheFusedGradientIsThatOfTheFormula) {
  for (const bool training : {true, false}) {
    Graph graph;
    const Scope s = graph.root();
    const Output x = Placeholder(s, kFloat, {3, 2, 1, 2});
    const Output w =
        Const(s, Tensor::Of<float>({3, 2, 1, 2}, {1, -2, .5f, 3, -1, 2, 0, 1, 2, -.5f, 1, .25f}));
    const Output gamma = Const(s, Tensor::Of<float>({2}, {1.5f, 0.5f}));
    const Output beta = Const(s, Tensor::Of<float>({2}, {0.1f, -0.2f}));
    const Output mean = Const(s, Tensor::Of<float>({2}, {0.3f, 0.4f}));
    const Output variance = Const(s, Tensor::Of<float>({2}, {1.1f, 0.7f}));
    const auto fused = FusedBatchNormV3(s, x, gamma, beta, mean, variance,
                                        {.epsilon = 0.01f, .is_training = training});
    const auto moments = Moments(s, x, {0, 1, 2});
    const Output plain =
        BatchNormalization(s, x, training ? moments.mean : mean,
                           training ? moments.variance : variance, beta, gamma, 0.01f);
    const auto a = Gradients(s, {ReduceSum(s, s(fused.y) * s(w))}, {x, gamma, beta});
    const auto b = Gradients(s, {ReduceSum(s, s(plain) * s(w))}, {x, gamma, beta});
    ASSERT_TRUE(graph.status().ok()) << graph.status();
    Session session(graph);
    const Tensor data =
        Tensor::Of<float>({3, 2, 1, 2}, {.1f, 2, -1, .5f, .7f, 1.5f, -2, 1, .3f, -.4f, 1.2f, 0});
    const auto out = MustRun(session, {{x, data}},
                             {.fetch = {fused.y, plain, a[0], b[0], a[1], b[1], a[2], b[2]}});
    for (size_t i = 0; i < out.size(); i += 2) {
      for (int64_t k = 0; k < out[i].num_elements(); ++k) {
        EXPECT_NEAR(out[i].data<float>()[k], out[i + 1].data<float>()[k], 2e-5) << i << " " << k;
      }
    }
  }
}

TEST(OptimizerTest, FollowTheirFormulasAndNameTheirSlots) {
  Graph graph;
  const Scope s = graph.root();
  const Output w = Variable(s.Named("w"), Tensor::Of<float>({2}, {1, -2}));
  const Output step = Variable(s.Named("global_step"), int64_t{0}, {.trainable = false});
  const Output loss = L2Loss(s, w);  // the gradient is w
  const Operation adam = train::Adam(0.1).Minimize(s, loss, {.global_step = step});
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  for (const char* name : {"w/Adam", "w/Adam_1", "beta1_power", "beta2_power"}) {
    EXPECT_NE(graph.FindNode(name), nullptr) << name;
  }
  Session session(graph);
  ASSERT_TRUE(session.Initialize().ok());
  double m = 0, v = 0, x = 1;
  for (int i = 1; i <= 5; ++i) {
    MustRun(session, {}, {.target = {adam}});
    m = 0.9 * m + 0.1 * x;
    v = 0.999 * v + 0.001 * x * x;
    x -= 0.1 * std::sqrt(1 - std::pow(0.999, i)) / (1 - std::pow(0.9, i)) * m /
         (std::sqrt(v) + 1e-8);
    EXPECT_NEAR(MustRun(session, {}, {.fetch = {w}})[0].data<float>()[0], x, 1e-5) << "step " << i;
  }
  EXPECT_EQ(MustRun(session, {}, {.fetch = {step}})[0].scalar<int64_t>(), 5);
}

TEST(OptimizerTest, VarListTrainsWhatItNames) {
  Graph graph;
  const Scope s = graph.root();
  const Output a = Variable(s.Named("a"), 1.0f);
  const Output b = Variable(s.Named("b"), 1.0f);
  const Operation train = train::Momentum(0.1, 0.9).Minimize(s, s(a) * s(b), {.var_list = {a}});
  Session session(graph);
  ASSERT_TRUE(session.Initialize().ok());
  MustRun(session, {}, {.target = {train}});
  const auto out = MustRun(session, {}, {.fetch = {a, b}});
  EXPECT_NEAR(out[0].scalar<float>(), 0.9f, 1e-6);
  EXPECT_EQ(out[1].scalar<float>(), 1);
}

TEST(RandomTest, TheSeedRuleIsTensorFlows) {
  Graph graph;
  EXPECT_EQ(graph.NextSeeds(-1), (std::pair<int64_t, int64_t>(0, 0)));
  EXPECT_EQ(graph.NextSeeds(5), (std::pair<int64_t, int64_t>(87654321, 5)));
  graph.set_seed(7);
  EXPECT_EQ(graph.NextSeeds(-1), (std::pair<int64_t, int64_t>(7, 0)));
  EXPECT_EQ(graph.NextSeeds(-1), (std::pair<int64_t, int64_t>(7, 1)));
  EXPECT_EQ(graph.NextSeeds(3), (std::pair<int64_t, int64_t>(7, 3)));
}

TEST(DropoutTest, DropsInTrainingOnly) {
  Graph graph;
  graph.set_seed(3);
  const Scope s = graph.root();
  const Output x = Const(s, Tensor::Filled<float>({1000}, 1));
  const Output training = Placeholder(s, kBool);
  const Output y = layers::Dropout(s, x, {.rate = 0.25, .training = training});
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  const auto kept = [&](bool on) {
    int count = 0;
    for (const float v : Floats(MustRun(session, {{training, on}}, {.fetch = {y}})[0])) {
      EXPECT_TRUE(v == 0 || v == 1 || std::abs(v - 4.0f / 3) < 1e-5f);
      count += v != 0 ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(kept(false), 1000);
  EXPECT_NEAR(kept(true), 750, 60);
}

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
