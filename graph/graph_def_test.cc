// Graphs cross the wire, unknown ops too.
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

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
