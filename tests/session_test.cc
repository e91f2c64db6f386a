// Running graphs: plans, order of state, callables, loops, queues, concurrency, memory.
#include <random>
#include <thread>

#include "espalier/runtime/recursive_evaluator.h"
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

// while (i < limit) { i += 1; sum += i; }, out of the primitives.
TEST(ControlFlowTest, ALoopOfPrimitivesRuns) {
  const auto def = ParseGraphDef(R"pb(
                                   node {
                                     name: "zero"
                                     op: "Const"
                                     attr {
                                       key: "dtype"
                                       value { type: DT_FLOAT }
                                     }
                                     attr {
                                       key: "value"
                                       value {
                                         tensor {
                                           dtype: DT_FLOAT
                                           tensor_shape {}
                                           float_val: 0
                                         }
                                       }
                                     }
                                   }
                                   node {
                                     name: "limit"
                                     op: "Placeholder"
                                     attr {
                                       key: "dtype"
                                       value { type: DT_FLOAT }
                                     }
                                   }
                                   node {
                                     name: "one"
                                     op: "Const"
                                     attr {
                                       key: "dtype"
                                       value { type: DT_FLOAT }
                                     }
                                     attr {
                                       key: "value"
                                       value {
                                         tensor {
                                           dtype: DT_FLOAT
                                           tensor_shape {}
                                           float_val: 1
                                         }
                                       }
                                     }
                                   }
                                   node {
                                     name: "ei"
                                     op: "Enter"
                                     input: "zero"
                                     attr {
                                       key: "frame_name"
                                       value { s: "f" }
                                     }
                                   }
                                   node {
                                     name: "es"
                                     op: "Enter"
                                     input: "zero"
                                     attr {
                                       key: "frame_name"
                                       value { s: "f" }
                                     }
                                   }
                                   node {
                                     name: "el"
                                     op: "Enter"
                                     input: "limit"
                                     attr {
                                       key: "frame_name"
                                       value { s: "f" }
                                     }
                                     attr {
                                       key: "is_constant"
                                       value { b: true }
                                     }
                                   }
                                   node {
                                     name: "e1"
                                     op: "Enter"
                                     input: "one"
                                     attr {
                                       key: "frame_name"
                                       value { s: "f" }
                                     }
                                     attr {
                                       key: "is_constant"
                                       value { b: true }
                                     }
                                   }
                                   node { name: "mi" op: "Merge" input: "ei" input: "ni" }
                                   node { name: "ms" op: "Merge" input: "es" input: "ns" }
                                   node { name: "less" op: "Less" input: "mi" input: "el" }
                                   node { name: "cond" op: "LoopCond" input: "less" }
                                   node { name: "si" op: "Switch" input: "mi" input: "cond" }
                                   node { name: "ss" op: "Switch" input: "ms" input: "cond" }
                                   node { name: "i" op: "AddV2" input: "si:1" input: "e1" }
                                   node { name: "s" op: "AddV2" input: "ss:1" input: "i" }
                                   node { name: "ni" op: "NextIteration" input: "i" }
                                   node { name: "ns" op: "NextIteration" input: "s" }
                                   node { name: "xs" op: "Exit" input: "ss" }
                                 )pb",
                                 "loop");
  ASSERT_TRUE(def.ok()) << def.status();
  Graph graph;
  ASSERT_TRUE(ImportGraphDef(*def, graph).ok()) << graph.status();
  for (const bool shuffled : {false, true}) {
    SessionOptions options;
    if (shuffled) options.work_queue = [] { return std::make_unique<ShuffledQueue>(3); };
    options.limits.max_loop_iterations = 1000;
    Session session(graph, options);
    EXPECT_EQ(MustRun(session, {{"limit", 10.0f}}, {.fetch = {"xs"}})[0].scalar<float>(), 55);
    EXPECT_EQ(MustRun(session, {{"limit", 0.0f}}, {.fetch = {"xs"}})[0].scalar<float>(), 0);
    EXPECT_EQ(session.Run({{"limit", 1e9f}}, {.fetch = {"xs"}}).status().code(),
              absl::StatusCode::kResourceExhausted);
  }
}

// Random graphs of 40 nodes: arithmetic, nested Conds, a variable read and written, control
// dependencies, fed intermediates. Every way of running gives the recursive evaluator's bits.
class RandomGraph {
 public:
  explicit RandomGraph(uint64_t seed) : random_(seed) {
    const Scope s = graph.root();
    for (int i = 0; i < 2; ++i) {
      preds.push_back(Placeholder(s, kBool, Shape()));
      inputs.push_back(Placeholder(s, kFloat, {2}));
    }
    variable = Variable(s.Named("v"), Tensor::Of<float>({2}, {0.5f, -0.25f}));
    values_ = inputs;
    Grow(s, 40, 0);
    fetches.assign(values_.end() - std::min<size_t>(4, values_.size()), values_.end());
    fetches.push_back(variable);
    fed = values_[2 + Pick(values_.size() - 2)];
  }

