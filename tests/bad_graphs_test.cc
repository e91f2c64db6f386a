// Graph files that nobody should trust: each row is a class of bad input, and what it must get. The
// names of the rows are those of the project's list of bad inputs, G01 to G26.
#include <fstream>

#include "absl/strings/str_replace.h"
#include "espalier/graph/meta_graph.h"
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

using absl::StatusCode;

// Reads, imports and runs: the first error, or OK. Everything is fetched unless `fetch` is given.
absl::Status Load(const std::string& bytes, const std::string& fetch = "") {
  const auto meta = ParseMetaGraph(bytes, "bad.pb");
  if (!meta.ok()) return meta.status();
  Graph graph;
  RETURN_IF_ERROR(ImportMetaGraph(*meta, graph));
  Session session(graph, {.budget = {.max_tensor_bytes = 64 << 20, .max_live_bytes = 256 << 20}});
  if (fetch.empty()) return absl::OkStatus();
  return session.Run({}, {.fetch = {fetch}}).status();
}

constexpr char kFloat1[] = R"(attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape {} float_val: 1 } } })";
constexpr char kTrue[] = R"(attr { key: "dtype" value { type: DT_BOOL } }
  attr { key: "value" value { tensor { dtype: DT_BOOL tensor_shape {} bool_val: true } } })";
constexpr char kT[] = R"(attr { key: "T" value { type: DT_FLOAT } })";

// Short forms in the rows: $c a float constant's attributes, $t a bool's, $T the attribute T.
std::string Expand(const std::string& text) {
  return absl::StrReplaceAll(text, {{"$c", kFloat1}, {"$t", kTrue}, {"$T", kT}});
}

struct Row {
  const char* name;
  std::string text;
  StatusCode code;
  std::vector<std::string> parts;
  const char* fetch = "";
};

class BadGraphTest : public testing::TestWithParam<Row> {};

TEST_P(BadGraphTest, IsRefusedByName) {
  const Row& row = GetParam();
  ExpectError(Load(Expand(row.text), row.fetch), row.code, row.parts);
}

