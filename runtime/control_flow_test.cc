// Loops out of the primitives.
#include <memory>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

// while (i < limit) { i += 1; sum += i; }
constexpr char kLoop[] = R"(
  node { name: "zero" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
         attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape {} float_val: 0 } } } }
  node { name: "one" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
         attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape {} float_val: 1 } } } }
  node { name: "limit" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }
  node { name: "ei" op: "Enter" input: "zero" attr { key: "frame_name" value { s: "f" } } }
  node { name: "es" op: "Enter" input: "zero" attr { key: "frame_name" value { s: "f" } } }
  node { name: "el" op: "Enter" input: "limit" attr { key: "frame_name" value { s: "f" } }
         attr { key: "is_constant" value { b: true } } }
  node { name: "e1" op: "Enter" input: "one" attr { key: "frame_name" value { s: "f" } }
         attr { key: "is_constant" value { b: true } } }
  node { name: "mi" op: "Merge" input: "ei" input: "ni" }
  node { name: "ms" op: "Merge" input: "es" input: "ns" }
  node { name: "less" op: "Less" input: "mi" input: "el" }
  node { name: "cond" op: "LoopCond" input: "less" }
  node { name: "si" op: "Switch" input: "mi" input: "cond" }
  node { name: "ss" op: "Switch" input: "ms" input: "cond" }
  node { name: "i" op: "AddV2" input: "si:1" input: "e1" }
  node { name: "s" op: "AddV2" input: "ss:1" input: "i" }
  node { name: "ni" op: "NextIteration" input: "i" }
  node { name: "ns" op: "NextIteration" input: "s" }
  node { name: "xs" op: "Exit" input: "ss" })";

TEST(ControlFlowTest, ALoopOfPrimitivesRuns) {
  auto def = ParseGraphDef(kLoop, "loop");
  ASSERT_TRUE(def.ok()) << def.status();
  for (proto::NodeDef& node : *def->mutable_node()) {
    const bool typed =
        node.op() != "Const" && node.op() != "Placeholder" && node.op() != "LoopCond";
    if (typed) (*node.mutable_attr())["T"].set_type(proto::DT_FLOAT);
  }
  Graph graph;
  ASSERT_TRUE(ImportGraphDef(*def, graph).ok()) << graph.status();
  for (const bool shuffled : {false, true}) {
    SessionOptions options;
    if (shuffled) options.work_queue = [] { return std::make_unique<ShuffledQueue>(3); };
    options.limits.max_loop_iterations = 1000;
    Session session(graph, options);
    EXPECT_EQ(MustRun(session, {{"limit", 10.0f}}, {.fetch = {"xs"}})[0].scalar<float>(), 55);
    EXPECT_EQ(MustRun(session, {{"limit", 0.0f}}, {.fetch = {"xs"}})[0].scalar<float>(), 0);
    EXPECT_EQ(session.Run({{"limit", 1e9f}}, {.fetch = {"xs"}}).status().code(),
              absl::StatusCode::kResourceExhausted);
  }
}

}  // namespace
}  // namespace espalier