  Graph graph;
  std::vector<Output> preds, inputs, fetches;
  std::vector<Operation> targets;
  Output variable, fed;

 private:
  size_t Pick(size_t n) { return random_() % n; }
  Output Any() { return values_[Pick(values_.size())]; }

  void Grow(const Scope& s, int count, int depth) {
    for (int i = 0; i < count; ++i) {
      const Scope here = last_.valid() && Pick(4) == 0 ? s.WithControlDependencies({last_}) : s;
      switch (Pick(depth < 2 ? 8 : 7)) {
        case 0:
          values_.push_back(Maximum(here, Any(), Any()));
          break;
        case 1:
          values_.push_back(Tanh(here, Any()));
          break;
        case 2:
          values_.push_back(here(variable) * here(Any()));
          break;
        case 3:
          last_ = AssignAdd(here, variable, here(Any()) * 0.125);
          targets.push_back(last_);
          break;
        case 4:
        case 5:
          values_.push_back(here(Any()) - here(Any()) * 0.5);
          break;
        case 6:
          values_.push_back(here(Any()) * here(Any()));
          break;
        default:
          values_.push_back(Branches(s, depth));
      }
      if (!values_.back().valid()) return;
    }
  }

  Output Branches(const Scope& s, int depth) {
    const auto branch = [&](const Scope& b) {
      const std::vector<Output> outside = values_;
      const std::vector<Operation> outside_targets = targets;
      const Operation outside_last = last_;
      Grow(b, 4, depth + 1);
      const Output result = Any();
      values_ = outside;
      // What is written inside a branch runs only when something there waits for it.
      std::vector<Operation> inside(targets.begin() + static_cast<int64_t>(outside_targets.size()),
                                    targets.end());
      targets = outside_targets;
      last_ = outside_last;
      return Output(Identity(b.WithControlDependencies(inside), result));
    };
    return Cond(s, preds[Pick(2)], branch, branch);
  }

  std::mt19937_64 random_;
  std::vector<Output> values_;
  Operation last_;
};

TEST(RandomGraphTest, EveryWayOfRunningAgreesWithTheRecursiveEvaluator) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomGraph random(seed);
    ASSERT_TRUE(random.graph.status().ok()) << random.graph.status();
    const Tensor x = Tensor::Of<float>({2}, {0.5f, -1.25f});
    const Tensor y = Tensor::Of<float>({2}, {1.5f, 0.75f});
    for (int bits = 0; bits < 8; ++bits) {
      std::vector<Feed> feeds = {{random.preds[0], (bits & 1) != 0},
                                 {random.preds[1], (bits & 2) != 0},
                                 {random.inputs[0], x},
                                 {random.inputs[1], y}};
      std::map<Output, Tensor> fed = {{random.preds[0], (bits & 1) != 0},
                                      {random.preds[1], (bits & 2) != 0},
                                      {random.inputs[0], x},
                                      {random.inputs[1], y}};
      const bool feed_intermediate = (bits & 4) != 0 && random.fed.dtype() == kFloat;
      if (feed_intermediate) {
        feeds.push_back({random.fed, y});
        fed[random.fed] = y;
      }
      RecursiveEvaluator evaluator;
      const Operation init(random.graph.initializers().at(random.variable.node()));
      ASSERT_TRUE(evaluator.Run({}, {}, {init}).ok());
      const auto gold = evaluator.Run(fed, random.fetches, random.targets);
      ASSERT_TRUE(gold.ok()) << gold.status();
      RunRequest request;
      for (const Output& fetch : random.fetches) request.fetch.push_back(fetch);
      for (const Operation& target : random.targets) request.target.push_back(target);
      for (int mode = 0; mode < 6; ++mode) {
        SessionOptions options;
        options.compile.decide = mode % 2 == 0;
        if (mode >= 4) options.work_queue = [] { return std::make_unique<ParallelQueue>(3); };
        if (mode == 2 || mode == 3)
          options.work_queue = [seed] { return std::make_unique<ShuffledQueue>(seed); };
        Session session(random.graph, options);
        ASSERT_TRUE(session.Initialize().ok());
        const auto out = session.Run(feeds, request);
        ASSERT_TRUE(out.ok()) << out.status();
        for (size_t i = 0; i < gold->size(); ++i) {
          EXPECT_EQ((*out)[i], (*gold)[i])
              << "mode " << mode << ", fetch " << i << ": " << (*out)[i].DebugString() << " for "
              << (*gold)[i].DebugString();
        }
      }
    }
  }
}

}  // namespace
}  // namespace espalier
