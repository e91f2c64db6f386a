// Batch normalisation: the moving statistics and the gradient.
#include <cmath>

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

}  // namespace
}  // namespace espalier
