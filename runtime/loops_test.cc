// Loops at run time: order, limits, memory, and the frames that a plan refuses.
#include <chrono>
#include <memory>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

using Values = std::vector<Output>;

std::vector<SessionOptions> AllWaysToRun() {
  std::vector<SessionOptions> options(4);
  options[1].work_queue = [] { return std::make_unique<InlineQueue>(); };
  options[2].work_queue = [] { return std::make_unique<ShuffledQueue>(11); };
  options[3].work_queue = [] { return std::make_unique<ParallelQueue>(4); };
  return options;
}

LoopCondition CountTo(int limit) {
  return [limit](const Scope& s, const Values& v) { return Less(s, v[0], Const(s, limit)); };
}

TEST(LoopTest, StateChangesIterationByIterationAndAroundTheLoop) {
  Graph graph;
  const Scope s = graph.root();
  const Output v = Variable(s.Named("v"), 1.0f);
  const Output before = AssignAdd(s, v, Const(s, 1.0f));  // 2
  const Values last =
      WhileLoop(s, {Const(s, 0), Const(s, 0.0f)}, CountTo(5), [&](const Scope& b, const Values& x) {
        const Output doubled = Assign(b, v, b(v) * 2);
        const Scope after = b.WithControlDependencies({doubled});
        return Values{after(x[0]) + 1, after(x[1]) + after(v)};
      });
  const Output after = AssignAdd(s, v, Const(s, 0.5f));  // 64.5
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  for (const SessionOptions& options : AllWaysToRun()) {
    Session session(graph, options);
    ASSERT_TRUE(session.Initialize().ok());
    const auto out = MustRun(session, {}, {.fetch = {last[1], v}, .target = {before, after}});
    EXPECT_EQ(out[0].scalar<float>(), 4 + 8 + 16 + 32 + 64);
    EXPECT_EQ(out[1].scalar<float>(), 64.5f);
  }
}

TEST(LoopTest, ParallelIterationsChangeNothing) {
  for (const int64_t parallel : {1, 2, 10, 1000}) {
    Graph graph;
    const Scope s = graph.root();
    const Output x = Placeholder(s, kFloat, {3});
    // The second variable hangs behind the first: later iterations overtake earlier ones.
    const Values last = WhileLoop(s, {Const(s, 0), x}, CountTo(50),
                                  [&](const Scope& b, const Values& v) -> Values {
                                    Output y = v[1];
                                    for (int i = 0; i < 5; ++i) y = Sin(b, y);
                                    return {b(v[0]) + 1, b(y) + b(Cast(b, v[0], kFloat))};
                                  },
                                  {.parallel_iterations = parallel});
    const Output dx = Gradients(s, {last[1]}, {x})[0];
    ASSERT_TRUE(graph.status().ok()) << graph.status();
    std::vector<float> first;
    for (const SessionOptions& options : AllWaysToRun()) {
      Session session(graph, options);
      const auto out = MustRun(session, {{x, Tensor::Of<float>({3}, {0.1f, 0.2f, 0.3f})}},
                               {.fetch = {last[1], dx}});
      std::vector<float> all = Floats(out[0]);
      for (const float d : Floats(out[1])) all.push_back(d);
      if (first.empty()) first = all;
      EXPECT_EQ(all, first);
    }
  }
}

