// Values that an op must refuse, or must answer as TensorFlow does. Each row runs twice, with its
// inputs as constants, which shape functions see, and fed, which only kernels see: the verdict must
// be the same (O31). The names of the rows are those of the project's list of bad inputs.
#include <cmath>
#include <limits>

#include "espalier/ops/examples.h"
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

using absl::StatusCode;
constexpr StatusCode kBad = StatusCode::kInvalidArgument;
constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr int32_t kIntMin = std::numeric_limits<int32_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

struct Case {
  std::string name;
  std::string op;
  std::vector<Tensor> inputs;
  AttrMap attrs = {};
  StatusCode code = kBad;  // kOk: `expected` comes out
  std::vector<std::string> parts = {};
  std::vector<Tensor> expected = {};
};

// Output 0 of the case's op, or the first error; `fed`: through placeholders that know nothing.
absl::StatusOr<Tensor> Evaluate(const Case& c, bool fed) {
  Graph graph;
  const Scope s = graph.root();
  std::vector<Output> inputs;
  std::vector<Feed> feeds;
  for (const Tensor& value : c.inputs) {
    if (fed) {
      inputs.push_back(Placeholder(s, value.dtype(), Shape::Unknown()));
      feeds.push_back({inputs.back(), value});
    } else {
      inputs.push_back(Const(s, value));
    }
  }
  const Node* node = AddOp(s.Named("subject"), c.op, inputs, c.attrs);
  RETURN_IF_ERROR(graph.status());
  Session session(graph, {.budget = {.max_tensor_bytes = 64 << 20, .max_live_bytes = 256 << 20}});
  if (node->num_outputs() == 0) return session.Run(feeds, {.target = {"subject"}}).status();
  absl::StatusOr<std::vector<Tensor>> out = session.Run(feeds, {.fetch = {node->output(0)}});
  if (!out.ok()) return out.status();
  return (*out)[0];
}

class BadValueTest : public testing::TestWithParam<Case> {};

TEST_P(BadValueTest, IsRefusedOrAnsweredAlikeFromConstantsAndFeeds) {
  const Case& c = GetParam();
  for (const bool fed : {false, true}) {
    SCOPED_TRACE(fed ? "fed" : "constant");
    const absl::StatusOr<Tensor> out = Evaluate(c, fed);
    if (c.code != StatusCode::kOk) {
      std::vector<std::string> parts = c.parts;
      parts.push_back(c.op + " node 'subject'");
      ExpectError(out.status(), c.code, parts);
      continue;
    }
    ASSERT_TRUE(out.ok()) << out.status();
    EXPECT_EQ(*out, c.expected[0]) << out->DebugString();
  }
}

AttrMap Conv(std::vector<int64_t> strides, const char* padding = "VALID", AttrMap more = {}) {
  more["strides"] = std::move(strides);
  more["padding"] = padding;
  return more;
}
AttrMap Pool(std::vector<int64_t> ksize, std::vector<int64_t> strides) {
  return {{"ksize", std::move(ksize)}, {"strides", std::move(strides)}, {"padding", "VALID"}};
}
const std::vector<int64_t> kOnes = {1, 1, 1, 1};

