// Booleans are decided before anything runs.
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(PlanTest, WithIsTrainingFedThereIsNoSwitchAndNoMerge) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, {-1, 3});
  const Output training = Placeholder(s, kBool);
  const Output y = layers::BatchNormalization(s, x, {.training = training});
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  const Tensor data = Tensor::Of<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto plan = session.DescribePlan({{x, data}, {training, true}}, {.fetch = {y}});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->find("Switch"), std::string::npos) << *plan;
  EXPECT_EQ(plan->find("Merge"), std::string::npos) << *plan;
  Session general(graph, {.compile = {.decide = false}});
  const auto undecided = general.DescribePlan({{x, data}, {training, true}}, {.fetch = {y}});
  EXPECT_NE(undecided->find("Switch"), std::string::npos);
}

TEST(PlanTest, AnUnfedPlaceholderWithDefaultDecides) {
  Graph graph;
  const Scope s = graph.root();
  const Output pred = PlaceholderWithDefault(s, Const(s, false), Shape());
  const Output both = LogicalAnd(s, LogicalNot(s, pred), Const(s, true));
  const Output y = Cond(
      s, both, [&](const Scope& b) -> Output { return Const(b, 1.0f); },
      [&](const Scope& b) -> Output { return Const(b, 2.0f); });
  Session session(graph);
  EXPECT_EQ(session.DescribePlan({}, {.fetch = {y}})->find("Switch"), std::string::npos);
  EXPECT_EQ(MustRun(session, {}, {.fetch = {y}})[0].scalar<float>(), 1);
  EXPECT_EQ(MustRun(session, {{pred, true}}, {.fetch = {y}})[0].scalar<float>(), 2);
}

}  // namespace
}  // namespace espalier
