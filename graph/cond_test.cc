// Cond: what a branch captures and which side runs.
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(CondTest, CapturesThroughSwitchAndVariablesThroughRefSwitch) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Const(s, 2.0f);
  const Output w = Variable(s.Named("w"), 3.0f);
  const Output pred = Placeholder(s, kBool);
  Output in_branch, ref_in_branch;
  Cond(
      s, pred,
      [&](const Scope& b) -> Output {
        in_branch = b(x);
        ref_in_branch = b(w);
        return b(x) * b(w);
      },
      [&](const Scope& b) -> Output { return Identity(b, x); });
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  EXPECT_EQ(in_branch.node()->op(), "Switch");
  EXPECT_EQ(ref_in_branch.node()->op(), "RefSwitch");
}

TEST(CondTest, RunsTheSideThatIsTakenAndNests) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, Shape());
  const Output outer = Placeholder(s, kBool);
  const Output inner = Placeholder(s, kBool);
  const Output y = Cond(
      s, outer,
      [&](const Scope& b) {
        return Cond(
            b, inner, [&](const Scope& c) -> Output { return c(x) * 10; },
            [&](const Scope& c) -> Output { return c(x) * 100; });
      },
      [&](const Scope& b) -> Output { return -b(x); });
  const Output dy = Gradients(s, {y}, {x})[0];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  for (const bool decide : {true, false}) {
    Session session(graph, {.compile = {.decide = decide}});
    const auto run = [&](bool a, bool b) {
      const auto out = MustRun(session, {{x, 3.0f}, {outer, a}, {inner, b}}, {.fetch = {y, dy}});
      return std::pair(out[0].scalar<float>(), out[1].scalar<float>());
    };
    EXPECT_EQ(run(true, true), std::pair(30.0f, 10.0f));
    EXPECT_EQ(run(true, false), std::pair(300.0f, 100.0f));
    EXPECT_EQ(run(false, true), std::pair(-3.0f, -1.0f));
  }
}

}  // namespace
}  // namespace espalier