std::vector<Case> Arithmetic() {
  std::vector<Case> cases;
  for (const char* op : {"FloorDiv", "FloorMod", "TruncateDiv", "TruncateMod"}) {
    cases.push_back({std::string("O01_") + op,
                     op,
                     {I({2}, {1, 2}), I({2}, {1, 0})},
                     {},
                     kBad,
                     {"Integer division by zero"}});
  }
  const auto ok = [&](const char* name, const char* op, std::vector<Tensor> inputs, Tensor out,
                      AttrMap attrs = {}) {
    cases.push_back({name, op, std::move(inputs), std::move(attrs), StatusCode::kOk, {}, {out}});
  };
  ok("O02_FloorDivOfMin", "FloorDiv", {I({}, {kIntMin}), I({}, {-1})}, I({}, {kIntMin}));
  ok("O02_FloorModOfMin", "FloorMod", {I({}, {kIntMin}), I({}, {-1})}, I({}, {0}));
  ok("O02_NegMin", "Neg", {I({}, {kIntMin})}, I({}, {kIntMin}));
  ok("O02_AbsMin", "Abs", {I({}, {kIntMin})}, I({}, {kIntMin}));
  ok("O02_AddWraps", "AddV2", {L({}, {kMax}), L({}, {1})}, L({}, {-kMax - 1}));
  ok("O02_MulWraps", "Mul", {I({}, {1 << 30}), I({}, {4})}, I({}, {0}));
  ok("O02_ShiftTooFar", "LeftShift", {I({}, {1}), I({}, {99})}, I({}, {kIntMin}));
  ok("O03_CastOfNan", "Cast", {F({}, {kNaN})}, B({}, {true}), {{"DstT", kBool}});
  ok("O03_CastOfLarge", "Cast", {F({}, {1e30f})}, I({}, {kIntMin}), {{"DstT", kInt32}});
  cases.push_back(
      {"O04_NegativeIntegerPower", "Pow", {I({}, {2}), I({}, {-1})}, {}, kBad, {"negative"}});
  ok("O04_LogOfZero", "Log", {F({}, {0})}, F({}, {-kInf}));
  ok("O04_RsqrtOfZero", "Rsqrt", {F({}, {0})}, F({}, {kInf}));
  cases.push_back(
      {"O05_Mismatch", "AddV2", {F({2}, {1, 2}), F({3}, {1, 2, 3})}, {}, kBad, {"[2]", "[3]"}});
  cases.push_back({"O06_Inner",
                   "MatMul",
                   {F({1, 2}, {1, 2}), F({3, 1}, {1, 2, 3})},
                   {},
                   kBad,
                   {"[1,2]", "[3,1]"}});
  cases.push_back({"O06_Rank", "MatMul", {F({2}, {1, 2}), F({2, 1}, {1, 2})}, {}, kBad, {}});
  ok("O06_NoTerms", "MatMul", {F({1, 0}, {}), F({0, 2}, {})}, F({1, 2}, {0, 0}));
  ok("O06_NoRows", "MatMul", {F({0, 1}, {}), F({1, 2}, {1, 2})}, F({0, 2}, {}));
  return cases;
}

