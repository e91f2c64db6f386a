// Files with loops that are none: rows G17 to G19 of the project's list of bad inputs. A sound loop
// is damaged in one place; what cannot be seen when the file is read is refused when it runs.
#include "absl/strings/str_replace.h"
#include "espalier/graph/meta_graph.h"
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

using absl::StatusCode;

// i = 0; while (i < 3) i += 1;
constexpr char kLoop[] = R"(
  node { name: "zero" op: "Const" $c node { name: "limit" op: "Const" $3
  node { name: "enter" op: "Enter" input: "zero" $T attr { key: "frame_name" value { s: "f" } } }
  node { name: "enter_limit" op: "Enter" input: "limit" $T $constant
         attr { key: "frame_name" value { s: "f" } } }
  node { name: "merge" op: "Merge" input: "enter" input: "next" $T $N }
  node { name: "less" op: "Less" input: "merge" input: "enter_limit" $T }
  node { name: "cond" op: "LoopCond" input: "less" }
  node { name: "switch" op: "Switch" input: "merge" input: "cond" $T }
  node { name: "now" op: "Identity" input: "switch:1" $T }
  node { name: "one" op: "Const" input: "^now" $c
  node { name: "add" op: "AddV2" input: "now" input: "one" $T }
  node { name: "next" op: "NextIteration" input: "add" $T }
  node { name: "exit" op: "Exit" input: "switch" $T }
)";

std::string Expand(const std::string& text) {
  constexpr char kConst[] = R"(attr { key: "dtype" value { type: DT_FLOAT } } attr { key: "value"
      value { tensor { dtype: DT_FLOAT tensor_shape {} float_val: $ } } } })";
  return absl::StrReplaceAll(text,
                             {{"$c", absl::StrReplaceAll(kConst, {{"$", "1"}})},
                              {"$3", absl::StrReplaceAll(kConst, {{"$", "3"}})},
                              {"$T", R"(attr { key: "T" value { type: DT_FLOAT } })"},
                              {"$N", R"(attr { key: "N" value { i: 2 } })"},
                              {"$constant", R"(attr { key: "is_constant" value { b: true } })"}});
}

absl::Status Load(const std::string& text, const std::string& fetch) {
  const auto meta = ParseMetaGraph(Expand(text), "loop.pbtxt");
  if (!meta.ok()) return meta.status();
  Graph graph;
  RETURN_IF_ERROR(ImportMetaGraph(*meta, graph));
  // Stuck loops must end, endless ones too.
  Session session(graph, {.limits = {.max_loop_iterations = 1000}});
  return session.Run({}, {.fetch = {fetch}}).status();
}

struct Row {
  const char* name;
  std::string from, to;  // the damage
  StatusCode code;
  std::vector<std::string> parts;
  const char* fetch = "exit";
};

class BadLoopTest : public testing::TestWithParam<Row> {};

TEST_P(BadLoopTest, IsRefusedByName) {
  const Row& row = GetParam();
  ASSERT_TRUE(Load(kLoop, "exit").ok()) << Load(kLoop, "exit");
  const std::string damaged = absl::StrReplaceAll(kLoop, {{row.from, row.to}});
  ASSERT_NE(damaged, kLoop);
  ExpectError(Load(damaged, row.fetch), row.code, row.parts);
}

constexpr StatusCode kBad = StatusCode::kInvalidArgument;

