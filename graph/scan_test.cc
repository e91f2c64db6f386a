// TensorArray, Scan, Map and Case: values and gradients.
#include <cmath>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

using Values = std::vector<Output>;

TEST(TensorArrayTest, IsWrittenInALoopAndStacked) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, {-1, 2});
  const TensorArray inputs = TensorArray::Unstack(s, x);
  const TensorArray outputs(s, inputs.size(s), kFloat, {.element_shape = {2}});
  const Output size = inputs.size(s);
  const Values last = WhileLoop(
      s, {Const(s, 0), outputs.flow()},
      [&](const Scope& b, const Values& v) { return Less(b, v[0], size); },
      [&](const Scope& b, const Values& v) -> Values {
        const Output y = Square(b, inputs.Read(b, v[0]));
        return {b(v[0]) + 1, outputs.WithFlow(v[1]).Write(b, v[0], y).flow()};
      });
  const Output stacked = outputs.WithFlow(last[1]).Stack(s);
  const Output dx = Gradients(s, {stacked}, {x})[0];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  EXPECT_EQ(inputs.Read(s, Const(s, 0)).shape(), (Shape{2}));
  Session session(graph);
  const auto out = MustRun(session, {{x, Tensor::Of<float>({3, 2}, {1, 2, 3, 4, 5, 6})}},
                           {.fetch = {stacked, dx}});
  EXPECT_EQ(Floats(out[0]), (std::vector<float>{1, 4, 9, 16, 25, 36}));
  EXPECT_EQ(Floats(out[1]), (std::vector<float>{2, 4, 6, 8, 10, 12}));
}

TEST(ScanTest, KeepsEveryStateAndDifferentiates) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kDouble, {-1});
  const Output w = Const(s, 0.5);
  const Output initial = Const(s, 0.1);
  const Values states = Scan(s, {x, x}, {initial}, [&](const Scope& b, const ScanStep& step) {
    return Values{Tanh(b, b(step.state[0]) * b(w) + b(step.elements[0]) * b(step.elements[1]))};
  });
  ASSERT_EQ(states.size(), 1) << graph.status();
  const Values g = Gradients(s, {states[0]}, {x, w, initial});
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  const std::vector<double> points = {0.3, -0.2, 0.9};
  const auto out = MustRun(session, {{x, Tensor::FromVector<double>({3}, points)}},
                           {.fetch = {states[0], g[0], g[1], g[2]}});
  const auto sum_of = [](const std::vector<double>& xs, double weight, double start) {
    double h = start, sum = 0;
    for (const double value : xs) sum += h = std::tanh(h * weight + value * value);
    return sum;
  };
  double h = 0.1;
  for (int i = 0; i < 3; ++i) {
    h = std::tanh(h * 0.5 + points[i] * points[i]);
    EXPECT_NEAR(out[0].data<double>()[i], h, 1e-12);
    std::vector<double> more = points, less = points;
    more[i] += 1e-6;
    less[i] -= 1e-6;
    EXPECT_NEAR(out[1].data<double>()[i], (sum_of(more, 0.5, 0.1) - sum_of(less, 0.5, 0.1)) / 2e-6,
                1e-8);
  }
  EXPECT_NEAR(out[2].scalar<double>(),
              (sum_of(points, 0.5 + 1e-6, 0.1) - sum_of(points, 0.5 - 1e-6, 0.1)) / 2e-6, 1e-8);
  EXPECT_NEAR(out[3].scalar<double>(),
              (sum_of(points, 0.5, 0.1 + 1e-6) - sum_of(points, 0.5, 0.1 - 1e-6)) / 2e-6, 1e-8);
}

TEST(ScanTest, MapStacksWhatItsFunctionReturns) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, {-1, 2});
  const Output y = Map(
      s, x, [](const Scope& b, const Output& row) -> Output { return b(ReduceSum(b, row)) * 10; });
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  const auto out = MustRun(session, {{x, Tensor::Of<float>({2, 2}, {1, 2, 3, 4})}}, {.fetch = {y}});
  EXPECT_EQ(Floats(out[0]), (std::vector<float>{30, 70}));
}

TEST(ScanTest, RefusesElementsWithoutRowsAndStepsThatReturnTooLittle) {
  for (const bool scalar : {true, false}) {
    Graph graph;
    const Scope s = graph.root();
    const Output x = scalar ? Const(s, 1.0f) : Const(s, Tensor::Of<float>({2}, {1, 2}));
    EXPECT_TRUE(Scan(s, {x}, {Const(s, 0.0f)}, [](const Scope&, const ScanStep&) {
                  return Values();
                }).empty());
    EXPECT_EQ(graph.status().code(), absl::StatusCode::kInvalidArgument) << graph.status();
  }
}

TEST(CaseTest, TakesTheFirstThatHoldsElseTheDefault) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, Shape());
  const auto times = [&](float factor) {
    return [&x, factor](const Scope& b) -> Output { return b(x) * factor; };
  };
  const Output y =
      Case(s, {{Less(s, x, Const(s, 0.0f)), times(-1)}, {Less(s, x, Const(s, 10.0f)), times(2)}},
           times(3));
  const Output dx = Gradients(s, {y}, {x})[0];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  for (const auto& [at, value, slope] : std::vector<std::tuple<float, float, float>>{
           {-5.0f, 5.0f, -1.0f}, {5.0f, 10.0f, 2.0f}, {20.0f, 60.0f, 3.0f}}) {
    const auto out = MustRun(session, {{x, at}}, {.fetch = {y, dx}});
    EXPECT_EQ(out[0].scalar<float>(), value);
    EXPECT_EQ(out[1].scalar<float>(), slope);
  }
}

}  // namespace
}  // namespace espalier