std::string Const(const std::string& name) {
  return "node { name: '" + name + "' op: 'Const' $c } ";
}
// A Const of floats with the given shape and contents.
std::string Floats(const std::string& tensor) {
  return R"(node { name: "a" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
    attr { key: "value" value { tensor { dtype: DT_FLOAT )" +
         tensor + " } } } }";
}

constexpr StatusCode kBad = StatusCode::kInvalidArgument;

INSTANTIATE_TEST_SUITE_P(
    Rows, BadGraphTest,
    testing::Values(
        Row{"G01_NotAGraph", "PK\3\4 an archive", kBad, {"bad.pb"}},
        Row{"G05_EscapesInNames", R"(node { name: "a\033[31m\n" op: "NoOp" })", kBad, {"\\x1b"}},
        Row{"G06_EmptyName", R"(node { name: "" op: "NoOp" })", kBad, {"invalid characters"}},
        Row{"G06_LeadingSlash", R"(node { name: "/a" op: "NoOp" })", kBad, {"invalid characters"}},
        Row{"G06_Blank", R"(node { name: "a b" op: "NoOp" })", kBad, {"invalid characters"}},
        Row{"G06_Caret", R"(node { name: "^a" op: "NoOp" })", kBad, {"invalid characters"}},
        Row{"G06_Colon", R"(node { name: "a:0" op: "NoOp" })", kBad, {"invalid characters"}},
        Row{"G07_DuplicateNames",
            R"(node { name: "a" op: "NoOp" } node { name: "b" op: "NoOp" } node { name: "a" op: "NoOp" })",
            kBad,
            {"'a'", "not unique"}},
        Row{"G08_EmptyOp", R"(node { name: "a" op: "" })", kBad, {"op is empty"}},
        Row{"G08_UnknownOp",
            R"(node { name: "a" op: "NoSuchOp" })",
            StatusCode::kNotFound,
            {"NoSuchOp", "not known"},
            "a:0"},
        Row{"G08_NoKernelForTheType",
            R"(node { name: "p" op: "Const" attr { key: "dtype" value { type: DT_STRING } }
              attr { key: "value" value { tensor { dtype: DT_STRING tensor_shape {} string_val: "x" } } } }
              node { name: "a" op: "Tanh" input: "p" attr { key: "T" value { type: DT_STRING } } })",
            kBad,
            {"Tanh", "string", "must be one of"},
            "a:0"},
        Row{"G09_RequiredAttrMissing",
            R"(node { name: "a" op: "Placeholder" })",
            kBad,
            {"'a'", "dtype"}},
        Row{"G09_UnknownAttr",
            Const("c") +
                R"(node { name: "a" op: "Tanh" input: "c" $T attr { key: "nope" value { i: 1 } } })",
            kBad,
            {"'nope'", "its attrs are"}},
        Row{"G10_WrongKind",
            Const("c") +
                R"(node { name: "a" op: "Tanh" input: "c" attr { key: "T" value { i: 1 } } })",
            kBad,
            {"attr", "T", "type"}},
        Row{"G10_NoValue",
            Const("c") + R"(node { name: "a" op: "Tanh" input: "c" attr { key: "T" value { } } })",
            kBad,
            {"T"}},
        Row{"G10_ListTooShort",
            Const("c") +
                R"(node { name: "r" op: "Reshape" input: "c" input: "s" $T attr { key: "Tshape" value { type: DT_INT32 } } }
              node { name: "s" op: "Const" attr { key: "dtype" value { type: DT_INT32 } }
                attr { key: "value" value { tensor { dtype: DT_INT32 tensor_shape { dim { size: 4 } } int_val: 1 } } } }
              node { name: "a" op: "MaxPool" input: "r" $T attr { key: "ksize" value { list { i: 1 } } }
                attr { key: "strides" value { list { i: 1 i: 1 i: 1 i: 1 } } } attr { key: "padding" value { s: "SAME" } } })",
            kBad,
            {"ksize", "4 entries"},
            "a:0"},
        Row{"G11_DtypeZero",
            R"(node { name: "a" op: "Placeholder" attr { key: "dtype" value { type: DT_INVALID } } })",
            kBad,
            {"dtype"}},
        Row{"G11_DtypeOutOfRange",
            R"(node { name: "a" op: "Placeholder" attr { key: "dtype" value { type: 999 } } })",
            kBad,
            {"999"}},
        Row{"G11_RefConst",
            R"(node { name: "a" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT_REF } } })",
            kBad,
            {"dtype"}},
        Row{"G11_BadPadding",
            Const("c") +
                R"(node { name: "a" op: "MaxPool" input: "c" $T attr { key: "ksize" value { list { i: 1 i: 1 i: 1 i: 1 } } }
              attr { key: "strides" value { list { i: 1 i: 1 i: 1 i: 1 } } } attr { key: "padding" value { s: "FOO" } } })",
            kBad,
            {"padding", "FOO", "SAME"}},
        Row{"G12_EdgeOfAnotherType",
            Const("c") +
                R"(node { name: "a" op: "Tanh" input: "c" attr { key: "T" value { type: DT_DOUBLE } } })",
            kBad,
            {"'a'", "c:0", "double", "float"}},
        Row{"G13_Dangling",
            R"(node { name: "a" op: "Tanh" input: "gone" $T })",
            kBad,
            {"'gone'", "does not exist"}},
        Row{"G13_OutputTooBig",
            Const("c") + R"(node { name: "a" op: "Tanh" input: "c:7" $T })",
            kBad,
            {"c:7", "does not exist"}},
        Row{"G13_IndexOverflows",
            Const("c") + R"(node { name: "a" op: "Tanh" input: "c:99999999999" $T })",
            kBad,
            {"no tensor name"}},
        Row{"G13_NoIndex",
            Const("c") + R"(node { name: "a" op: "Tanh" input: "c:" $T })",
            kBad,
            {"no tensor name"}},
        Row{"G13_NoName",
            Const("c") + R"(node { name: "a" op: "Tanh" input: ":0" $T })",
            kBad,
            {"no tensor name"}},
        Row{"G13_TwoColons",
            Const("c") + R"(node { name: "a" op: "Tanh" input: "c:0:0" $T })",
            kBad,
            {"no tensor name"}},
        Row{"G13_Sign",
            Const("c") + R"(node { name: "a" op: "Tanh" input: "c:+1" $T })",
            kBad,
            {"no tensor name"}},
        Row{"G14_TooFew", R"(node { name: "a" op: "Tanh" $T })", kBad, {"takes 1 input"}},
        Row{"G14_TooMany",
            Const("c") + R"(node { name: "a" op: "Tanh" input: "c" input: "c" $T })",
            kBad,
            {"'a'"}},
        Row{"G14_CountNegative",
            Const("c") +
                R"(node { name: "a" op: "AddN" input: "c" $T attr { key: "N" value { i: -1 } } })",
            kBad,
            {"'a'"}},
        Row{"G14_CountHuge",
            Const("c") +
                R"(node { name: "a" op: "AddN" input: "c" $T attr { key: "N" value { i: 2147483648 } } })",
            kBad,
            {"2147483648"}},
        Row{"G15_DataAfterControl",
            Const("c") + R"(node { name: "a" op: "Tanh" input: "^c" input: "c" $T })",
            kBad,
            {"after a control input"}},
        Row{"G15_BareCaret",
            R"(node { name: "a" op: "NoOp" input: "^" })",
            kBad,
            {"no tensor name"}},
        Row{"G15_TwoCarets",
            Const("c") + R"(node { name: "a" op: "NoOp" input: "^^c" })",
            kBad,
            {"no tensor name"}},
        Row{"G15_ControlOutput",
            Const("c") + R"(node { name: "a" op: "NoOp" input: "^c:0" })",
            kBad,
            {"no tensor name"}},
        Row{"G15_MissingControl",
            R"(node { name: "a" op: "NoOp" input: "^gone" })",
            kBad,
            {"does not exist"}},
        Row{"G15_SelfControl", R"(node { name: "a" op: "NoOp" input: "^a" })", kBad, {"cycle"}},
        Row{"G16_SelfLoop",
            R"(node { name: "a" op: "Tanh" input: "a" $T })",
            kBad,
            {"1 nodes are in a cycle", "'a'"}},
        Row{"G16_ControlCycle",
            R"(node { name: "a" op: "NoOp" input: "^b" } node { name: "b" op: "NoOp" input: "^a" })",
            kBad,
            {"2 nodes are in a cycle"}},
        Row{"G17_NextIterationIntoNoMerge",
            R"(node { name: "n" op: "NextIteration" input: "i" $T } node { name: "i" op: "Identity" input: "n" $T })",
            kBad,
            {"cycle"}},
        Row{"G19_PredicateNotBool",
            Const("c") + R"(node { name: "a" op: "Switch" input: "c" input: "c" $T })",
            kBad,
            {"Switch", "bool"}},
        Row{"G20_DimsOverflow",
            Floats(
                "tensor_shape { dim { size: 4294967296 } dim { size: 4294967296 } } float_val: 1"),
            kBad,
            {"'a'", "too"}},
        Row{"G20_DimMinusOne",
            Floats("tensor_shape { dim { size: -1 } } float_val: 1"),
            kBad,
            {"unknown shape"}},
        Row{"G20_DimMinusSeven",
            Floats("tensor_shape { dim { size: -7 } } float_val: 1"),
            kBad,
            {"-7"}},
        Row{"G20_UnknownRank",
            Floats("tensor_shape { unknown_rank: true } float_val: 1"),
            kBad,
            {"'value'"}},
        Row{"G21_SplatOfGigabytes",
            Floats("tensor_shape { dim { size: 8589934592 } } float_val: 1"),
            StatusCode::kResourceExhausted,
            {"'a'"}},
        Row{"G22_ContentTooShort",
            Floats("tensor_shape { dim { size: 2 } } tensor_content: '\\000\\000\\000\\000'"),
            kBad,
            {"'value'", "4"}},
        Row{"G22_TooManyValues",
            Floats("tensor_shape {} float_val: 1 float_val: 2"),
            kBad,
            {"2 values"}},
        Row{"G22_ValuesOfAnotherField", Floats("tensor_shape {} int_val: 1"), kBad, {"'value'"}},
        Row{"G22_HalfOver65535",
            R"(node { name: "a" op: "Const" attr { key: "dtype" value { type: DT_HALF } }
              attr { key: "value" value { tensor { dtype: DT_HALF tensor_shape {} half_val: 65536 } } } })",
            kBad,
            {"65536"}},
        Row{"G23_ConsumerTooOld",
            R"(versions { producer: 2000 min_consumer: 9999 })",
            kBad,
            {"9999"}},
        Row{"G23_NegativeProducer", R"(versions { producer: -1 })", kBad, {"-1"}},
        Row{"G23_BadConsumer",
            R"(versions { producer: 2000 bad_consumers: 1882 bad_consumers: 2474 })",
            kBad,
            {"bad_consumers"}},
        Row{"G25_CollectionNamesNoNode",
            R"(graph_def { node { name: "a" op: "NoOp" } } collection_def { key: "update_ops" value { node_list { value: "gone" } } })",
            kBad,
            {"update_ops", "gone"}},
        Row{"G25_GarbageVariable",
            R"(graph_def { node { name: "a" op: "NoOp" } } collection_def { key: "trainable_variables" value { bytes_list { value: "\377\377" } } })",
            kBad,
            {"trainable_variables"}}),
    [](const auto& info) { return std::string(info.param.name); });

