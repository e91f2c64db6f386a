// Random graphs run alike in every way of running them.
#include "espalier/runtime/recursive_evaluator.h"

#include <memory>
#include <random>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

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
