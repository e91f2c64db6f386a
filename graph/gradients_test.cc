// Gradients: sharing, broadcasting, second order, grad_ys, depth.
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(GradientsTest, SharedSubexpressionsBroadcastingAndSecondOrder) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, {2});
  const Output a = Placeholder(s, kFloat, Shape());
  const Output square = s(x) * s(x);
  const Output y = s(square) * s(a) + s(square);
  const std::vector<Output> g = Gradients(s, {y}, {x, a});
  const Output second = Gradients(s, {g[0]}, {x})[0];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  const auto out = MustRun(session, {{x, Tensor::Of<float>({2}, {1, 2})}, {a, 3.0f}},
                           {.fetch = {g[0], g[1], second}});
  EXPECT_EQ(Floats(out[0]), (std::vector<float>{8, 16}));
  EXPECT_EQ(Floats(out[1]), (std::vector<float>{5}));
  EXPECT_EQ(Floats(out[2]), (std::vector<float>{8, 8}));
}

TEST(GradientsTest, GradYsAndStopGradients) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, Shape());
  const Output y = s(x) * s(x);
  const Output z = s(y) * s(x);
  const Output weighted = Gradients(s, {y}, {x}, {.grad_ys = {Const(s, 10.0f)}})[0];
  const Output stopped = Gradients(s, {z}, {x}, {.stop_gradients = {y}})[0];
  const Output none = Gradients(s, {StopGradient(s, y)}, {x})[0];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  EXPECT_FALSE(none.valid());
  Session session(graph);
  const auto out = MustRun(session, {{x, 3.0f}}, {.fetch = {weighted, stopped}});
  EXPECT_EQ(out[0].scalar<float>(), 60);
  EXPECT_EQ(out[1].scalar<float>(), 9);
}

TEST(GradientsTest, AChainOfAHundredThousandNodesNeedsNoRecursion) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, Shape());
  Output y = x;
  for (int i = 0; i < 100000; ++i) y = Identity(s, y);
  const Output dy = Gradients(s, {y}, {x})[0];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  const auto out = MustRun(session, {{x, 3.0f}}, {.fetch = {y, dy}});
  EXPECT_EQ(out[0].scalar<float>(), 3);
  EXPECT_EQ(out[1].scalar<float>(), 1);
}

}  // namespace
}  // namespace espalier
