// Specialize: what is left of a training graph, and that it computes the same.
#include "espalier/runtime/specialize.h"

#include <cmath>
#include <set>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

std::set<std::string> OpsOf(const proto::GraphDef& def) {
  std::set<std::string> ops;
  for (const proto::NodeDef& node : def.node()) ops.insert(node.op());
  return ops;
}

// The fetched tensor of a plain graph that needs nothing but one feed.
Tensor RunPlain(const proto::GraphDef& def, const std::string& feed, const Tensor& value,
                const std::string& fetch) {
  Graph graph;
  EXPECT_TRUE(ImportGraphDef(def, graph).ok()) << graph.status();
  Session session(graph);
  return MustRun(session, {{feed, value}}, {.fetch = {fetch}})[0];
}

void ExpectNear(const Tensor& got, const Tensor& want, float tolerance) {
  ASSERT_EQ(got.shape(), want.shape());
  for (int64_t i = 0; i < want.num_elements(); ++i) {
    const float limit = tolerance * std::max(1.0f, std::abs(want.data<float>()[i]));
    EXPECT_NEAR(got.data<float>()[i], want.data<float>()[i], limit) << i;
  }
}

Tensor Image(const Shape& shape) {
  std::vector<float> pixels(static_cast<size_t>(shape.num_elements()));
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = std::sin(0.37f * static_cast<float>(i));
  return Tensor::FromVector<float>(shape, pixels);
}

// Two convolutions with batch normalisation of either style, and a dense layer.
Output BuildNetwork(const Scope& s, const Output& x, const Output& is_training, bool by_hand) {
  Output net = x;
  for (int i = 0; i < 2; ++i) {
    net = layers::Conv2D(s, net, 4, 3, {.padding = kSame});
    if (by_hand) {
      const Output gamma = Variable(s.Named("gamma"), Tensor::Of<float>({4}, {1, 2, 0.5f, 1}));
      const Output beta = Variable(s.Named("beta"), Tensor::Of<float>({4}, {0, 1, -1, 0.1f}));
      const Output mean = Variable(s.Named("mean"), Tensor::Of<float>({4}, {0.1f, 0, -0.2f, 0}));
      const Output variance =
          Variable(s.Named("variance"), Tensor::Of<float>({4}, {1, 0.5f, 2, 0.3f}));
      net = Cond(
          s, is_training,
          [&](const Scope& b) {
            const auto [m, v] = Moments(b, net, {0, 1, 2});
            const Output update = Assign(b, mean, b(mean) * 0.9f + b(m) * 0.1f);
            return BatchNormalization(b.WithControlDependencies({update}), net, m, v, beta, gamma,
                                      1e-3f);
          },
          [&](const Scope& b) {
            return BatchNormalization(b, net, mean, variance, beta, gamma, 1e-3f);
          });
    } else {
      net = layers::BatchNormalization(s, net, {.training = is_training});
    }
    net = Relu(s, net);
  }
  net = Reshape(s, net, Const(s, Tensor::Of<int32_t>({2}, {-1, 6 * 6 * 4})));
  return layers::Dense(s.Named("logits"), net, 3);
}

class SpecializeTest : public testing::TestWithParam<bool> {};

TEST_P(SpecializeTest, ANetworkInTrainingBecomesConvolutionsAndProducts) {
  Graph graph;
  graph.set_seed(3);
  const Scope s = graph.root();
  const Output x = Placeholder(s.Named("x"), kFloat, {-1, 6, 6, 2});
  const Output is_training = Placeholder(s.Named("is_training"), kBool);
  const Output logits = BuildNetwork(s, x, is_training, GetParam());
  const Output loss = ReduceMean(s, Square(s, logits));
  const Operation train =
      train::Adam(0.01).Minimize(s.WithControlDependencies(graph.collection(kUpdateOps)), loss);
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  ASSERT_TRUE(session.Initialize().ok());
  const Tensor images = Image({5, 6, 6, 2});
  for (int i = 0; i < 3; ++i)
    MustRun(session, {{x, images}, {is_training, true}}, {.target = {train}});
  const Tensor want = MustRun(session, {{x, images}, {is_training, false}}, {.fetch = {logits}})[0];
  for (const bool fold : {true, false}) {
    const auto plain =
        Specialize(graph, session,
                   {.set = {{is_training, false}}, .fetch = {logits}, .fold_channel_maps = fold});
    ASSERT_TRUE(plain.ok()) << plain.status();
    ExpectNear(RunPlain(*plain, "x:0", images, logits.name()), want, 1e-5f);
    const std::set<std::string> ops = OpsOf(*plain);
    for (const char* gone : {"Switch", "Merge", "VariableV2", "Identity", "Assign", "NoOp"})
      EXPECT_FALSE(ops.contains(gone)) << gone;
    if (fold) {
      EXPECT_EQ(ops, (std::set<std::string>{"BiasAdd", "Const", "Conv2D", "MatMul", "Placeholder",
                                            "Relu", "Reshape"}));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Styles, SpecializeTest, testing::Bool(),
                         [](const auto& by_hand) { return by_hand.param ? "ByHand" : "Layers"; });

TEST(SpecializeTest, FoldsEveryWayToScaleAndShiftChannels) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s.Named("x"), kFloat, {-1, 5, 5, 2});
  const Output filter = Const(s, Image({3, 3, 2, 4}));
  const Output depthwise_filter = Const(s, Image({2, 2, 2, 2}));
  const Output c = Const(s, Tensor::Of<float>({4}, {1, -2, 0.5f, 3}));
  const Output row = Const(s, Tensor::Of<float>({1, 1, 1, 4}, {2, 1, -1, 0.5f}));
  const Output conv = Conv2D(s, x, filter, {1, 1, 1, 1}, "SAME");
  const Output first = BiasAdd(s, (2 - s(conv) * s(c)) / s(row), c);
  const Output depthwise = DepthwiseConv2dNative(s, x, depthwise_filter, {1, 1, 1, 1}, "SAME");
  const Output second = s(row) - s(depthwise) * 3;
  const Output flat = Reshape(s, s(first) + s(second), Const(s, Tensor::Of<int32_t>({2}, {-1, 4})));
  const Output y = s(MatMul(s, flat, Const(s, Image({3, 4})), {.transpose_b = true})) *
                   s(Const(s, Tensor::Of<float>({3}, {1, 2, 3})));
  const Output named = Identity(s.Named("y"), y);
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  const Tensor images = Image({2, 5, 5, 2});
  const Tensor want = MustRun(session, {{x, images}}, {.fetch = {named}})[0];
  const auto plain = Specialize(graph, session, {.fetch = {named}});
  ASSERT_TRUE(plain.ok()) << plain.status();
  ExpectNear(RunPlain(*plain, "x", images, "y"), want, 1e-5f);
  const std::set<std::string> ops = OpsOf(*plain);
  for (const char* gone : {"Mul", "Sub", "RealDiv"}) EXPECT_FALSE(ops.contains(gone)) << gone;
}

