// Schedules follow their formulas, and optimizers take them.
#include "espalier/train/learning_rate.h"

#include <cmath>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

// The schedule's value at each of the steps.
template <typename Make>
std::vector<double> ValuesAt(const std::vector<int64_t>& steps, const Make& make) {
  Graph graph;
  const Scope s = graph.root();
  const Output step = Placeholder(s, kInt64, Shape());
  const Output rate = make(s, step);
  EXPECT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  std::vector<double> values;
  for (const int64_t at : steps)
    values.push_back(MustRun(session, {{step, at}}, {.fetch = {rate}})[0].scalar<float>());
  return values;
}

void ExpectValues(const std::vector<double>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 1e-6) << i;
}

TEST(LearningRateTest, DecaysFollowTheirFormulas) {
  const std::vector<int64_t> steps = {0, 5, 10, 15};
  ExpectValues(ValuesAt(steps,
                        [](const Scope& s, const Output& step) {
                          return train::ExponentialDecay(s, 0.1, step, {.steps = 10, .rate = 0.5});
                        }),
               {0.1, 0.1 * std::sqrt(0.5), 0.05, 0.05 * std::sqrt(0.5)});
  ExpectValues(ValuesAt(steps,
                        [](const Scope& s, const Output& step) {
                          return train::ExponentialDecay(
                              s, 0.1, step, {.steps = 10, .rate = 0.5, .staircase = true});
                        }),
               {0.1, 0.1, 0.05, 0.05});
  ExpectValues(ValuesAt(steps,
                        [](const Scope& s, const Output& step) {
                          return train::NaturalExponentialDecay(s, 0.1, step,
                                                                {.steps = 10, .rate = 2});
                        }),
               {0.1, 0.1 * std::exp(-1), 0.1 * std::exp(-2), 0.1 * std::exp(-3)});
  ExpectValues(ValuesAt(steps,
                        [](const Scope& s, const Output& step) {
                          return train::InverseTimeDecay(s, 0.1, step, {.steps = 5, .rate = 1});
                        }),
               {0.1, 0.05, 0.1 / 3, 0.025});
  ExpectValues(ValuesAt(steps,
                        [](const Scope& s, const Output& step) {
                          return train::PolynomialDecay(
                              s, 0.1, step, {.steps = 10, .end_learning_rate = 0.02, .power = 2});
                        }),
               {0.1, 0.08 * 0.25 + 0.02, 0.02, 0.02});
  ExpectValues(ValuesAt({0, 5, 10, 15, 20},
                        [](const Scope& s, const Output& step) {
                          return train::PolynomialDecay(
                              s, 0.1, step, {.steps = 10, .end_learning_rate = 0, .cycle = true});
                        }),
               {0.1, 0.05, 0, 0.025, 0});
  ExpectValues(ValuesAt({0, 5, 10, 15},
                        [](const Scope& s, const Output& step) {
                          return train::CosineDecay(s, 0.1, step, 10, 0.5);
                        }),
               {0.1, 0.075, 0.05, 0.05});
  ExpectValues(ValuesAt({0, 3, 4, 7, 8},
                        [](const Scope& s, const Output& step) {
                          return train::PiecewiseConstant(s, step, {3, 7}, {1, 0.5, 0.1});
                        }),
               {1, 1, 0.5, 0.5, 0.1});
}

TEST(LearningRateTest, AnOptimizerTakesATensor) {
  Graph graph;
  const Scope s = graph.root();
  const Output w = Variable(s.Named("w"), 1.0f);
  const Output step = Variable(s.Named("global_step"), int64_t{0}, {.trainable = false});
  const Output rate = train::PiecewiseConstant(s, step, {0}, {0.5, 0.1});
  const Operation op =
      train::GradientDescent(rate).Minimize(s, L2Loss(s, w), {.global_step = step});
  Session session(graph);
  ASSERT_TRUE(session.Initialize().ok());
  MustRun(session, {}, {.target = {op}});
  MustRun(session, {}, {.target = {op}});
  EXPECT_NEAR(MustRun(session, {}, {.fetch = {w}})[0].scalar<float>(), 0.5f * 0.9f, 1e-6);
}

TEST(LearningRateTest, AWrongNumberOfValuesIsAnError) {
  Graph graph;
  train::PiecewiseConstant(graph.root(), Const(graph.root(), int64_t{0}), {1, 2}, {0.1, 0.2});
  ExpectError(graph.status(), absl::StatusCode::kInvalidArgument,
              {"PiecewiseConstant", "learning_rate_test.cc", "3 values", "received 2"});
}

}  // namespace
}  // namespace espalier