std::string SoundGraph() {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s.Named("x"), kFloat, {-1, 3});
  layers::Dense(s, x, 2);
  return ExportGraphDef(graph)->SerializeAsString();
}

TEST(BadGraphFileTest, G01_EmptyIsLegalAndHasNothingToFetch) {
  EXPECT_TRUE(Load("").ok());
  ExpectError(Load("", "x:0"), StatusCode::kNotFound, {"x"});
}

// A prefix may be a graph of its own; any other end is INVALID_ARGUMENT. Nothing crashes.
TEST(BadGraphFileTest, G01_CutAtEveryByteAndFlippedAtEveryByte) {
  const std::string bytes = SoundGraph();
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string flipped = bytes;
    flipped[i] = static_cast<char>(~flipped[i]);
    for (const std::string& bad : {bytes.substr(0, i), flipped}) {
      const absl::Status status = Load(bad);
      EXPECT_TRUE(status.ok() || status.code() == kBad ||
                  status.code() == StatusCode::kResourceExhausted)
          << i << ": " << status;
    }
  }
}

TEST(BadGraphFileTest, G02_AFileOverTheLimitIsToldBeforeItIsRead) {
  const std::string path = testing::TempDir() + "/large.pb";
  std::ofstream(path, std::ios::binary) << std::string(1000, 'x');
  ExpectError(ReadGraphDef(path, {.max_file_bytes = 999}).status(), StatusCode::kResourceExhausted,
              {"large.pb", "1000 bytes", "999"});
  ExpectError(ReadGraphDef(testing::TempDir()).status(), kBad, {"directory"});
  ExpectError(ReadGraphDef("/no/such.pb").status(), StatusCode::kNotFound, {"/no/such.pb"});
}