TEST(LoopTest, ALoopThatNeverEndsStopsAtItsDeadlineOrBudgetAndTheSessionGoesOn) {
  Graph graph;
  const Scope s = graph.root();
  const Output v = Variable(s.Named("v"), 0.0f);
  const Output forever = Placeholder(s, kBool);
  const Values last = WhileLoop(
      s, {Const(s, 0)}, [&](const Scope& b, const Values&) { return Identity(b, forever); },
      [&](const Scope& b, const Values& x) { return Values{b(x[0]) + 1}; });
  const Values nested = WhileLoop(
      s, {Const(s, 0.0f)}, [&](const Scope& b, const Values&) { return Identity(b, forever); },
      [&](const Scope& b, const Values& x) {
        const Output inner = WhileLoop(
            b, {x[0]}, [&](const Scope& c, const Values&) { return Identity(c, forever); },
            [&](const Scope& c, const Values& y) {
              return Values{Output(c(AssignAdd(c, v, Const(c, 1.0f))) + c(y[0]))};
            })[0];
        return Values{inner};
      });
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  for (SessionOptions options : AllWaysToRun()) {
    for (const Output& output : {last[0], nested[0]}) {
      options.limits = {.deadline = absl::Now() + absl::Milliseconds(50)};
      Session session(graph, options);
      ASSERT_TRUE(session.Initialize().ok());
      EXPECT_EQ(session.Run({{forever, true}}, {.fetch = {output}}).status().code(),
                absl::StatusCode::kDeadlineExceeded);
      options.limits = {.max_loop_iterations = 100};
      Session counted(graph, options);
      ASSERT_TRUE(counted.Initialize().ok());
      const absl::Status status = counted.Run({{forever, true}}, {.fetch = {output}}).status();
      ExpectError(status, absl::StatusCode::kResourceExhausted, {"NextIteration", "100"});
      EXPECT_EQ(MustRun(counted, {{forever, false}}, {.fetch = {last[0]}})[0].scalar<int32_t>(), 0);
    }
  }
}

TEST(LoopTest, WhatAGradientRemembersIsFreedWithTheRun) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, {1 << 16});  // 256 KiB
  const Output n = Placeholder(s, kInt32, Shape());
  const Values last = WhileLoop(
      s, {Const(s, 0), x}, [&](const Scope& b, const Values& v) { return Less(b, v[0], n); },
      [](const Scope& b, const Values& v) {
        return Values{b(v[0]) + 1, Sin(b, v[1])};
      });
  const Output dx = Gradients(s, {last[1]}, {x})[0];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph, {.budget = {.max_live_bytes = 16 << 20}});
  const Tensor zeros = Tensor::FromVector<float>({1 << 16}, std::vector<float>(1 << 16, 0.5f));
  // 40 iterations fit into the budget, 100 do not, and leave nothing behind.
  for (int i = 0; i < 10; ++i) {
    MustRun(session, {{x, zeros}, {n, 40}}, {.fetch = {dx}});
    EXPECT_EQ(session.Run({{x, zeros}, {n, 100}}, {.fetch = {dx}}).status().code(),
              absl::StatusCode::kResourceExhausted);
  }
  // Without a gradient nothing is remembered.
  MustRun(session, {{x, zeros}, {n, 1000}}, {.fetch = {last[1]}});
}

TEST(LoopTest, AValueOfTheLoopCannotBeFetched) {
  Graph graph;
  const Scope s = graph.root();
  Output inside;
  WhileLoop(s.Named("spin"), {Const(s, 0)}, CountTo(3), [&](const Scope& b, const Values& v) {
    inside = b(v[0]) + 1;
    return Values{inside};
  });
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  ExpectError(session.Run({}, {.fetch = {inside}}).status(), absl::StatusCode::kInvalidArgument,
              {"inside the loop 'spin/while_context'", "fetch what the loop returns"});
}

TEST(LoopTest, FramesNestedTooDeepAreRefused) {
  for (const int depth : {10, 100}) {
    Graph graph;
    const std::function<Output(const Scope&, const Output&, int)> nest =
        [&](const Scope& s, const Output& x, int levels) -> Output {
      if (levels == 0) return s(x) + 1;
      return WhileLoop(s, {Const(s, 0), x}, CountTo(1), [&](const Scope& b, const Values& v) {
        return Values{b(v[0]) + 1, nest(b, v[1], levels - 1)};
      })[1];
    };
    const Output y = nest(graph.root(), Const(graph.root(), 1.0f), depth);
    ASSERT_TRUE(graph.status().ok()) << graph.status();
    Session session(graph);
    const auto out = session.Run({}, {.fetch = {y}});
    if (depth <= 64) {
      ASSERT_TRUE(out.ok()) << out.status();
      EXPECT_EQ((*out)[0].scalar<float>(), 2);
    } else {
      ExpectError(out.status(), absl::StatusCode::kResourceExhausted, {"nested deeper than 64"});
    }
  }
}

}  // namespace
}  // namespace espalier
