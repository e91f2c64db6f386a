// Sessions: feeds, callables, later nodes, threads, budgets.
#include <thread>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(SessionTest, FeedsAndFetchesAnyEdge) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s.Named("x"), kFloat, Shape());
  const Output y = s(x) * 2;
  const Output z = s(y) + 1;
  Session session(graph);
  EXPECT_EQ(MustRun(session, {{y, 10.0f}}, {.fetch = {z}})[0].scalar<float>(), 11);
  const auto both = MustRun(session, {{y, 10.0f}}, {.fetch = {y, z, z}});
  EXPECT_EQ(both[0].scalar<float>(), 10) << "a tensor fed and fetched gives the fed value";
  EXPECT_EQ(both[2].scalar<float>(), 11);
  EXPECT_EQ(MustRun(session, {{"x", 4.0f}}, {.fetch = {z.name().c_str()}})[0].scalar<float>(), 9);
}

TEST(SessionTest, CallablesRepeatARun) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, Shape());
  const Output y = s(x) * 2;
  Session session(graph);
  const auto callable = session.MakeCallable({x}, {.fetch = {y}});
  ASSERT_TRUE(callable.ok());
  for (const float v : {1.0f, 2.0f}) EXPECT_EQ((*callable->Run({v}))[0].scalar<float>(), 2 * v);
}

TEST(SessionTest, ANodeMadeLaterIsAnErrorThatNamesItsLineUntilExtend) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Const(s, 1.0f);
  Session session(graph);
  MustRun(session, {}, {.fetch = {x}});
  const Output late = s(x) + 1;
  ExpectError(session.Run({}, {.fetch = {late}}).status(), absl::StatusCode::kFailedPrecondition,
              {"session_test.cc", "Extend"});
  ASSERT_TRUE(session.Extend().ok());
  EXPECT_EQ(MustRun(session, {}, {.fetch = {late}})[0].scalar<float>(), 2);
  graph.Finalize();
  EXPECT_FALSE((s(x) + 2).output().valid());
  ExpectError(graph.status(), absl::StatusCode::kFailedPrecondition,
              {"finalized", "session_test.cc"});
  EXPECT_FALSE(session.Extend().ok());
  EXPECT_EQ(MustRun(session, {}, {.fetch = {late}})[0].scalar<float>(), 2) << "the session goes on";
}

TEST(SessionTest, ManyThreadsRunOneSession) {
  Graph graph;
  const Scope s = graph.root();
  const Output counter = Variable(s.Named("counter"), int64_t{0});
  const Output add = AssignAdd(s, counter, Const(s, int64_t{1}));
  Session session(graph, {.threads = 2});
  ASSERT_TRUE(session.Initialize().ok());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 250; ++i) MustRun(session, {}, {.target = {add}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(MustRun(session, {}, {.fetch = {counter}})[0].scalar<int64_t>(), 1000);
}

TEST(SessionTest, ABudgetIsAnErrorAndTheSessionGoesOn) {
  Graph graph;
  const Scope s = graph.root();
  const Output dims = Placeholder(s, kInt32, {1});
  const Output y = Fill(s, dims, Const(s, 1.0f));
  Session session(graph, {.budget = {.max_tensor_bytes = 1 << 20}});
  ExpectError(session.Run({{dims, Tensor::Of<int32_t>({1}, {1 << 30})}}, {.fetch = {y}}).status(),
              absl::StatusCode::kResourceExhausted, {"Fill", "budget", "session_test.cc"});
  EXPECT_EQ(
      MustRun(session, {{dims, Tensor::Of<int32_t>({1}, {3})}}, {.fetch = {y}})[0].num_elements(),
      3);
}

}  // namespace
}  // namespace espalier