INSTANTIATE_TEST_SUITE_P(
    Rows, BadLoopTest,
    testing::Values(Row{"G17_MergeOfNothing",
                        R"(input: "enter" input: "next" $T $N)",
                        R"($T attr { key: "N" value { i: 0 } })",
                        kBad,
                        {"Merge node 'merge'", "N"}},
                    Row{"G17_MergeOfFewerThanItSays",
                        R"(input: "enter" input: "next" $T $N)",
                        R"(input: "enter" $T attr { key: "N" value { i: 65536 } })",
                        kBad,
                        {"'merge'", "65536"}},
                    Row{"G17_MergeOfBackEdgesOnly",
                        R"(input: "enter" input: "next" $T $N)",
                        R"(input: "next" input: "next" $T $N)",
                        kBad,
                        {"'exit'", "outside of all loops"}},
                    Row{"G18_ExitWithoutEnter",
                        R"(op: "Exit" input: "switch")",
                        R"(op: "Exit" input: "zero")",
                        kBad,
                        {"'exit'", "outside of all loops"}},
                    Row{"G18_NodeInTwoFrames",
                        R"(op: "Less" input: "merge" input: "enter_limit")",
                        R"(op: "Less" input: "merge" input: "limit")",
                        kBad,
                        {"'less'", "different frames", "'limit'", "frame 'f'"}},
                    Row{"G18_EntersOfTwoFrames",
                        R"(input: "limit" $T $constant
         attr { key: "frame_name" value { s: "f" } })",
                        R"(input: "limit" $T $constant
         attr { key: "frame_name" value { s: "g" } })",
                        kBad,
                        {"'less'", "different frames", "frame 'g'", "frame 'f'"}},
                    Row{"G18_FrameWithinItself",
                        R"(op: "Enter" input: "limit")",
                        R"(op: "Enter" input: "enter")",
                        kBad,
                        {"'enter_limit'", "frame 'f'", "within itself"}},
                    Row{"G18_TwoLoopsOfOneFrame",
                        R"(node { name: "switch" op)",
                        R"(node { name: "again" op: "LoopCond" input: "less" }
               node { name: "more" op: "Switch" input: "merge" input: "again" $T }
               node { name: "exit_too" op: "Exit" input: "more" $T }
               node { name: "both" op: "AddV2" input: "exit" input: "exit_too" $T }
               node { name: "switch" op)",
                        kBad,
                        {"a second loop in frame 'f'"},
                        "both"},
                    Row{"G18_ConditionIsNoBool",
                        R"(op: "LoopCond" input: "less")",
                        R"(op: "LoopCond" input: "merge")",
                        kBad,
                        {"LoopCond", "bool"}},
                    Row{"G18_NoParallelIterations",
                        R"($T attr { key: "frame_name" value { s: "f" } } }
  node { name: "enter_limit")",
                        R"($T attr { key: "frame_name" value { s: "f" } }
               attr { key: "parallel_iterations" value { i: 0 } } }
  node { name: "enter_limit")",
                        kBad,
                        {"'enter'", "parallel_iterations must be at least 1"}},
                    Row{"G18_NoFrameName",
                        R"($T attr { key: "frame_name" value { s: "f" } } }
  node { name: "enter_limit")",
                        R"($T } node { name: "enter_limit")",
                        kBad,
                        {"'enter'", "frame_name"}},
                    Row{"G18_AValueOfTheLoopIsFetched",
                        R"(s: "f")",
                        R"(s: "frame")",
                        kBad,
                        {"inside the loop 'frame'"},
                        "add"},
                    Row{"G18_ControlAcrossFrames",
                        R"(op: "AddV2" input: "now" input: "one")",
                        R"(op: "AddV2" input: "now" input: "one" input: "^limit")",
                        kBad,
                        {"'add'", "different frames", "'limit'"}},
                    Row{"R01_NeverEnds",
                        R"(op: "AddV2" input: "now" input: "one")",
                        R"(op: "Sub" input: "now" input: "one")",
                        StatusCode::kResourceExhausted,
                        {"'next'", "1000 iterations"}}),
    [](const testing::TestParamInfo<Row>& row) { return row.param.name; });

TEST(BadLoopTest, ManyParallelIterationsAreOnlyAHint) {
  const std::string many = absl::StrReplaceAll(
      kLoop, {{R"($T attr { key: "frame_name")",
               R"($T attr { key: "parallel_iterations" value { i: 4611686018427387904 } }
                  attr { key: "frame_name")"}});
  EXPECT_TRUE(Load(many, "exit").ok()) << Load(many, "exit");
}

TEST(BadLoopTest, G19_ThePredicateMustBeAScalar) {
  Graph graph;
  const Scope s = graph.root();
  const Output pred = Placeholder(s, kBool);
  const Output y = Cond(
      s, pred, [](const Scope& b) { return Const(b, 1.0f); },
      [](const Scope& b) { return Const(b, 2.0f); });
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  for (const Tensor& value : {Tensor::Of<bool>({0}, {}), Tensor::Of<bool>({1}, {true}),
                              Tensor::Of<bool>({2, 1}, {true, false})}) {
    ExpectError(session.Run({{pred, value}}, {.fetch = {y}}).status(), kBad, {"scalar"});
  }
}

}  // namespace
}  // namespace espalier
