// The further optimizers take the steps of their formulas and name their slots as TensorFlow does;
// moving averages follow.
#include "espalier/train/optimizers.h"

#include <cmath>
#include <functional>
#include <memory>

#include "espalier/tests/testing.h"
#include "espalier/train/moving_average.h"

namespace espalier {
namespace {

// A rule over one number x with gradient x, and its state.
using Rule = std::function<void(double& x, double* state)>;

struct Row {
  const char* name;
  std::shared_ptr<train::Optimizer> optimizer;
  std::vector<std::string> slots;
  std::vector<double> state;  // at the start
  Rule rule;
};

std::vector<Row> Rows() {
  const auto shrink = [](double x, double rate) {  // l1 = 0.1, l2 = 0.2
    return std::copysign(std::max(std::abs(x) - rate * 0.1, 0.0), x) / (1 + rate * 0.2);
  };
  return {
      {"RmsProp",
       std::make_shared<train::RmsProp>(0.1, train::RmsPropOptions{.momentum = 0.5}),
       {"w/RMSProp", "w/RMSProp_1"},
       {1, 0},
       [](double& x, double* s) {
         s[0] = 0.9 * s[0] + 0.1 * x * x;
         s[1] = 0.5 * s[1] + 0.1 * x / std::sqrt(s[0] + 1e-10);
         x -= s[1];
       }},
      {"CenteredRmsProp",
       std::make_shared<train::RmsProp>(0.1, train::RmsPropOptions{.centered = true}),
       {"w/RMSProp", "w/RMSProp_1", "w/RMSProp_2"},
       {1, 0},
       [](double& x, double* s) {
         s[0] = 0.9 * s[0] + 0.1 * x * x;
         s[1] = 0.9 * s[1] + 0.1 * x;
         x -= 0.1 * x / std::sqrt(s[0] - s[1] * s[1] + 1e-10);
       }},
      {"Adagrad",
       std::make_shared<train::Adagrad>(0.1),
       {"w/Adagrad"},
       {0.1},
       [](double& x, double* s) {
         s[0] += x * x;
         x -= 0.1 * x / std::sqrt(s[0]);
       }},
      {"Adadelta",
       std::make_shared<train::Adadelta>(1.0, 0.9, 1e-3),
       {"w/Adadelta", "w/Adadelta_1"},
       {0, 0},
       [](double& x, double* s) {
         s[0] = 0.9 * s[0] + 0.1 * x * x;
         const double step = std::sqrt(s[1] + 1e-3) / std::sqrt(s[0] + 1e-3) * x;
         s[1] = 0.9 * s[1] + 0.1 * step * step;
         x -= step;
       }},
      {"Ftrl",
       std::make_shared<train::Ftrl>(0.1),
       {"w/Ftrl", "w/Ftrl_1"},
       {0.1, 0},
       [](double& x, double* s) {
         const double accumulated = s[0] + x * x;
         s[1] += x - (std::sqrt(accumulated) - std::sqrt(s[0])) / 0.1 * x;
         s[0] = accumulated;
         x = -s[1] / (std::sqrt(accumulated) / 0.1);
       }},
      {"ProximalGradientDescent",
       std::make_shared<train::ProximalGradientDescent>(0.1, 0.1, 0.2),
       {},
       {},
       [shrink](double& x, double*) { x = shrink(x - 0.1 * x, 0.1); }},
      {"ProximalAdagrad",
       std::make_shared<train::ProximalAdagrad>(0.1, 0.1, 0.1, 0.2),
       {"w/ProximalAdagrad"},
       {0.1},
       [shrink](double& x, double* s) {
         s[0] += x * x;
         const double rate = 0.1 / std::sqrt(s[0]);
         x = shrink(x - rate * x, rate);
       }},
  };
}

class OptimizersTest : public testing::TestWithParam<Row> {};

TEST_P(OptimizersTest, FollowsItsFormulaAndNamesItsSlots) {
  const Row& row = GetParam();
  Graph graph;
  const Scope s = graph.root();
  const Output w = Variable(s.Named("w"), 1.5f);
  const Operation op = row.optimizer->Minimize(s, L2Loss(s, w));  // the gradient is w
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  for (const std::string& slot : row.slots) EXPECT_NE(graph.FindNode(slot), nullptr) << slot;
  Session session(graph);
  ASSERT_TRUE(session.Initialize().ok());
  double x = 1.5;
  std::vector<double> state = row.state;
  state.resize(4);
  for (int i = 1; i <= 5; ++i) {
    MustRun(session, {}, {.target = {op}});
    row.rule(x, state.data());
    EXPECT_NEAR(MustRun(session, {}, {.fetch = {w}})[0].scalar<float>(), x, 1e-5) << "step " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, OptimizersTest, testing::ValuesIn(Rows()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(MovingAverageTest, FollowsTheVariableFasterAtFirst) {
  for (const bool counted : {false, true}) {
    Graph graph;
    const Scope s = graph.root();
    const Output w = Variable(s.Named("w"), 1.0f);
    const Output n = Variable(s.Named("n"), int64_t{2}, {.trainable = false});
    train::ExponentialMovingAverage averages(0.9, counted ? n : Output());
    const Operation move = Assign(s, w, Const(s, 3.0f));
    const Operation update = averages.Apply(s, {w});
    ASSERT_TRUE(graph.status().ok()) << graph.status();
    EXPECT_EQ(averages.Average(w).node()->name(), "w/ExponentialMovingAverage");
    EXPECT_FALSE(averages.Average(n).valid());
    Session session(graph);
    ASSERT_TRUE(session.Initialize().ok());
    MustRun(session, {}, {.target = {move}});
    MustRun(session, {}, {.target = {update}});
    const double decay = counted ? 0.25 : 0.9;
    EXPECT_NEAR(MustRun(session, {}, {.fetch = {averages.Average(w)}})[0].scalar<float>(),
                decay * 1 + (1 - decay) * 3, 1e-6);
  }
}

TEST(MovingAverageTest, WhatIsNoVariableIsAnError) {
  Graph graph;
  train::ExponentialMovingAverage averages(0.9);
  averages.Apply(graph.root(), {Const(graph.root(), 1.0f)});
  ExpectError(graph.status(), absl::StatusCode::kInvalidArgument,
              {"ExponentialMovingAverage", "optimizers_test.cc", "is no variable"});
}

}  // namespace
}  // namespace espalier