std::vector<Case> Windows() {
  const Tensor x = F({1, 2, 2, 1}, {1, 2, 3, 4}), one = F({1, 1, 1, 1}, {1});
  const Tensor large = Ramp({3, 3, 1, 1});
  return {
      {"O07_StrideZero", "Conv2D", {x, one}, Conv({1, 0, 1, 1})},
      {"O07_StrideNegative", "Conv2D", {x, one}, Conv({1, -1, 1, 1})},
      {"O07_StridesTooShort", "Conv2D", {x, one}, Conv({1, 1})},
      {"O07_DilationZero",
       "Conv2D",
       {x, one},
       Conv(kOnes, "VALID", {{"dilations", std::vector<int64_t>{1, 0, 1, 1}}})},
      {"O07_FilterTooLarge", "Conv2D", {x, large}, Conv(kOnes)},
      {"O07_ChannelsDoNotDivide", "Conv2D", {x, Ramp({1, 1, 2, 1})}, Conv(kOnes)},
      {"O07_PaddingNegative",
       "Conv2D",
       {x, one},
       Conv(kOnes, "EXPLICIT",
            {{"explicit_paddings", std::vector<int64_t>{0, 0, -1, 0, 0, 0, 0, 0}}})},
      {"O07_PaddingOdd",
       "Conv2D",
       {x, one},
       Conv(kOnes, "EXPLICIT", {{"explicit_paddings", std::vector<int64_t>{0, 0, 1}}})},
      {"O07_Empty",
       "Conv2D",
       {F({0, 2, 2, 1}, {}), one},
       Conv(kOnes),
       StatusCode::kOk,
       {},
       {F({0, 2, 2, 1}, {})}},
      {"O08_SizesTooShort", "Conv2DBackpropInput", {I({2}, {1, 2}), one, x}, Conv(kOnes)},
      {"O08_SizesNegative", "Conv2DBackpropInput", {I({4}, {1, -2, 2, 1}), one, x}, Conv(kOnes)},
      {"O08_Inconsistent", "Conv2DBackpropInput", {I({4}, {1, 5, 5, 1}), one, x}, Conv(kOnes)},
      {"O08_FilterSizes", "Conv2DBackpropFilter", {x, I({4}, {2, 2, 1, -1}), x}, Conv(kOnes)},
      {"O09_WindowZero", "MaxPool", {x}, Pool({1, 0, 1, 1}, kOnes)},
      {"O09_WindowTooLarge", "MaxPool", {x}, Pool({1, 3, 3, 1}, kOnes)},
      {"O09_StrideZero", "AvgPool", {x}, Pool(kOnes, {1, 0, 1, 1})},
      {"O09_GradOfAnotherShape", "MaxPoolGrad", {x, x, one}, Pool(kOnes, kOnes)},
      {"O09_AvgGradOfAnotherShape", "AvgPoolGrad", {I({4}, {1, 2, 2, 1}), one}, Pool(kOnes, kOnes)},
      {"O09_Nan",
       "MaxPool",
       {F({1, 1, 2, 1}, {1, kNaN})},
       Pool({1, 1, 2, 1}, kOnes),
       StatusCode::kOk,
       {},
       {F({1, 1, 1, 1}, {kNaN})}},
      {"O10_ScaleTooLong",
       "FusedBatchNormV3",
       {x, F({2}, {1, 1}), F({1}, {0}), F({0}, {}), F({0}, {})}},
      {"O10_EpsilonNan",
       "FusedBatchNormV3",
       {x, F({1}, {1}), F({1}, {0}), F({0}, {}), F({0}, {})},
       {{"epsilon", kNaN}}},
      {"O10_Empty",
       "FusedBatchNormV3",
       {F({0, 2, 2, 1}, {}), F({1}, {1}), F({1}, {0}), F({0}, {}), F({0}, {})},
       {},
       StatusCode::kOk,
       {},
       {F({0, 2, 2, 1}, {})}},
      {"O11_BiasMatrix", "BiasAdd", {F({1, 2}, {1, 2}), F({1, 2}, {1, 2})}},
      {"O11_BiasTooLong", "BiasAdd", {F({1, 2}, {1, 2}), F({3}, {1, 2, 3})}},
      {"O11_ValueVector", "BiasAdd", {F({2}, {1, 2}), F({2}, {1, 2})}},
  };
}

