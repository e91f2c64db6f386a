// Graphs cross the wire, unknown ops too.
#include "espalier/graph/meta_graph.h"
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

// A binary GraphDef starts with a newline (the tag of its first node) and the size of that node,
// which may be a letter.
TEST(GraphDefTest, BinaryIsToldFromTextWhateverTheSizeOfTheFirstNode) {
  for (int length = 1; length < 120; ++length) {
    proto::GraphDef def;
    proto::NodeDef* node = def.add_node();
    node->set_name(std::string(length, 'n'));
    node->set_op("NoOp");
    const auto parsed = ParseGraphDef(def.SerializeAsString(), "bytes");
    ASSERT_TRUE(parsed.ok()) << length << ": " << parsed.status();
    EXPECT_EQ(parsed->node(0).name(), node->name());
  }
}

TEST(MetaGraphTest, EitherKindOfFileIsReadAndCollectionsComeAlong) {
  Graph graph;
  const Scope s = graph.root();
  Variable(s.Named("w"), 1.0f);
  const auto def = ExportGraphDef(graph);
  ASSERT_TRUE(def.ok());
  proto::MetaGraphDef meta;
  *meta.mutable_graph_def() = *def;
  meta.mutable_meta_info_def()->set_tensorflow_version("1.15.0");
  meta.mutable_meta_info_def()->add_tags("train");
  proto::VariableDef variable;
  variable.set_variable_name("w:0");
  variable.set_initializer_name("w/Assign");
  auto& collections = *meta.mutable_collection_def();
  collections[kTrainableVariables].mutable_bytes_list()->add_value(variable.SerializeAsString());
  collections["mine"].mutable_node_list()->add_value("w/Assign");
  for (const std::string& bytes :
       {meta.SerializeAsString(), meta.DebugString(), def->SerializeAsString()}) {
    const auto read = ParseMetaGraph(bytes, "bytes");
    ASSERT_TRUE(read.ok()) << read.status();
    Graph copy;
    ASSERT_TRUE(ImportMetaGraph(*read, copy).ok()) << copy.status();
    const bool plain = !read->has_meta_info_def();
    EXPECT_EQ(copy.collection_outputs(kTrainableVariables).size(), plain ? 0 : 1);
    EXPECT_EQ(copy.collection("mine").size(), plain ? 0 : 1);
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
                                   node {
                                     name: "c"
                                     op: "Identity"
                                     input: "a"
                                     attr {
                                       key: "T"
                                       value { type: DT_FLOAT }
                                     }
                                   }
                                 )pb",
                                 "text");
  ASSERT_TRUE(def.ok()) << def.status();
  Graph graph;
  ASSERT_TRUE(ImportGraphDef(*def, graph).ok()) << graph.status();
  EXPECT_EQ(ExportGraphDef(graph)->node(1).op(), "FromTheFuture");
  Session session(graph);
  EXPECT_EQ(MustRun(session, {}, {.fetch = {"c"}})[0].scalar<float>(), 2);
  ExpectError(session.Run({}, {.target = {"b"}}).status(), absl::StatusCode::kNotFound,
              {"FromTheFuture", "'b'"});
}

}  // namespace
}  // namespace espalier