TEST(BadGraphFileTest, G03_NestingEndsAtTheLimit) {
  std::string attr = "i: 1";
  for (int i = 0; i < 200; ++i)
    attr = "func { name: 'f' attr { key: 'x' value { " + attr + " } } }";
  ExpectError(Load("node { name: 'a' op: 'NoOp' attr { key: '_x' value { " + attr + " } } }"), kBad,
              {"bad.pb"});
  std::string deep;
  for (int i = 0; i < 1000000; ++i) deep += "library { ";
  EXPECT_EQ(Load(deep).code(), kBad);
}

TEST(BadGraphFileTest, G04_MillionsOfNodesAreCountedBeforeTheyAreMade) {
  std::string bytes;
  for (int i = 0; i < 5000000; ++i) bytes += std::string("\x0a\x00", 2);
  ExpectError(ParseGraphDef(bytes, "many.pb").status(), StatusCode::kResourceExhausted,
              {"5000000 nodes"});
  ExpectError(ParseMetaGraph(bytes, "many.pb").status(), StatusCode::kResourceExhausted,
              {"5000000 nodes"});
}

TEST(BadGraphFileTest, G05_LongNamesAreCutInMessages) {
  const absl::Status status = Load("node { name: '" + std::string(1 << 20, '-') + "' op: 'NoOp' }");
  EXPECT_EQ(status.code(), kBad);
  EXPECT_LT(status.message().size(), 2000U);
}

