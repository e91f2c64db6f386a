// Variables: names, reuse, where they are made.
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(VariableScopeTest, SharesOnReuseAndRefusesWithout) {
  Graph graph;
  const Scope s = graph.root().WithVariableScope("net");
  const Output w = GetVariable(s, "w", {2}, initializers::Zeros());
  EXPECT_EQ(w.node()->name(), "net/w");
  EXPECT_EQ(GetVariable(s.WithReuse(true), "w", {2}, initializers::Zeros()), w);
  EXPECT_FALSE(GetVariable(s, "w", {2}, initializers::Zeros()).valid());
  ExpectError(graph.status(), absl::StatusCode::kInvalidArgument,
              {"net/w", "exists already", "variable_test.cc"});
}

TEST(VariableScopeTest, LayersAreNamedAsInTensorFlow) {
  Graph graph;
  const Scope s = graph.root();
  Output x = Placeholder(s, kFloat, {-1, 8, 8, 1});
  x = layers::Conv2D(s, x, 2, 3);
  x = layers::BatchNormalization(s, x, {.training = true});
  x = layers::Conv2D(s, x, 2, 3);
  EXPECT_NE(graph.FindNode("conv2d/kernel"), nullptr);
  EXPECT_NE(graph.FindNode("conv2d_1/bias"), nullptr);
  EXPECT_NE(graph.FindNode("batch_normalization/moving_variance"), nullptr);
  EXPECT_NE(graph.FindNode("conv2d/Conv2D"), nullptr);
}

TEST(VariableTest, IsMadeOutsideDependenciesAndBranches) {
  Graph graph;
  const Scope s = graph.root();
  const Operation late = NoOp(s);
  Output w;
  Cond(
      s, Const(s, true),
      [&](const Scope& b) -> Output {
        w = Variable(b.WithControlDependencies({late}).Named("w"), 1.0f);
        return b(w) + 1;
      },
      [&](const Scope& b) -> Output { return Const(b, 0.0f); });
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  EXPECT_EQ(w.node()->context(), nullptr);
  EXPECT_TRUE(w.node()->control_inputs().empty());
  Session session(graph);
  ASSERT_TRUE(session.Initialize().ok());
}

}  // namespace
}  // namespace espalier
