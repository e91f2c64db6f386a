// Streaming metrics: what adds up over Runs. The values are those of tf.metrics of TensorFlow 2.21.
#include "espalier/train/metrics.h"

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(MetricsTest, AddUpOverRunsAndBeginAnew) {
  Graph graph;
  const Scope s = graph.root();
  const Output labels = Placeholder(s, kInt64, {-1});
  const Output predictions = Placeholder(s, kInt64, {-1});
  const Output weights = Placeholder(s, kFloat, {-1});
  const train::StreamingMetric plain = train::StreamingAccuracy(s, labels, predictions);
  const train::StreamingMetric weighted = train::StreamingAccuracy(s, labels, predictions, weights);
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  EXPECT_EQ(graph.collection(train::kLocalVariables).size(), 4);
  EXPECT_TRUE(graph.collection(kGlobalVariables).empty());
  Session session(graph);
  ASSERT_TRUE(session.Initialize().ok());
  const RunRequest now = {.fetch = {plain.value, weighted.value}};
  EXPECT_EQ(MustRun(session, {}, now)[0].scalar<float>(), 0) << "of nothing";
  const auto update = [&](const std::vector<int64_t>& is, const std::vector<int64_t>& said) {
    return MustRun(session,
                   {{labels, Tensor::FromVector<int64_t>({2}, is)},
                    {predictions, Tensor::FromVector<int64_t>({2}, said)},
                    {weights, Tensor::Of<float>({2}, {1, 3})}},
                   {.fetch = {plain.update, weighted.update}});
  };
  EXPECT_FLOAT_EQ(update({1, 2}, {1, 3})[1].scalar<float>(), 0.25f);
  const auto both = update({4, 5}, {4, 5});
  EXPECT_FLOAT_EQ(both[0].scalar<float>(), 0.75f);
  EXPECT_FLOAT_EQ(both[1].scalar<float>(), 0.625f);
  EXPECT_FLOAT_EQ(MustRun(session, {}, now)[1].scalar<float>(), 0.625f);
  MustRun(session, {}, {.target = {plain.reset}});
  const auto after = MustRun(session, {}, now);
  EXPECT_EQ(after[0].scalar<float>(), 0);
  EXPECT_FLOAT_EQ(after[1].scalar<float>(), 0.625f);
}

TEST(MetricsTest, MeansAndShares) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Const(s, Tensor::Of<float>({2, 2}, {1, 2, 3, 6}));
  const Output y = Const(s, Tensor::Of<float>({2, 2}, {1, 0, 3, 3}));
  const Output row_weights = Const(s, Tensor::Of<float>({2, 1}, {1, 3}));
  const Output is = Const(s, Tensor::Of<bool>({4}, {true, true, false, true}));
  const Output said = Const(s, Tensor::Of<bool>({4}, {true, false, true, true}));
  const Output weights = Const(s, Tensor::Of<float>({4}, {1, 2, 3, 4}));
  const std::vector<std::pair<train::StreamingMetric, float>> metrics = {
      {train::StreamingMean(s, x), 3.0f},
      {train::StreamingMean(s, x, row_weights), (1 + 2 + 9 + 18) / 8.0f},
      {train::StreamingMeanSquaredError(s, x, y), 13 / 4.0f},
      {train::StreamingPrecision(s, is, said), 2 / 3.0f},
      {train::StreamingPrecision(s, is, said, weights), 5 / 8.0f},
      {train::StreamingRecall(s, is, said), 2 / 3.0f},
      {train::StreamingRecall(s, is, said, weights), 5 / 7.0f},
  };
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  ASSERT_TRUE(session.Initialize().ok());
  for (const auto& [metric, expected] : metrics) {
    for (int i = 0; i < 2; ++i)  // the same batch again changes nothing
      EXPECT_FLOAT_EQ(MustRun(session, {}, {.fetch = {metric.update}})[0].scalar<float>(),
                      expected);
  }
}

TEST(MetricsTest, EmptyOutputsAreErrors) {
  Graph graph;
  const train::StreamingMetric metric = train::StreamingAccuracy(graph.root(), Output(), Output());
  EXPECT_FALSE(metric.update.valid());
  EXPECT_EQ(graph.status().code(), absl::StatusCode::kInvalidArgument) << graph.status();
}

}  // namespace
}  // namespace espalier
