// Every op against its own examples: inferred shape = actual shape, values, gradients against
// finite differences in double, GraphDef round trip, and the same bits on 1 and 4 threads.
#include <cmath>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/graph_def.h"
#include "espalier/ops/all_ops.h"
#include "espalier/tools/example_graph.h"
#include "gtest/gtest.h"

namespace espalier {
namespace {

struct Case {
  const OpSchema* op;
  const OpExample* example;
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const OpSchema* op : BuiltinOps().ops()) {
    for (const OpExample& example : op->examples()) cases.push_back({op, &example});
  }
  return cases;
}

std::string CaseName(const testing::TestParamInfo<Case>& info) {
  std::string name = absl::StrCat(info.param.op->name(), "_", info.index);
  return name;
}

double Element(const Tensor& t, int64_t i) {
  return DispatchType(PlainTypes(), t.dtype(),
                      [&]<typename T>() { return static_cast<double>(t.data<T>()[i]); });
}

void ExpectNear(const Tensor& actual, const Tensor& expected, double tolerance,
                const std::string& what) {
  ASSERT_EQ(actual.dtype(), expected.dtype()) << what;
  ASSERT_EQ(actual.shape(), expected.shape()) << what << actual.shape().ToString();
  if (expected.dtype() == kString) {
    EXPECT_EQ(actual, expected) << what;
    return;
  }
  for (int64_t i = 0; i < expected.num_elements(); ++i) {
    const double e = Element(expected, i);
    EXPECT_NEAR(Element(actual, i), e, tolerance * std::max(1.0, std::abs(e)))
        << what << ", element " << i;
  }
}

class RegistryTest : public testing::TestWithParam<Case> {
 protected:
  static absl::StatusOr<std::vector<Tensor>> RunExample(const ExampleGraph& example, int threads) {
    Session session(example.graph, {.threads = threads});
    RETURN_IF_ERROR(session.Initialize());
    RunRequest request;
    for (int i = 0; i < example.node->num_outputs(); ++i)
      request.fetch.push_back(example.node->output(i));
    if (request.fetch.empty()) request.target.push_back(Operation(example.node));
    return session.Run(example.feeds, request);
  }
};

TEST_P(RegistryTest, ValuesAndShapesAreAsDeclared) {
  const auto& [op, example] = GetParam();
  SCOPED_TRACE(absl::StrCat(op->name(), ": ", example->name));
  ExampleGraph graph(*op, *example, false);
  ASSERT_TRUE(graph.graph.status().ok()) << graph.graph.status();
  const auto out = RunExample(graph, 1);
  ASSERT_TRUE(out.ok()) << out.status();
  for (size_t i = 0; i < out->size(); ++i) {
    EXPECT_TRUE(Shape::Compatible(graph.node->output_shape(static_cast<int>(i)), (*out)[i].shape()))
        << "inferred " << graph.node->output_shape(static_cast<int>(i)).ToString() << ", actual "
        << (*out)[i].shape().ToString();
    EXPECT_EQ(RemoveRef(graph.node->output_dtype(static_cast<int>(i))), (*out)[i].dtype());
  }
  if (example->expected.empty()) return;
  ASSERT_EQ(out->size(), example->expected.size());
  for (size_t i = 0; i < out->size(); ++i) {
    ExpectNear((*out)[i], example->expected[i], example->tolerance, absl::StrCat("output ", i));
  }
}

TEST_P(RegistryTest, SameBitsOnOneAndFourThreads) {
  const auto& [op, example] = GetParam();
  ExampleGraph graph(*op, *example, false);
  const auto one = RunExample(graph, 1);
  const auto four = RunExample(graph, 4);
  ASSERT_TRUE(one.ok() && four.ok());
  for (size_t i = 0; i < one->size(); ++i)
    EXPECT_EQ((*one)[i], (*four)[i]) << op->name() << " " << example->name;
}

TEST_P(RegistryTest, SurvivesTheGraphDefRoundTrip) {
  const auto& [op, example] = GetParam();
  ExampleGraph graph(*op, *example, false);
  const auto def = ExportGraphDef(graph.graph);
  ASSERT_TRUE(def.ok()) << def.status();
  Graph copy;
  const absl::Status imported = ImportGraphDef(*def, copy);
  ASSERT_TRUE(imported.ok()) << imported;
  const auto again = ExportGraphDef(copy);
  ASSERT_TRUE(again.ok());
  ASSERT_EQ(def->node_size(), again->node_size());
  const Node* node = copy.FindNode("subject");
  ASSERT_NE(node, nullptr);
  EXPECT_EQ(node->attrs(), graph.node->attrs());
  EXPECT_EQ(node->num_outputs(), graph.node->num_outputs());
}

// Σ w · y for fixed weights w, so that every output element has a say of its own.
TEST_P(RegistryTest, GradientAgreesWithFiniteDifferences) {
  const auto& [op, example] = GetParam();
  if (op->gradient() == nullptr || !example->check_gradient) return;
  SCOPED_TRACE(absl::StrCat(op->name(), ": ", example->name));
  ExampleGraph graph(*op, *example, true);
  ASSERT_TRUE(graph.graph.status().ok()) << graph.graph.status();
  const Scope s = graph.graph.root();
  std::vector<Output> ys, grad_ys, xs;
  std::vector<size_t> x_feeds;
  for (int i = 0; i < graph.node->num_outputs(); ++i) {
    const Output y = graph.node->output(i);
    if (!IsDifferentiable(y.dtype())) continue;
    Session shapes(graph.graph);
    const auto value = shapes.Run(graph.feeds, {.fetch = {y}});
    ASSERT_TRUE(value.ok()) << value.status();
    std::vector<double> weights((*value)[0].num_elements());
    for (size_t k = 0; k < weights.size(); ++k)
      weights[k] = 0.3 + 0.17 * static_cast<double>(k * 5 % 7);
    ys.push_back(y);
    grad_ys.push_back(Const(s, Tensor::FromVector<double>((*value)[0].shape(), weights)));
  }
  for (size_t f = 0; f < graph.feeds.size(); ++f) {
    const auto x = graph.feeds[f].endpoint.Resolve(graph.graph);
    if (graph.feeds[f].value.dtype() != kDouble) continue;
    xs.push_back(*x);
    x_feeds.push_back(f);
  }
  if (ys.empty() || xs.empty()) return;
  const std::vector<Output> gradients = Gradients(s, ys, xs, {.grad_ys = grad_ys});
  ASSERT_TRUE(graph.graph.status().ok()) << graph.graph.status();
  Session session(graph.graph);
  const auto loss = [&](const std::vector<Feed>& feeds) {
    RunRequest request;
    for (size_t i = 0; i < ys.size(); ++i) {
      request.fetch.push_back(ys[i]);
      request.fetch.push_back(grad_ys[i]);
    }
    const auto out = session.Run(feeds, request);
    EXPECT_TRUE(out.ok()) << out.status();
    double sum = 0;
    for (size_t i = 0; i < ys.size(); ++i) {
      for (int64_t k = 0; k < (*out)[2 * i].num_elements(); ++k) {
        sum += (*out)[2 * i].data<double>()[k] * (*out)[2 * i + 1].data<double>()[k];
      }
    }
    return sum;
  };
  for (size_t i = 0; i < xs.size(); ++i) {
    const Tensor& point = graph.feeds[x_feeds[i]].value;
    Tensor analytic = Tensor::Filled<double>(point.shape(), 0);
    if (gradients[i].valid()) {
      const auto out = session.Run(graph.feeds, {.fetch = {gradients[i]}});
      ASSERT_TRUE(out.ok()) << out.status();
      analytic = (*out)[0];
    }
    ASSERT_EQ(analytic.shape(), point.shape()) << "the gradient of input " << i;
    constexpr double kStep = 1e-6;
    for (int64_t k = 0; k < point.num_elements(); ++k) {
      const auto moved = [&](double by) {
        std::vector<Feed> feeds = graph.feeds;
        Tensor copy = *point.Clone();
        copy.mutable_data<double>()[k] += by;
        feeds[x_feeds[i]].value = copy;
        return loss(feeds);
      };
      const double numeric = (moved(kStep) - moved(-kStep)) / (2 * kStep);
      EXPECT_NEAR(analytic.data<double>()[k], numeric, 1e-5 * std::max(1.0, std::abs(numeric)))
          << "input " << i << ", element " << k;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, RegistryTest, testing::ValuesIn(AllCases()), CaseName);

TEST(RegistryTest, EveryOpIsDeclaredWhole) {
  const absl::Status status = BuiltinOps().Validate();
  EXPECT_TRUE(status.ok()) << status;
}

TEST(RegistryTest, EveryOpWithoutAGradientSaysWhy) {
  for (const OpSchema* op : BuiltinOps().ops()) {
    if (op->gradient() != nullptr) continue;
    const std::string& reason =
        op->not_differentiable().empty() ? op->gradient_missing() : op->not_differentiable();
    std::cout << op->name() << (op->not_differentiable().empty() ? ": missing: " : ": none: ")
              << reason << "\n";
    EXPECT_FALSE(reason.empty()) << op->name();
  }
}

TEST(RegistryTest, MostOpsHaveThreeExamplesAndOneOfThemEmpty) {
  for (const OpSchema* op : BuiltinOps().ops()) {
    if (!op->no_example().empty() || op->inputs().empty() || op->traits().forwards_ref) continue;
    if (op->name() == "IsVariableInitialized")
      continue;  // a variable is or is not: one example says it
    EXPECT_GE(op->examples().size(), 3U) << op->name();
  }
}

}  // namespace
}  // namespace espalier
