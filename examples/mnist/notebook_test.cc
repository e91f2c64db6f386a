// The example's three networks, whole: they build, their plans hold no control flow, and a few
// steps on a fixed batch lower the loss, to the same bits on one thread and on four.
#include <random>

#include "espalier/examples/mnist/network.h"
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

struct Case {
  const char* name;
  mnist::Network (*build)(const Scope&, double);
};

class NotebookTest : public testing::TestWithParam<Case> {};

std::pair<Tensor, Tensor> Batch(int count) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> pixel(0, 1);
  std::vector<float> pixels(count * 784), labels(count * 10, 0.0f);
  for (float& p : pixels) p = pixel(random);
  for (int i = 0; i < count; ++i) labels[i * 10 + i % 10] = 1;
  return {Tensor::FromVector<float>({count, 28, 28, 1}, pixels),
          Tensor::FromVector<float>({count, 10}, labels)};
}

TEST_P(NotebookTest, TrainsWithoutControlFlowAndToTheSameBitsOnAnyThreads) {
  const auto [images, labels] = Batch(10);
  std::vector<std::vector<float>> losses;
  for (const int threads : {1, 4}) {
    Graph graph;
    graph.set_seed(1);
    const mnist::Network network = GetParam().build(graph.root(), 0.002);
    ASSERT_TRUE(graph.status().ok()) << graph.status();
    Session session(graph, {.threads = threads});
    ASSERT_TRUE(session.Initialize().ok());
    std::vector<Feed> feeds = {{network.x, images}, {network.y, labels}};
    if (network.is_training.valid()) feeds.push_back({network.is_training, true});
    const RunRequest step = {.fetch = {network.loss}, .target = {network.train}};
    const auto plan = session.DescribePlan(feeds, step);
    ASSERT_TRUE(plan.ok()) << plan.status();
    for (const char* op : {": Switch ", ": RefSwitch ", ": Merge "})
      EXPECT_EQ(plan->find(op), std::string::npos) << op;
    losses.emplace_back();
    for (int i = 0; i < 12; ++i)
      losses.back().push_back(MustRun(session, feeds, step)[0].scalar<float>());
    EXPECT_LT(losses.back().back(), losses.back().front()) << GetParam().name;
  }
  EXPECT_EQ(losses[0], losses[1]);
}

TEST_P(NotebookTest, CrossesTheWireWithGradientsAndTrainOp) {
  Graph graph;
  GetParam().build(graph.root(), 0.002);
  const auto def = ExportGraphDef(graph);
  ASSERT_TRUE(def.ok()) << def.status();
  Graph copy;
  ASSERT_TRUE(ImportGraphDef(*def, copy).ok()) << copy.status();
  EXPECT_EQ(copy.num_nodes(), graph.num_nodes());
  for (const char* name : {"x", "y", "logits", "loss", "accuracy", "train"})
    EXPECT_NE(copy.FindNode(name), nullptr) << name;
}

INSTANTIATE_TEST_SUITE_P(Networks, NotebookTest,
                         testing::Values(Case{"plain", mnist::BuildPlainNetwork},
                                         Case{"layers", mnist::BuildLayersNetwork},
                                         Case{"low_level", mnist::BuildLowLevelNetwork}),
                         [](const auto& info) { return std::string(info.param.name); });

// The sample of README.md, as it stands there.
namespace es = espalier;

absl::Status ReadmeSample(const Tensor& images, const Tensor& onehot) {
  es::Graph graph;
  es::Scope s = graph.root();
  es::Output x = es::Placeholder(s.Named("x"), es::kFloat, {-1, 28, 28, 1});
  es::Output labels = es::Placeholder(s.Named("y"), es::kFloat, {-1, 10});
  es::Output is_training = es::Placeholder(s.Named("is_training"), es::kBool);

  es::Output net =
      es::layers::Conv2D(s, x, 16, 3, {.strides = 2, .padding = es::kSame, .use_bias = false});
  net = es::layers::BatchNormalization(s, net, {.training = is_training});
  net = es::Relu(s, net);
  es::Output logits = es::layers::Dense(s, es::layers::Flatten(s, net), 10);
  es::Output loss = es::ReduceMean(s, es::SigmoidCrossEntropyWithLogits(s, labels, logits));
  es::Operation train = es::train::Adam(0.002).Minimize(
      s.WithControlDependencies(graph.collection(es::kUpdateOps)), loss);

  es::Session session(graph, {.threads = 2});
  RETURN_IF_ERROR(session.Initialize());
  ASSIGN_OR_RETURN(std::vector<es::Tensor> out,
                   session.Run({{x, images}, {labels, onehot}, {is_training, true}},
                               {.fetch = {loss}, .target = {train}}));
  EXPECT_EQ(out.size(), 1U);
  return absl::OkStatus();
}

TEST(ReadmeTest, TheSampleCompilesAndRuns) {
  const auto [images, labels] = Batch(4);
  const absl::Status status = ReadmeSample(images, labels);
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace espalier
