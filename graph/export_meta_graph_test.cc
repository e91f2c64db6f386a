// ExportMetaGraph: the collections that TensorFlow reads, and back.
#include "espalier/graph/export_meta_graph.h"

#include "espalier/graph/meta_graph.h"
#include "espalier/proto/control_flow.pb.h"
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(ExportMetaGraphTest, HoldsVariablesTrainOpBranchesAndLoops) {
  Graph graph;
  const Scope s = graph.root();
  const Output w = Variable(s.Named("w"), 2.0f);
  Variable(s.Named("step"), Tensor(int32_t{0}), {.trainable = false});
  const Output pred = Placeholder(s.Named("pred"), kBool);
  const Output chosen = Cond(
      s, pred, [&](const Scope& b) -> Output { return b(w) * 3; },
      [&](const Scope& b) { return Identity(b, w); });
  const Output looped = WhileLoop(
      s, {Const(s, 0), chosen},
      [](const Scope& b, const std::vector<Output>& v) { return Less(b, v[0], Const(b, 2)); },
      [&](const Scope& b, const std::vector<Output>& v) -> std::vector<Output> {
        return {b(v[0]) + 1, b(v[1]) * b(w)};
      })[1];
  const Operation train = train::GradientDescent(0.1).Minimize(s, looped);
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  const auto meta = ExportMetaGraph(graph);
  ASSERT_TRUE(meta.ok()) << meta.status();
  const auto& collections = meta->collection_def();
  EXPECT_EQ(collections.at("train_op").node_list().value(0), train.node()->name());
  ASSERT_EQ(collections.at("variables").bytes_list().value_size(), 2);
  ASSERT_EQ(collections.at("trainable_variables").bytes_list().value_size(), 1);
  proto::VariableDef variable;
  ASSERT_TRUE(
      variable.ParseFromString(collections.at("trainable_variables").bytes_list().value(0)));
  EXPECT_EQ(variable.variable_name(), "w:0");
  EXPECT_EQ(variable.initializer_name(), "w/Assign");
  EXPECT_EQ(variable.snapshot_name(), "w/read:0");
  EXPECT_EQ(variable.initial_value_name(), graph.initializers().at(w.node())->input(1).name());
  EXPECT_TRUE(variable.trainable());

  // One branch of the forward Cond for each side.
  proto::CondContextDef branch;
  ASSERT_TRUE(branch.ParseFromString(collections.at("cond_context").bytes_list().value(0)));
  EXPECT_EQ(branch.pred_name(), "cond/pred_id:0");
  EXPECT_EQ(branch.branch(), 1);
  EXPECT_EQ(branch.values_def().external_values().at("w:0"), "cond/Switch_1:1");
  proto::WhileContextDef loop;
  ASSERT_TRUE(loop.ParseFromString(collections.at("while_context").bytes_list().value(0)));
  EXPECT_EQ(loop.context_name(), "while/while_context");
  EXPECT_EQ(loop.pivot_name(), "while/LoopCond:0");
  EXPECT_EQ(loop.loop_exit_names_size(), 3) << "two variables, and the gradient's counter";

  // Read back, it runs and trains.
  Graph copy;
  ASSERT_TRUE(ImportMetaGraph(*meta, copy).ok()) << copy.status();
  Session session(copy);
  ASSERT_TRUE(session.Initialize().ok());
  const auto out = MustRun(session, {{"pred", true}},
                           {.fetch = {looped.name()}, .target = {train.node()->name()}});
  EXPECT_EQ(out[0].scalar<float>(), 24);  // 2 * 3 * 2 * 2
  EXPECT_FLOAT_EQ(MustRun(session, {}, {.fetch = {"w/read"}})[0].scalar<float>(),
                  2 - 0.1f * 36);  // d 3 w^3 / dw = 9 w^2
}

TEST(ExportMetaGraphTest, AVariableWithoutInitialiserIsRefused) {
  Graph graph;
  const Output v = AddOpOutput(graph.root().Named("v"), "VariableV2", {},
                               {{"shape", Shape()}, {"dtype", kFloat}});
  graph.AddToCollection(kGlobalVariables, v);
  ExpectError(ExportMetaGraph(graph).status(), absl::StatusCode::kInvalidArgument,
              {"variables", "'v'", "no initialiser"});
}

}  // namespace
}  // namespace espalier
