// Stacks and tensor arrays: what lives within one Run.
#include "espalier/ops/examples.h"
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

constexpr absl::StatusCode kBad = absl::StatusCode::kInvalidArgument;

TEST(StackTest, GivesBackTheLastFirstAndIsNewInEachRun) {
  Graph graph;
  const Scope s = graph.root();
  const Output stack = StackV2(s, Const(s, int32_t{2}), kFloat);
  const Output one = StackPushV2(s, stack, Const(s, 1.0f));
  const Output two = StackPushV2(s.WithControlDependencies({one}), stack, Const(s, 2.0f));
  const Output three = StackPushV2(s.WithControlDependencies({two}), stack, Const(s, 3.0f));
  const Output last = StackPopV2(s.WithControlDependencies({two}), stack, kFloat);
  const Output first = StackPopV2(s.WithControlDependencies({last}), stack, kFloat);
  const Output none = StackPopV2(s.WithControlDependencies({first}), stack, kFloat);
  const Output wrong = StackPopV2(s.WithControlDependencies({two}), stack, kInt32);
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  for (int run = 0; run < 2; ++run) {
    const auto out = MustRun(session, {}, {.fetch = {last, first}});
    EXPECT_EQ(out[0], Tensor(2.0f));
    EXPECT_EQ(out[1], Tensor(1.0f));
  }
  ExpectError(session.Run({}, {.fetch = {none}}).status(), kBad, {"StackPopV2", "empty"});
  ExpectError(session.Run({}, {.fetch = {three}}).status(), kBad, {"StackPushV2", "full", "2"});
  ExpectError(session.Run({}, {.fetch = {wrong}}).status(), kBad, {"float", "int32"});
}

struct Array {
  Output handle, flow;
};
Array MakeArray(const Scope& s, int32_t size, const TensorArrayV3Options& options = {}) {
  const TensorArrayV3Outputs array = TensorArrayV3(s, Const(s, size), kFloat, options);
  return {array.handle, array.flow};
}
Output At(const Scope& s, int32_t i) { return Const(s, i); }

TEST(TensorArrayTest, WritesReadsGathersScattersConcatenatesAndSplits) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Const(s, F({3, 2}, {1, 2, 3, 4, 5, 6}));
  Array a = MakeArray(s, 3, {.clear_after_read = false});
  a.flow = TensorArrayScatterV3(s, a.handle, Const(s, I({3}, {2, 0, 1})), x, a.flow);
  const Output row = TensorArrayReadV3(s, a.handle, At(s, 0), a.flow, kFloat);
  const Output rows = TensorArrayGatherV3(s, a.handle, Const(s, I({2}, {2, 1})), a.flow, kFloat);
  const Output size = TensorArraySizeV3(s, a.handle, a.flow);
  Array b = MakeArray(s, 2);
  b.flow = TensorArraySplitV3(s, b.handle, x, Const(s, L({2}, {1, 2})), b.flow);
  const TensorArrayConcatV3Outputs all = TensorArrayConcatV3(s, b.handle, b.flow, kFloat);
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  const auto out = MustRun(session, {}, {.fetch = {row, rows, size, all.value, all.lengths}});
  EXPECT_EQ(out[0], F({2}, {3, 4}));
  EXPECT_EQ(out[1], F({2, 2}, {1, 2, 5, 6}));
  EXPECT_EQ(out[2], I({}, {3}));
  EXPECT_EQ(out[3], F({3, 2}, {1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(out[4], L({2}, {1, 2}));
}

TEST(TensorArrayTest, GrowsOnlyWhenAskedToAndReadsZerosOfAKnownShape) {
  Graph graph;
  const Scope s = graph.root();
  Array fixed = MakeArray(s, 1);
  const Output past = TensorArrayWriteV3(s, fixed.handle, At(s, 1), Const(s, 1.0f), fixed.flow);
  Array growing = MakeArray(s, 0, {.element_shape = Shape{2}, .dynamic_size = true});
  growing.flow =
      TensorArrayWriteV3(s, growing.handle, At(s, 1), Const(s, F({2}, {1, 2})), growing.flow);
  const Output unwritten = TensorArrayReadV3(s, growing.handle, At(s, 0), growing.flow, kFloat);
  const Output wrong =
      TensorArrayWriteV3(s, growing.handle, At(s, 2), Const(s, F({3}, {1, 2, 3})), growing.flow);
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  EXPECT_EQ(MustRun(session, {}, {.fetch = {unwritten}})[0], F({2}, {0, 0}));
  ExpectError(session.Run({}, {.fetch = {past}}).status(), kBad, {"index 1", "size 1"});
  ExpectError(session.Run({}, {.fetch = {wrong}}).status(), kBad, {"[2]", "[3]"});
}

TEST(TensorArrayTest, AnElementIsWrittenOnceAndReadOnce) {
  Graph graph;
  const Scope s = graph.root();
  Array a = MakeArray(s, 2);
  a.flow = TensorArrayWriteV3(s, a.handle, At(s, 0), Const(s, 1.0f), a.flow);
  const Output twice = TensorArrayWriteV3(s, a.handle, At(s, 0), Const(s, 1.0f), a.flow);
  const Output read = TensorArrayReadV3(s, a.handle, At(s, 0), a.flow, kFloat);
  const Output again =
      TensorArrayReadV3(s.WithControlDependencies({read}), a.handle, At(s, 0), a.flow, kFloat);
  const Output unwritten = TensorArrayReadV3(s, a.handle, At(s, 1), a.flow, kFloat);
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  ExpectError(session.Run({}, {.fetch = {twice}}).status(), kBad, {"already been written"});
  ExpectError(session.Run({}, {.fetch = {again}}).status(), kBad, {"cleared"});
  ExpectError(session.Run({}, {.fetch = {unwritten}}).status(), kBad, {"before it is written"});
}

// y = x[0]² + x[0] x[1], through an array; element 0 is read twice, so its gradients add up.
TEST(TensorArrayTest, GradientsGoThroughAnArrayOfGradients) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, {2});
  Array a = MakeArray(s, 2, {.clear_after_read = false});
  a.flow = TensorArrayScatterV3(s, a.handle, Const(s, I({2}, {0, 1})), x, a.flow);
  const Output first = TensorArrayReadV3(s, a.handle, At(s, 0), a.flow, kFloat);
  const Output second = TensorArrayReadV3(s, a.handle, At(s, 1), a.flow, kFloat);
  const Output y = AddV2(s, Mul(s, first, first), Mul(s, first, second));
  const Output dx = Gradients(s, {y}, {x})[0];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  const auto out = MustRun(session, {{x, F({2}, {3, 5})}}, {.fetch = {y, dx}});
  EXPECT_EQ(out[0], Tensor(24.0f));
  EXPECT_EQ(out[1], F({2}, {11, 3}));
}

}  // namespace
}  // namespace espalier
