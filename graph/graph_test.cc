// Names, source lines, collections, seeds.
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

TEST(RandomTest, TheSeedRuleIsTensorFlows) {
  Graph graph;
  EXPECT_EQ(graph.NextSeeds(-1), (std::pair<int64_t, int64_t>(0, 0)));
  EXPECT_EQ(graph.NextSeeds(5), (std::pair<int64_t, int64_t>(87654321, 5)));
  graph.set_seed(7);
  EXPECT_EQ(graph.NextSeeds(-1), (std::pair<int64_t, int64_t>(7, 0)));
  EXPECT_EQ(graph.NextSeeds(-1), (std::pair<int64_t, int64_t>(7, 1)));
  EXPECT_EQ(graph.NextSeeds(3), (std::pair<int64_t, int64_t>(7, 3)));
}

}  // namespace
}  // namespace espalier