std::vector<Case> Arrays() {
  const Tensor x = F({2, 2}, {1, 2, 3, 4}), v = F({3}, {1, 2, 3});
  const auto slice = [](int64_t begin_mask, int64_t ellipsis, int64_t shrink) -> AttrMap {
    return {{"begin_mask", begin_mask}, {"ellipsis_mask", ellipsis}, {"shrink_axis_mask", shrink}};
  };
  return {
      {"O12_TwoOpen", "Reshape", {x, I({2}, {-1, -1})}},
      {"O12_MinusTwo", "Reshape", {x, I({2}, {-2, 2})}},
      {"O12_Size", "Reshape", {x, I({1}, {5})}, {}, kBad, {"[2,2]", "5"}},
      {"O12_OpenOfNothing", "Reshape", {F({0}, {}), I({2}, {0, -1})}},
      {"O12_NoVector", "Reshape", {x, I({1, 1}, {4})}},
      {"O13_ConcatAxis", "ConcatV2", {x, x, I({}, {2})}, {{"N", 2}}},
      {"O13_ConcatRanks", "ConcatV2", {x, v, I({}, {0})}, {{"N", 2}}},
      {"O13_PackShapes", "Pack", {x, v}, {{"N", 2}}},
      {"O13_SplitUneven", "Split", {I({}, {0}), v}, {{"num_split", 2}}},
      {"O13_SplitNone", "Split", {I({}, {0}), v}, {{"num_split", 0}}},
      {"O13_SizesTwoOpen", "SplitV", {v, I({2}, {-1, -1}), I({}, {0})}, {{"num_split", 2}}},
      {"O13_SqueezeOfTwo", "Squeeze", {x}, {{"squeeze_dims", std::vector<int64_t>{0}}}},
      {"O13_ExpandAxis", "ExpandDims", {x, I({}, {4})}},
      {"O14_BeginAndSize", "Slice", {v, I({1}, {2}), I({1}, {2})}},
      {"O14_SizeMinusTwo", "Slice", {v, I({1}, {0}), I({1}, {-2})}},
      {"O14_Overflow", "Slice", {v, L({1}, {1}), L({1}, {kMax})}},
      {"O14_StrideZero", "StridedSlice", {v, I({1}, {0}), I({1}, {1}), I({1}, {0})}},
      {"O14_TwoEllipses",
       "StridedSlice",
       {v, I({2}, {0, 0}), I({2}, {1, 1}), I({2}, {1, 1})},
       slice(0, 3, 0)},
      {"O14_Lengths", "StridedSlice", {v, I({1}, {0}), I({2}, {1, 1}), I({1}, {1})}},
      {"O14_ShrinkOutOfRange",
       "StridedSlice",
       {v, I({1}, {7}), I({1}, {8}), I({1}, {1})},
       slice(0, 0, 1)},
      {"O15_GatherNegative", "GatherV2", {v, I({1}, {-1}), I({}, {0})}, {}, kBad, {"-1"}},
      {"O15_GatherTooLarge",
       "GatherV2",
       {v, L({2}, {0, int64_t{1} << 40}), I({}, {0})},
       {},
       kBad,
       {"indices[1]"}},
      {"O15_GatherFromNothing", "GatherV2", {F({0}, {}), I({1}, {0}), I({}, {0})}},
      {"O15_GatherAxis", "GatherV2", {v, I({1}, {0}), I({}, {1})}},
      {"O15_GatherNd", "GatherNd", {x, I({1, 2}, {0, 2})}, {}, kBad, {"2"}},
      {"O15_ScatterNd", "ScatterNd", {I({1, 1}, {4}), F({1}, {1}), I({1}, {3})}},
      {"O15_Stitch", "DynamicStitch", {I({1}, {-1}), F({1}, {1})}, {{"N", 1}}},
      {"O16_Repeated", "Transpose", {x, I({2}, {0, 0})}},
      {"O16_TooShort", "Transpose", {x, I({1}, {0})}},
      {"O16_OutOfRange", "Transpose", {x, I({2}, {0, 2})}},
      {"O17_Negative", "Pad", {v, I({1, 2}, {-1, 0})}},
      {"O17_Shape", "Pad", {v, I({2}, {1, 0})}},
      {"O17_MirrorTooLarge", "MirrorPad", {v, I({1, 2}, {3, 0})}, {{"mode", "REFLECT"}}},
      {"O18_TileNegative", "Tile", {v, I({1}, {-1})}},
      {"O18_FillNegative", "Fill", {I({1}, {-1}), F({}, {1})}},
      {"O18_FillHuge",
       "Fill",
       {L({1}, {int64_t{1} << 50}), F({}, {1})},
       {},
       StatusCode::kResourceExhausted},
      {"O18_RangeNoStep", "Range", {I({}, {0}), I({}, {5}), I({}, {0})}},
      {"O18_RangeHuge", "Range", {L({}, {0}), L({}, {kMax}), L({}, {1})}, {}, kBad},
      {"O18_LinSpaceNone", "LinSpace", {F({}, {0}), F({}, {1}), I({}, {0})}},
      {"O18_OneHotDepth", "OneHot", {I({1}, {0}), I({}, {-1}), F({}, {1}), F({}, {0})}},
      {"O18_BroadcastTo", "BroadcastTo", {v, I({1}, {2})}},
      {"O19_AxisRange", "Sum", {x, I({1}, {2})}},
      {"O19_AxisTwice", "Sum", {x, I({2}, {0, 0})}},
      {"O19_SumOfNothing", "Sum", {F({0}, {}), I({1}, {0})}, {}, StatusCode::kOk, {}, {F({}, {0})}},
      {"O19_ArgMaxOfNothing", "ArgMax", {F({0, 2}, {}), I({}, {0})}},
      {"O20_IdNegative", "SegmentSum", {v, I({3}, {-1, 0, 0})}},
      {"O20_Unsorted", "SegmentSum", {v, I({3}, {1, 0, 1})}},
      {"O20_TooLarge", "UnsortedSegmentSum", {v, I({3}, {0, 1, 5}), I({}, {2})}},
      {"O20_CountNegative", "UnsortedSegmentSum", {v, I({3}, {0, 1, 0}), I({}, {-1})}},
      {"O20_Dropped",
       "UnsortedSegmentSum",
       {v, I({3}, {0, -1, 0}), I({}, {1})},
       {},
       StatusCode::kOk,
       {},
       {F({1}, {4})}},
      {"O20_Lengths", "SegmentSum", {v, I({2}, {0, 0})}},
  };
}

