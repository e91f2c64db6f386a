// Reads and writes of variables happen in the order of the program.
#include <memory>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(StateTest, ReadsAndWritesFollowTheOrderOfTheProgram) {
  Graph graph;
  const Scope s = graph.root();
  const Output w = Variable(s.Named("w"), 1.0f);
  const Output before = s(w) * 1;
  const Output first = AssignAdd(s, w, Const(s, 10.0f));
  const Output between = s(w) * 1;
  const Output second = AssignAdd(s, w, Const(s, 100.0f));
  const Output after = s(w) * 1;
  ASSERT_TRUE(graph.status().ok());
  for (const int mode : {0, 1, 2, 3}) {
    SessionOptions options;
    if (mode == 1) options.work_queue = [] { return std::make_unique<InlineQueue>(); };
    if (mode == 2) options.work_queue = [] { return std::make_unique<ShuffledQueue>(7); };
    if (mode == 3) options.work_queue = [] { return std::make_unique<ParallelQueue>(4); };
    Session session(graph, options);
    ASSERT_TRUE(session.Initialize().ok());
    const auto out =
        MustRun(session, {}, {.fetch = {after, between, before, w}, .target = {first, second}});
    EXPECT_EQ(out[2].scalar<float>(), 1) << mode;
    EXPECT_EQ(out[1].scalar<float>(), 11) << mode;
    EXPECT_EQ(out[0].scalar<float>(), 111) << mode;
    EXPECT_EQ(out[3].scalar<float>(), 111) << "a fetched variable is read after all writes";
  }
}

TEST(StateTest, AReadKeepsItsValueAfterAWrite) {
  Graph graph;
  const Scope s = graph.root();
  const Output w = Variable(s.Named("w"), Tensor::Of<float>({2}, {1, 2}));
  const Output update = AssignAdd(s, w, Const(s, Tensor::Of<float>({2}, {1, 1})));
  Session session(graph);
  ASSERT_TRUE(session.Initialize().ok());
  const Tensor old = MustRun(session, {}, {.fetch = {w}})[0];
  MustRun(session, {}, {.target = {update}});
  EXPECT_EQ(Floats(old), (std::vector<float>{1, 2}));
  EXPECT_EQ(Floats(MustRun(session, {}, {.fetch = {w}})[0]), (std::vector<float>{2, 3}));
}

TEST(StateTest, InitialValuesRunInTheOrderOfTheirDependencies) {
  Graph graph;
  const Scope s = graph.root();
  const Output a = Variable(s.Named("a"), 2.0f);
  const Output b = Variable(s.Named("b"), s(a) * 3);
  const Output c = Variable(s.Named("c"), s(b) + 1);
  Session session(graph);
  EXPECT_EQ(session.ReportUninitializedVariables(), (std::vector<std::string>{"a", "b", "c"}));
  ASSERT_TRUE(session.Initialize().ok());
  EXPECT_TRUE(session.ReportUninitializedVariables().empty());
  EXPECT_EQ(MustRun(session, {}, {.fetch = {c}})[0].scalar<float>(), 7);
}

}  // namespace
}  // namespace espalier