TEST(SpecializeTest, AValueUsedTwiceOrFetchedStaysAsItIs) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s.Named("x"), kFloat, {-1, 2});
  const Output product = MatMul(s.Named("product"), x, Const(s, Image({2, 2})));
  const Output doubled = s(product) * 2;
  const Output y = Add(s.Named("y"), doubled, Relu(s, product));
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  const Tensor rows = Image({3, 2});
  const auto want = MustRun(session, {{x, rows}}, {.fetch = {y, product}});
  const auto plain = Specialize(graph, session, {.fetch = {y, product}});
  ASSERT_TRUE(plain.ok()) << plain.status();
  ExpectNear(RunPlain(*plain, "x", rows, "y"), want[0], 1e-6f);
  ExpectNear(RunPlain(*plain, "x", rows, "product"), want[1], 1e-6f);
}

TEST(SpecializeTest, LoopsAndUndecidedBranchesStay) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s.Named("x"), kFloat, Shape());
  const Output w = Variable(s.Named("w"), 2.0f);
  const Output y = WhileLoop(
      s, {Const(s, 0), x},
      [](const Scope& b, const std::vector<Output>& v) { return Less(b, v[0], Const(b, 3)); },
      [&](const Scope& b, const std::vector<Output>& v) -> std::vector<Output> {
        const Output next = Cond(
            b, Greater(b, v[1], Const(b, 10.0f)), [](const Scope& t) { return Const(t, 1.0f); },
            [&](const Scope& f) -> Output { return f(v[1]) * f(w) + 1; });
        return {b(v[0]) + 1, next};
      })[1];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  ASSERT_TRUE(session.Initialize().ok());
  const auto plain = Specialize(graph, session, {.fetch = {y}});
  ASSERT_TRUE(plain.ok()) << plain.status();
  for (const float start : {0.5f, 4.0f, 20.0f}) {
    const Tensor want = MustRun(session, {{x, start}}, {.fetch = {y}})[0];
    EXPECT_EQ(RunPlain(*plain, "x", Tensor(start), y.name()).scalar<float>(), want.scalar<float>());
  }
}

TEST(SpecializeTest, RefusesWhatCannotBecomeConstant) {
  Graph graph;
  const Scope s = graph.root();
  const Output w = Variable(s.Named("w"), 2.0f);
  const Output written = AssignAdd(s.Named("count"), w, Const(s, 1.0f));
  const Output pred = Placeholder(s.Named("pred"), kBool);
  const Node* split = AddOp(s, "Switch", {w, pred});
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  ExpectError(Specialize(graph, session, {.fetch = {w}}).status(),
              absl::StatusCode::kFailedPrecondition, {"uninitialized", "w"});
  ASSERT_TRUE(session.Initialize().ok());
  ExpectError(Specialize(graph, session, {.fetch = {written}}).status(),
              absl::StatusCode::kUnimplemented, {"count", "changes the variable w"});
  ExpectError(
      Specialize(graph, session, {.set = {{pred, false}}, .fetch = {split->output(1)}}).status(),
      absl::StatusCode::kInvalidArgument, {"not take"});
  ExpectError(Specialize(graph, session, {.set = {{pred, 1.0f}}, .fetch = {w}}).status(),
              absl::StatusCode::kInvalidArgument, {"pred:0", "bool"});
  ExpectError(Specialize(graph, session, {.fetch = {"nothing"}}).status(),
              absl::StatusCode::kNotFound, {"nothing"});
}

}  // namespace
}  // namespace espalier