std::vector<Case> LossesAndRandom() {
  const Tensor logits = F({1, 2}, {1, 2});
  const AttrMap seeds = {{"dtype", kFloat}, {"seed", 1}, {"seed2", 2}};
  return {
      {"O21_LabelNegative",
       "SparseSoftmaxCrossEntropyWithLogits",
       {logits, I({1}, {-1})},
       {},
       kBad,
       {"labels[0]", "-1"}},
      {"O21_LabelTooLarge",
       "SparseSoftmaxCrossEntropyWithLogits",
       {logits, I({1}, {2})},
       {},
       kBad,
       {"labels[0]", "2"}},
      {"O21_LabelShape", "SparseSoftmaxCrossEntropyWithLogits", {logits, I({2}, {0, 0})}},
      {"O21_NoBatch",
       "SparseSoftmaxCrossEntropyWithLogits",
       {F({0, 2}, {}), I({0}, {})},
       {},
       StatusCode::kOk,
       {},
       {F({0}, {})}},
      {"O22_SoftmaxOfScalar", "Softmax", {F({}, {1})}},
      {"O22_SoftmaxOfNothing",
       "Softmax",
       {F({2, 0}, {})},
       {},
       StatusCode::kOk,
       {},
       {F({2, 0}, {})}},
      {"O22_Differ", "SoftmaxCrossEntropyWithLogits", {logits, F({1, 3}, {1, 0, 0})}},
      {"O23_ShapeNegative", "RandomUniform", {I({1}, {-1})}, seeds},
      {"O23_ShapeHuge",
       "RandomUniform",
       {L({1}, {int64_t{1} << 50})},
       seeds,
       StatusCode::kResourceExhausted},
      {"O23_ShapeScalar", "RandomUniform", {I({}, {2})}, seeds},
      {"O23_BoundsEqual",
       "RandomUniformInt",
       {I({1}, {2}), I({}, {3}), I({}, {3})},
       {{"seed", 1}, {"seed2", 2}}},
      {"O29_CheckNumerics",
       "CheckNumerics",
       {F({2}, {1, kNaN})},
       {{"message", "the loss"}},
       kBad,
       {"the loss", "NaN"}},
      {"O29_Inf",
       "CheckNumerics",
       {F({2}, {1, kInf})},
       {{"message", "%s%n"}},
       kBad,
       {"%s%n", "Inf"}},
  };
}

