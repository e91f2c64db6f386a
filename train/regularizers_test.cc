// Regularisers: penalties, their collection, and the loss with them.
#include "espalier/train/regularizers.h"

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(RegularizersTest, AddToTheLossAndToItsGradient) {
  Graph graph;
  const Scope s = graph.root();
  const Output w = Variable(s.Named("w"), Tensor::Of<float>({2}, {3, -4}));
  const Output b = Variable(s.Named("b"), Tensor::Of<float>({2}, {-1, 2}));
  const Output data = ReduceSum(s, w);
  train::AddRegularization(s, {w}, train::L2(0.1));
  train::AddRegularization(s, {w, b}, train::L1(0.01));
  const Output loss = train::TotalLoss(s, data);
  const std::vector<Output> g = Gradients(s, {loss}, {w, b});
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  EXPECT_EQ(graph.collection(kRegularizationLosses).size(), 3);
  EXPECT_EQ(loss.name(), "total_loss:0");
  Session session(graph);
  ASSERT_TRUE(session.Initialize().ok());
  const auto out = MustRun(session, {}, {.fetch = {loss, g[0], g[1]}});
  EXPECT_FLOAT_EQ(out[0].scalar<float>(), -1 + 0.1f * 12.5f + 0.01f * 7 + 0.01f * 3);
  EXPECT_FLOAT_EQ(out[1].data<float>()[0], 1 + 0.3f + 0.01f);
  EXPECT_FLOAT_EQ(out[1].data<float>()[1], 1 - 0.4f - 0.01f);
  EXPECT_FLOAT_EQ(out[2].data<float>()[0], -0.01f);
}

}  // namespace
}  // namespace espalier
