// Optimizers follow their formulas.
#include <cmath>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

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

}  // namespace
}  // namespace espalier
