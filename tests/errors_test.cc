// One row for each message: what a wrong program is told, and that the session keeps working
// afterwards.
#include <fstream>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

using absl::StatusCode;

// --- Errors of building: the graph's status.

struct BuildRow {
  const char* name;
  void (*build)(const Scope& s);
  StatusCode code;
  std::vector<std::string> parts;
};

class BuildErrorTest : public testing::TestWithParam<BuildRow> {};

TEST_P(BuildErrorTest, NamesOpNodeExpectedReceivedAndLine) {
  Graph graph;
  GetParam().build(graph.root());
  ExpectError(graph.status(), GetParam().code, GetParam().parts);
  Session session(graph);
  EXPECT_EQ(session.Run({}, {.target = {"x"}}).status(), graph.status())
      << "Run returns the first build error";
}

const Tensor kVector = Tensor::Of<float>({3}, {1, 2, 3});

INSTANTIATE_TEST_SUITE_P(
    Rows, BuildErrorTest,
    testing::Values(
        BuildRow{"ShapeMismatch",
                 [](const Scope& s) {
                   AddV2(s.Named("sum"), Const(s, kVector),
                         Const(s, Tensor::Filled<float>({2}, 1)));
                 },
                 StatusCode::kInvalidArgument,
                 {"AddV2", "'sum'", "errors_test.cc", "[3]", "[2]", "broadcast"}},
        BuildRow{
            "DtypeMismatch",
            [](const Scope& s) { AddV2(s.Named("sum"), Const(s, kVector), Const(s, int32_t{1})); },
            StatusCode::kInvalidArgument,
            {"AddV2", "'sum'", "errors_test.cc", "must be float", "int32"}},
        BuildRow{"MatMulInnerDimensions",
                 [](const Scope& s) {
                   MatMul(s, Placeholder(s, kFloat, {-1, 3}), Placeholder(s, kFloat, {4, 2}));
                 },
                 StatusCode::kInvalidArgument,
                 {"MatMul", "inner dimensions differ", "[?,3]", "[4,2]", "errors_test.cc"}},
        BuildRow{"TensorOfAnotherGraph",
                 [](const Scope& s) {
                   static Graph* other = new Graph();
                   Relu(s, Const(other->root(), kVector));
                 },
                 StatusCode::kInvalidArgument,
                 {"Relu", "another graph", "errors_test.cc"}},
        BuildRow{"PredicateIsNoBool",
                 [](const Scope& s) {
                   const auto one = [](const Scope& b) -> Output { return Const(b, 1.0f); };
                   Cond(s, Const(s, 1.0f), one, one);
                 },
                 StatusCode::kInvalidArgument,
                 {"Cond", "scalar bool", "float", "errors_test.cc"}},
        BuildRow{"PredicateIsNoScalar",
                 [](const Scope& s) {
                   const auto one = [](const Scope& b) -> Output { return Const(b, 1.0f); };
                   Cond(s, Placeholder(s, kBool, {2}), one, one);
                 },
                 StatusCode::kInvalidArgument,
                 {"Cond", "scalar bool", "[2]", "errors_test.cc"}},
        BuildRow{"BranchesDisagree",
                 [](const Scope& s) {
                   Cond(
                       s, Const(s, true), [](const Scope& b) -> Output { return Const(b, 1.0f); },
                       [](const Scope& b) -> Output { return Const(b, int32_t{1}); });
                 },
                 StatusCode::kInvalidArgument,
                 {"Cond", "float", "int32", "errors_test.cc"}},
        BuildRow{"TensorOfABranchUsedOutside",
                 [](const Scope& s) {
                   Output inside;
                   Cond(
                       s, Placeholder(s, kBool),
                       [&](const Scope& b) -> Output { return inside = Const(b, 1.0f); },
                       [](const Scope& b) -> Output { return Const(b, 2.0f); });
                   Relu(s, inside);
                 },
                 StatusCode::kInvalidArgument,
                 {"Relu", "inside a branch", "errors_test.cc"}},
        BuildRow{"DependencyOnABranch",
                 [](const Scope& s) {
                   Output inside;
                   Cond(
                       s, Placeholder(s, kBool),
                       [&](const Scope& b) -> Output { return inside = Const(b, 1.0f); },
                       [](const Scope& b) -> Output { return Const(b, 2.0f); });
                   NoOp(s.WithControlDependencies({inside}));
                 },
                 StatusCode::kInvalidArgument,
                 {"NoOp", "inside a branch", "errors_test.cc"}},
        BuildRow{"MissingGradient",
                 [](const Scope& s) {
                   const Output x = Placeholder(s, kFloat, {2});
                   Gradients(s, {PreventGradient(s.Named("wall"), x)}, {x});
                 },
                 StatusCode::kUnimplemented,
                 {"PreventGradient", "'wall'", "no gradient", "errors_test.cc"}},
        BuildRow{"UnconnectedLoss",
                 [](const Scope& s) {
                   Variable(s.Named("w"), 1.0f);
                   train::Adam(0.1).Minimize(s, Placeholder(s.Named("loss"), kFloat, Shape()));
                 },
                 StatusCode::kInvalidArgument,
                 {"Adam", "no variable has a gradient", "loss:0 does not depend on w:0",
                  "errors_test.cc"}},
        BuildRow{"CutLoss",
                 [](const Scope& s) {
                   const Output w = Variable(s.Named("w"), 1.0f);
                   train::GradientDescent(0.1).Minimize(s, StopGradient(s.Named("stop"), w));
                 },
                 StatusCode::kInvalidArgument,
                 {"is cut", "'stop'", "not differentiable"}},
        BuildRow{"UnknownOp",
                 [](const Scope& s) { AddOp(s, "Rellu", {Const(s, kVector)}); },
                 StatusCode::kNotFound,
                 {"Rellu", "did you mean Relu?", "errors_test.cc"}},
        BuildRow{"UnknownAttr",
                 [](const Scope& s) {
                   AddOp(s, "Relu", {Const(s, kVector)}, {{"alpha", 0.1}});
                 },
                 StatusCode::kInvalidArgument,
                 {"Relu", "no attr 'alpha'", "errors_test.cc"}},
        BuildRow{"AssignToNoVariable",
                 [](const Scope& s) { Assign(s, Const(s, kVector), Const(s, kVector)); },
                 StatusCode::kInvalidArgument,
                 {"Assign", "must be a variable", "errors_test.cc"}},
        BuildRow{"ValuesDoNotFillTheShape",
                 [](const Scope& s) {
                   Const(s, Tensor::Of<float>({2, 2}, {1, 2}));
                 },
                 StatusCode::kInvalidArgument,
                 {"Const", "errors_test.cc"}},
        BuildRow{"LayerNeedsKnownChannels",
                 [](const Scope& s) {
                   layers::Conv2D(s, Placeholder(s, kFloat, {-1, 8, 8, -1}), 4, 3);
                 },
                 StatusCode::kInvalidArgument,
                 {"Conv2D", "known channels", "[?,8,8,?]", "errors_test.cc"}}),
    [](const auto& info) { return std::string(info.param.name); });

