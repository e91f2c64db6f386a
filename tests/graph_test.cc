// Building graphs: names, scopes, lines, collections, variables, conditionals, gradients, import
// and export.
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(NamesTest, AreUniqueAsInTensorFlow) {
  Graph graph;
  const Scope s = graph.root();
  EXPECT_EQ(Const(s, 1.0f).node()->name(), "Const");
  EXPECT_EQ(Const(s, 1.0f).node()->name(), "Const_1");
  EXPECT_EQ(Const(s.Named("const"), 1.0f).node()->name(), "const_2");  // case does not distinguish
  const Scope block = s.NameScope("block");
  EXPECT_EQ(Const(block.Named("a"), 1.0f).node()->name(), "block/a");
  EXPECT_EQ(Const(s.NameScope("block").Named("a"), 1.0f).node()->name(), "block_1/a");
}

TEST(SourceLineTest, NodesKeepTheLineOfTheCallAndLayersTheirOwnInside) {
  Graph graph;
  const Scope s = graph.root();
  const int line = __LINE__ + 1;
  const Output x = Placeholder(s, kFloat, {-1, 3});
  const int layer_line = __LINE__ + 1;
  const Output y = layers::Dense(s, x, 2);
  EXPECT_EQ(x.node()->line().line, line);
  EXPECT_EQ(y.node()->line().line, layer_line);
  EXPECT_NE(std::string(y.node()->inner_line().file).find("dense.cc"), std::string::npos);
  const int loss_line = __LINE__ + 1;
  const Output loss = L2Loss(s, y);
  const Output gradient = Gradients(s, {loss}, {x})[0];
  EXPECT_EQ(gradient.node()->line().line, layer_line)
      << "gradient nodes inherit the forward node's line";
  const int expression_line = __LINE__ + 1;
  const Output sum = s(loss) + 1;
  EXPECT_EQ(sum.node()->line().line, expression_line);
  EXPECT_EQ(loss.node()->line().line, loss_line);
}

TEST(ShapeInferenceTest, AsListShowsWhatIsKnown) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, {-1, 28, 28, 1});
  const Output y = layers::Conv2D(s, x, 4, 3, {.strides = 2, .padding = kSame});
  EXPECT_EQ(y.shape().as_list(), (std::vector<int64_t>{-1, 14, 14, 4}));
  EXPECT_EQ(layers::Flatten(s, y).shape().as_list(), (std::vector<int64_t>{-1, 784}));
  const Output batch = StridedSlice(s, Shape_(s, x), ConstInts(s, {0}), ConstInts(s, {1}),
                                    ConstInts(s, {1}), {.shrink_axis_mask = 1});
  const Output same = Reshape(s, x, Pack(s, {batch, Const(s, 784)}));
  EXPECT_EQ(same.shape().as_list(), (std::vector<int64_t>{-1, 784}));
}

TEST(CollectionsTest, HoldVariablesUpdatesAndUserKeys) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, {-1, 3});
  layers::BatchNormalization(s, x, {.training = true});
  EXPECT_EQ(graph.collection(kUpdateOps).size(), 2U);
  EXPECT_EQ(graph.collection_outputs(kGlobalVariables).size(), 4U);
  EXPECT_EQ(graph.collection_outputs(kTrainableVariables).size(), 2U);
  graph.AddToCollection("mine", x);
  EXPECT_EQ(graph.collection_outputs("mine")[0], x);
  EXPECT_TRUE(graph.collection("nothing").empty());
}

TEST(VariableScopeTest, SharesOnReuseAndRefusesWithout) {
  Graph graph;
  const Scope s = graph.root().WithVariableScope("net");
  const Output w = GetVariable(s, "w", {2}, initializers::Zeros());
  EXPECT_EQ(w.node()->name(), "net/w");
  EXPECT_EQ(GetVariable(s.WithReuse(true), "w", {2}, initializers::Zeros()), w);
  EXPECT_FALSE(GetVariable(s, "w", {2}, initializers::Zeros()).valid());
  ExpectError(graph.status(), absl::StatusCode::kInvalidArgument,
              {"net/w", "exists already", "graph_test.cc"});
}