std::vector<Case> All() {
  std::vector<Case> all;
  for (const auto& cases : {Arithmetic(), Windows(), Arrays(), LossesAndRandom()})
    all.insert(all.end(), cases.begin(), cases.end());
  return all;
}

INSTANTIATE_TEST_SUITE_P(Rows, BadValueTest, testing::ValuesIn(All()),
                         [](const auto& info) { return info.param.name; });

// --- Variables (O24, O26): the error leaves them as they were.

TEST(BadVariableTest, O24_ReadBeforeAssignAndAssignOfAnotherShape) {
  Graph graph;
  const Scope s = graph.root();
  const Output w =
      AddOpOutput(s.Named("w"), "VariableV2", {}, {{"shape", Shape{2}}, {"dtype", kFloat}});
  Identity(s.Named("read"), w);
  const Output value = Placeholder(s.Named("value"), kFloat, Shape::Unknown());
  AddOp(s.Named("assign"), "Assign", {w, value}, {});
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  ExpectError(session.Run({}, {.fetch = {"read"}}).status(), StatusCode::kFailedPrecondition,
              {"Attempting to use uninitialized value w"});
  ExpectError(session.Run({{value, F({3}, {1, 2, 3})}}, {.target = {"assign"}}).status(), kBad,
              {"[2]", "[3]"});
}

TEST(BadVariableTest, O26_ABadStepLeavesTheVariablesUntouched) {
  Graph graph;
  const Scope s = graph.root();
  const Output w = Variable(s.Named("w"), F({2}, {1, 2}));
  const Output m = Variable(s.Named("m"), F({2}, {0, 0}));
  const Output rate = Placeholder(s.Named("rate"), kFloat, Shape::Unknown());
  const Output gradient = Placeholder(s.Named("gradient"), kFloat, Shape::Unknown());
  AddOp(s.Named("step"), "ApplyMomentum", {w, m, rate, gradient, Const(s, 0.9f)}, {});
  AddOp(s.Named("twice"), "ApplyMomentum", {w, w, rate, gradient, Const(s, 0.9f)}, {});
  Identity(s.Named("read"), w);
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  ASSERT_TRUE(session.Initialize().ok());
  const Tensor good = F({2}, {1, 1});
  EXPECT_EQ(session.Run({{rate, good}, {gradient, good}}, {.target = {"step"}}).status().code(),
            kBad);
  EXPECT_EQ(session.Run({{rate, 0.1f}, {gradient, F({3}, {1, 1, 1})}}, {.target = {"step"}})
                .status()
                .code(),
            kBad);
  EXPECT_EQ(session.Run({{rate, 0.1f}, {gradient, good}}, {.target = {"twice"}}).status().code(),
            kBad);
  EXPECT_EQ(MustRun(session, {}, {.fetch = {"read"}})[0], F({2}, {1, 2}));
}

TEST(BadVariableTest, O25_AssignTakesVariablesOnly) {
  Graph graph;
  const Scope s = graph.root();
  AddOp(s.Named("assign"), "Assign", {Const(s, 1.0f), Const(s, 1.0f)}, {});
  ExpectError(graph.status(), kBad, {"Assign", "must be a variable"});
}

// User data is printed, never taken for a format.
TEST(BadVariableTest, O30_AFailedAssertPrintsItsDataLiterally) {
  Graph graph;
  const Scope s = graph.root();
  AddOp(s.Named("check"), "Assert", {Const(s, false), Const(s, Tensor("%s%n"))},
        {{"summarize", -1}});
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  ExpectError(session.Run({}, {.target = {"check"}}).status(), kBad, {"%s%n"});
}

}  // namespace
}  // namespace espalier