// --- Errors of running: the Run's status; then a right Run works.

struct RunRow {
  const char* name;
  std::vector<Feed> feeds;
  RunRequest request;
  StatusCode code;
  std::vector<std::string> parts;
};

class RunErrorTest : public testing::TestWithParam<RunRow> {
 protected:
  RunErrorTest() {
    const Scope s = graph_.root();
    const Output x = Placeholder(s.Named("x"), kFloat, {-1, 2});
    const Output pred = Placeholder(s.Named("pred"), kBool);
    const Output w = Variable(s.Named("w"), Tensor::Filled<float>({2}, 1));
    const Output empty = Variable(s.Named("uninitialized"), Tensor::Filled<float>({2}, 1));
    AddV2(s.Named("y"), x, w);
    AddV2(s.Named("z"), x, empty);
    Cond(
        s.Named("choice"), pred,
        [&](const Scope& b) -> Output { return Relu(b.Named("taken"), x); },
        [&](const Scope& b) -> Output { return Neg(b.Named("left"), x); });
    Reshape(s.Named("reshaped"), x, Placeholder(s.Named("sizes"), kInt32, {1}));
    Tile(s.Named("tiled"), x, Placeholder(s.Named("multiples"), kInt32, {2}));
    EXPECT_TRUE(graph_.status().ok()) << graph_.status();
  }
  Graph graph_;
};