TEST(VariableScopeTest, LayersAreNamedAsInTensorFlow) {
  Graph graph;
  const Scope s = graph.root();
  Output x = Placeholder(s, kFloat, {-1, 8, 8, 1});
  x = layers::Conv2D(s, x, 2, 3);
  x = layers::BatchNormalization(s, x, {.training = true});
  x = layers::Conv2D(s, x, 2, 3);
  EXPECT_NE(graph.FindNode("conv2d/kernel"), nullptr);
  EXPECT_NE(graph.FindNode("conv2d_1/bias"), nullptr);
  EXPECT_NE(graph.FindNode("batch_normalization/moving_variance"), nullptr);
  EXPECT_NE(graph.FindNode("conv2d/Conv2D"), nullptr);
}

TEST(VariableTest, IsMadeOutsideDependenciesAndBranches) {
  Graph graph;
  const Scope s = graph.root();
  const Operation late = NoOp(s);
  Output w;
  Cond(
      s, Const(s, true),
      [&](const Scope& b) -> Output {
        w = Variable(b.WithControlDependencies({late}).Named("w"), 1.0f);
        return b(w) + 1;
      },
      [&](const Scope& b) -> Output { return Const(b, 0.0f); });
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  EXPECT_EQ(w.node()->context(), nullptr);
  EXPECT_TRUE(w.node()->control_inputs().empty());
  Session session(graph);
  ASSERT_TRUE(session.Initialize().ok());
}

TEST(CondTest, CapturesThroughSwitchAndVariablesThroughRefSwitch) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Const(s, 2.0f);
  const Output w = Variable(s.Named("w"), 3.0f);
  const Output pred = Placeholder(s, kBool);
  Output in_branch, ref_in_branch;
  Cond(
      s, pred,
      [&](const Scope& b) -> Output {
        in_branch = b(x);
        ref_in_branch = b(w);
        return b(x) * b(w);
      },
      [&](const Scope& b) -> Output { return Identity(b, x); });
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  EXPECT_EQ(in_branch.node()->op(), "Switch");
  EXPECT_EQ(ref_in_branch.node()->op(), "RefSwitch");
}

TEST(CondTest, RunsTheSideThatIsTakenAndNests) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, Shape());
  const Output outer = Placeholder(s, kBool);
  const Output inner = Placeholder(s, kBool);
  const Output y = Cond(
      s, outer,
      [&](const Scope& b) {
        return Cond(
            b, inner, [&](const Scope& c) -> Output { return c(x) * 10; },
            [&](const Scope& c) -> Output { return c(x) * 100; });
      },
      [&](const Scope& b) -> Output { return -b(x); });
  const Output dy = Gradients(s, {y}, {x})[0];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  for (const bool decide : {true, false}) {
    Session session(graph, {.compile = {.decide = decide}});
    const auto run = [&](bool a, bool b) {
      const auto out = MustRun(session, {{x, 3.0f}, {outer, a}, {inner, b}}, {.fetch = {y, dy}});
      return std::pair(out[0].scalar<float>(), out[1].scalar<float>());
    };
    EXPECT_EQ(run(true, true), std::pair(30.0f, 10.0f));
    EXPECT_EQ(run(true, false), std::pair(300.0f, 100.0f));
    EXPECT_EQ(run(false, true), std::pair(-3.0f, -1.0f));
  }
}