TEST(BadGraphFileTest, G15_AMillionEqualControlInputsAreOne) {
  std::string text = "node { name: 'a' op: 'NoOp' } node { name: 'b' op: 'NoOp' ";
  for (int i = 0; i < 1000000; ++i) text += "input: '^a' ";
  const auto def = ParseGraphDef(text + "}", "controls");
  ASSERT_TRUE(def.ok()) << def.status();
  Graph graph;
  ASSERT_TRUE(ImportGraphDef(*def, graph).ok()) << graph.status();
  EXPECT_EQ(graph.FindNode("b")->control_inputs().size(), 1U);
}

TEST(BadGraphFileTest, G16_ARingOfAMillionNodesNamesTen) {
  proto::GraphDef def;
  constexpr int kNodes = 1000000;
  for (int i = 0; i < kNodes; ++i) {
    proto::NodeDef* node = def.add_node();
    node->set_name(absl::StrCat("n", i));
    node->set_op("NoOp");
    node->add_input(absl::StrCat("^n", (i + 1) % kNodes));
  }
  Graph graph;
  const absl::Status status = ImportGraphDef(def, graph);
  ExpectError(status, kBad, {"1000000 nodes are in a cycle"});
  EXPECT_LT(status.message().size(), 1000U);
}

TEST(BadGraphFileTest, G22_BoolBytesAreNormalised) {
  const auto def = ParseGraphDef(
      R"(node { name: "a" op: "Const" attr { key: "dtype" value { type: DT_BOOL } }
         attr { key: "value" value { tensor { dtype: DT_BOOL tensor_shape { dim { size: 2 } } tensor_content: "\002\000" } } } })",
      "bools");
  ASSERT_TRUE(def.ok());
  Graph graph;
  ASSERT_TRUE(ImportGraphDef(*def, graph).ok()) << graph.status();
  Session session(graph);
  EXPECT_EQ(MustRun(session, {}, {.fetch = {"a:0"}})[0], Tensor::Of<bool>({2}, {true, false}));
}

// Names of devices, colocation and stored shapes are hints, whatever they say.
TEST(BadGraphFileTest, G26_HintsAreNeverTrusted) {
  const auto def = ParseGraphDef(Expand(R"(node { name: "a" op: "Const" device: "/gpu:\001!!" $c
                attr { key: "_class" value { list { s: "loc:@nobody" } } }
                attr { key: "_output_shapes" value { list { shape { dim { size: 1099511627776 } } } } } })"),
                                 "hints");
  ASSERT_TRUE(def.ok()) << def.status();
  Graph graph;
  ASSERT_TRUE(ImportGraphDef(*def, graph).ok()) << graph.status();
  Session session(graph);
  EXPECT_EQ(MustRun(session, {}, {.fetch = {"a:0"}})[0], Tensor(1.0f));
}

}  // namespace
}  // namespace espalier