TEST_P(RunErrorTest, SaysWhatIsWrongAndTheSessionGoesOn) {
  Session session(graph_, {.budget = {.max_tensor_bytes = 1 << 20}});
  ASSERT_TRUE(session.Run({}, {.target = {"w/Assign"}}).ok());
  ExpectError(session.Run(GetParam().feeds, GetParam().request).status(), GetParam().code,
              GetParam().parts);
  const auto out = MustRun(session, {{"x", Tensor::Of<float>({1, 2}, {1, 2})}}, {.fetch = {"y"}});
  EXPECT_EQ(Floats(out[0]), (std::vector<float>{2, 3}));
}

const Tensor kRow = Tensor::Of<float>({1, 2}, {1, 2});

INSTANTIATE_TEST_SUITE_P(
    Rows, RunErrorTest,
    testing::Values(
        RunRow{"UnfedPlaceholder",
               {},
               {.fetch = {"y"}},
               StatusCode::kInvalidArgument,
               {"You must feed a value for placeholder 'x'", "float", "[?,2]", "errors_test.cc"}},
        RunRow{"FeedOfWrongDtype",
               {{"x", Tensor::Of<int32_t>({1, 2}, {1, 2})}},
               {.fetch = {"y"}},
               StatusCode::kInvalidArgument,
               {"x:0", "expected float", "received int32", "errors_test.cc"}},
        RunRow{"FeedOfWrongShape",
               {{"x", Tensor::Of<float>({1, 3}, {1, 2, 3})}},
               {.fetch = {"y"}},
               StatusCode::kInvalidArgument,
               {"x:0", "expected shape [?,2]", "received [1,3]", "errors_test.cc"}},
        RunRow{"EmptyFeed",
               {{"x", Tensor()}},
               {.fetch = {"y"}},
               StatusCode::kInvalidArgument,
               {"x:0", "empty"}},
        RunRow{"FeedOfAVariable",
               {{"w", Tensor::Filled<float>({2}, 1)}},
               {.fetch = {"w"}},
               StatusCode::kInvalidArgument,
               {"w:0", "variable"}},
        RunRow{"UnknownFeed",
               {{"xx", kRow}},
               {.fetch = {"y"}},
               StatusCode::kNotFound,
               {"'xx'", "did you mean 'x'"}},
        RunRow{"DuplicateFeed",
               {{"x", kRow}, {"x:0", kRow}},
               {.fetch = {"y"}},
               StatusCode::kInvalidArgument,
               {"x:0", "fed more than once"}},
        RunRow{"UnknownFetch",
               {{"x", kRow}},
               {.fetch = {"yy:0"}},
               StatusCode::kNotFound,
               {"'yy'", "did you mean"}},
        RunRow{"FetchOfNoOutput",
               {{"x", kRow}},
               {.fetch = {"y:3"}},
               StatusCode::kNotFound,
               {"no output 3", "AddV2 node 'y'", "errors_test.cc"}},
        RunRow{
            "NothingToDo", {{"x", kRow}}, {}, StatusCode::kInvalidArgument, {"nothing to fetch"}},
        RunRow{"FetchFromTheUntakenBranch",
               {{"x", kRow}, {"pred", true}},
               {.fetch = {"choice/left"}},
               StatusCode::kInvalidArgument,
               {"choice/left:0", "did not take", "Switch", "errors_test.cc"}},
        RunRow{"UninitializedVariable",
               {{"x", kRow}},
               {.fetch = {"z"}},
               StatusCode::kFailedPrecondition,
               {"Attempting to use uninitialized value uninitialized", "AddV2 node 'z'",
                "errors_test.cc"}},
        RunRow{"PredicateIsNoScalar",
               {{"x", kRow}, {"pred", Tensor::Of<bool>({1}, {true})}},
               {.fetch = {"choice/Merge"}},
               StatusCode::kInvalidArgument,
               {"Switch", "scalar", "[1]"}},
        RunRow{"ReshapeDoesNotFit",
               {{"x", kRow}, {"sizes", Tensor::Of<int32_t>({1}, {5})}},
               {.fetch = {"reshaped"}},
               StatusCode::kInvalidArgument,
               {"Reshape node 'reshaped'", "[1,2]", "[5]", "errors_test.cc"}},
        RunRow{"OverBudget",
               {{"x", kRow}, {"multiples", Tensor::Of<int32_t>({2}, {1 << 20, 8})}},
               {.fetch = {"tiled"}},
               StatusCode::kResourceExhausted,
               {"Tile node 'tiled'", "budget", "errors_test.cc"}}),
    [](const auto& info) { return std::string(info.param.name); });