TEST(GradientsTest, SharedSubexpressionsBroadcastingAndSecondOrder) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, {2});
  const Output a = Placeholder(s, kFloat, Shape());
  const Output square = s(x) * s(x);
  const Output y = s(square) * s(a) + s(square);
  const std::vector<Output> g = Gradients(s, {y}, {x, a});
  const Output second = Gradients(s, {g[0]}, {x})[0];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  const auto out = MustRun(session, {{x, Tensor::Of<float>({2}, {1, 2})}, {a, 3.0f}},
                           {.fetch = {g[0], g[1], second}});
  EXPECT_EQ(Floats(out[0]), (std::vector<float>{8, 16}));
  EXPECT_EQ(Floats(out[1]), (std::vector<float>{5}));
  EXPECT_EQ(Floats(out[2]), (std::vector<float>{8, 8}));
}

TEST(GradientsTest, GradYsAndStopGradients) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, Shape());
  const Output y = s(x) * s(x);
  const Output z = s(y) * s(x);
  const Output weighted = Gradients(s, {y}, {x}, {.grad_ys = {Const(s, 10.0f)}})[0];
  const Output stopped = Gradients(s, {z}, {x}, {.stop_gradients = {y}})[0];
  const Output none = Gradients(s, {StopGradient(s, y)}, {x})[0];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  EXPECT_FALSE(none.valid());
  Session session(graph);
  const auto out = MustRun(session, {{x, 3.0f}}, {.fetch = {weighted, stopped}});
  EXPECT_EQ(out[0].scalar<float>(), 60);
  EXPECT_EQ(out[1].scalar<float>(), 9);
}

TEST(GradientsTest, AChainOfAHundredThousandNodesNeedsNoRecursion) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, Shape());
  Output y = x;
  for (int i = 0; i < 100000; ++i) y = Identity(s, y);
  const Output dy = Gradients(s, {y}, {x})[0];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  const auto out = MustRun(session, {{x, 3.0f}}, {.fetch = {y, dy}});
  EXPECT_EQ(out[0].scalar<float>(), 3);
  EXPECT_EQ(out[1].scalar<float>(), 1);
}

TEST(GraphDefTest, CrossesBinaryAndText) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s.Named("x"), kFloat, {-1, 3});
  layers::BatchNormalization(s, layers::Dense(s, x, 2),
                             {.training = Placeholder(s.Named("t"), kBool)});
  const auto def = ExportGraphDef(graph);
  ASSERT_TRUE(def.ok());
  for (const char* name : {"/g.pb", "/g.pbtxt"}) {
    const std::string path = testing::TempDir() + name;
    ASSERT_TRUE(WriteGraphDef(*def, path).ok());
    const auto read = ReadGraphDef(path);
    ASSERT_TRUE(read.ok()) << read.status();
    Graph copy;
    ASSERT_TRUE(ImportGraphDef(*read, copy).ok());
    const auto again = ExportGraphDef(copy);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->SerializeAsString().size(), def->SerializeAsString().size());
    for (int i = 0; i < def->node_size(); ++i)
      EXPECT_NE(copy.FindNode(def->node(i).name()), nullptr);
  }
}

TEST(GraphDefTest, KeepsUnknownOpsAndRefusesOnlyToRunThem) {
  const auto def = ParseGraphDef(R"pb(
                                   node {
                                     name: "a"
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
                                           float_val: 2
                                         }
                                       }
                                     }
                                   }
                                   node {
                                     name: "b"
                                     op: "FromTheFuture"
                                     input: "a"
                                     attr {
                                       key: "how"
                                       value { i: 3 }
                                     }
                                   }
                                   node { name: "c" op: "Identity" input: "a" }
                                 )pb",
                                 "text");
  ASSERT_TRUE(def.ok()) << def.status();
  Graph graph;
  ASSERT_TRUE(ImportGraphDef(*def, graph).ok()) << graph.status();
  EXPECT_EQ(ExportGraphDef(graph)->node(1).op(), "FromTheFuture");
  Session session(graph);
  EXPECT_EQ(MustRun(session, {}, {.fetch = {"c"}})[0].scalar<float>(), 2);
  ExpectError(session.Run({}, {.target = {"b"}}).status(), absl::StatusCode::kUnimplemented,
              {"FromTheFuture", "'b'"});
}

}  // namespace
}  // namespace espalier