// --- GraphDefs.

struct ImportRow {
  const char* name;
  const char* text;
  std::vector<std::string> parts;
};

class ImportErrorTest : public testing::TestWithParam<ImportRow> {};

TEST_P(ImportErrorTest, IsAStatus) {
  const auto def = ParseGraphDef(GetParam().text, "row");
  Graph graph;
  const absl::Status status = def.ok() ? ImportGraphDef(*def, graph) : def.status();
  ExpectError(status, StatusCode::kInvalidArgument, GetParam().parts);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, ImportErrorTest,
    testing::Values(
        ImportRow{
            "Cycle",
            R"(node { name: "a" op: "Identity" input: "b" } node { name: "b" op: "Identity" input: "a" })",
            {"2 nodes are in a cycle", "'a'", "'b'"}},
        ImportRow{"DuplicateName",
                  R"(node { name: "a" op: "NoOp" } node { name: "a" op: "NoOp" })",
                  {"'a'", "not unique"}},
        ImportRow{"DanglingInput",
                  R"(node { name: "a" op: "Identity" input: "nope" })",
                  {"'a'", "'nope'", "not exist"}},
        ImportRow{"BadInputName",
                  R"(node { name: "b" op: "NoOp" } node { name: "a" op: "Identity" input: "b:x" })",
                  {"'b:x'"}},
        ImportRow{
            "DataAfterControl",
            R"(node { name: "b" op: "NoOp" } node { name: "a" op: "Identity" input: "^b" input: "b" })",
            {"after a control input"}},
        ImportRow{
            "NoSuchOutput",
            R"(node { name: "b" op: "NoOp" } node { name: "a" op: "Identity" input: "b:1" attr { key: "T" value { type: DT_FLOAT } } })",
            {"b:1", "does not exist"}},
        ImportRow{"TensorTooLong",
                  R"(node { name: "a" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
                  attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape {} float_val: 1 float_val: 2 } } } })",
                  {"'a'", "'value'", "2 values"}},
        ImportRow{
            "NegativeDimension",
            R"(node { name: "a" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } }
                  attr { key: "shape" value { shape { dim { size: -7 } } } } })",
            {"-7"}},
        ImportRow{"MissingAttr",
                  R"(node { name: "b" op: "NoOp" } node { name: "a" op: "Placeholder" })",
                  {"'a'", "'dtype' is missing"}},
        ImportRow{"Garbage", "node { name: ", {"row", "line 1"}}),
    [](const auto& info) { return std::string(info.param.name); });

// --- MNIST files.

void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string Header(std::initializer_list<uint32_t> numbers) {
  std::string bytes;
  for (const uint32_t n : numbers) {
    for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(n >> shift);
  }
  return bytes;
}

TEST(MnistErrorTest, MissingTruncatedAndMismatchedFilesAreNamed) {
  const std::string folder = testing::TempDir();
  ExpectError(train::Mnist::Read("/nowhere", 1).status(), StatusCode::kNotFound,
              {"/nowhere/train-images-idx3-ubyte"});
  const std::string images = folder + "/train-images-idx3-ubyte";
  const std::string labels = folder + "/train-labels-idx1-ubyte";
  WriteBytes(images, Header({2051, 2, 2, 2}) + "12345");
  ExpectError(train::Mnist::Read(folder, 1).status(), StatusCode::kDataLoss,
              {images, "expected 8 bytes", "found 5"});
  WriteBytes(images, Header({2049, 2, 2, 2}));
  ExpectError(train::Mnist::Read(folder, 1).status(), StatusCode::kDataLoss,
              {images, "magic number 2051"});
  WriteBytes(images, Header({2051, 2, 2, 2}) + "12345678");
  WriteBytes(labels, Header({2049, 3}) + std::string(3, '\1'));
  ExpectError(train::Mnist::Read(folder, 1).status(), StatusCode::kDataLoss,
              {labels, "3 labels for 2 images"});
  WriteBytes(images, Header({2051, 0xffffffffU, 0xffffffffU, 0xffffffffU}));
  ExpectError(train::Mnist::Read(folder, 1).status(), StatusCode::kDataLoss, {images, "too large"});
}

}  // namespace
}  // namespace espalier
