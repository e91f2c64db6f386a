// Resource variables: reads and writes in program order, gradients through handles, optimizers.
#include "espalier/ops/examples.h"
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

class ResourceVariablesTest : public testing::Test {
 protected:
  Output Handle(const char* name, const Shape& shape) {
    return AddOpOutput(s_.Named(name), "VarHandleOp", {}, {{"dtype", kFloat}, {"shape", shape}});
  }
  Operation Assign(const char* name, const Output& handle, const Tensor& value) {
    return Operation(AddOp(s_.Named(name), "AssignVariableOp", {handle, Const(s_, value)}));
  }
  Output Read(const Output& handle) {
    return AddOpOutput(s_, "ReadVariableOp", {handle}, {{"dtype", kFloat}});
  }

  Graph graph_;
  Scope s_ = graph_.root();
};

TEST_F(ResourceVariablesTest, ReadsAndWritesFollowTheOrderOfTheProgram) {
  const Output v = Handle("v", {2});
  const Operation init = Assign("init", v, F({2}, {1, 2}));
  const Output before = Read(v);
  AddOp(s_.Named("add"), "AssignAddVariableOp", {v, Const(s_, F({2}, {10, 10}))});
  const Output after = Read(v);
  AddOp(s_.Named("scatter"), "ResourceScatterUpdate",
        {v, Const(s_, Tensor::Of<int32_t>({1}, {0})), Const(s_, F({1}, {5}))});
  const Output last = Read(v);
  ASSERT_TRUE(graph_.status().ok()) << graph_.status();
  EXPECT_EQ(before.shape(), Shape({2})) << "the handle tells the shape";
  Session session(graph_);
  ExpectError(session.Run({}, {.fetch = {before}}).status(), absl::StatusCode::kFailedPrecondition,
              {"uninitialized", "v"});
  MustRun(session, {}, {.target = {init}});
  const auto out =
      MustRun(session, {}, {.fetch = {before, after, last}, .target = {"add", "scatter"}});
  EXPECT_EQ(Floats(out[0]), (std::vector<float>{1, 2}));
  EXPECT_EQ(Floats(out[1]), (std::vector<float>{11, 12}));
  EXPECT_EQ(Floats(out[2]), (std::vector<float>{5, 12}));
}

TEST_F(ResourceVariablesTest, GradientsReachTheHandle) {
  const Output v = Handle("v", {3, 1});
  const Operation init = Assign("init", v, F({3, 1}, {1, 2, 3}));
  const Output rows = AddOpOutput(
      s_, "ResourceGather", {v, Const(s_, Tensor::Of<int32_t>({2}, {2, 2}))}, {{"dtype", kFloat}});
  const Output loss = ReduceMean(s_, Square(s_, rows));
  const std::vector<Output> g = Gradients(s_, {loss}, {v});
  ASSERT_TRUE(graph_.status().ok()) << graph_.status();
  Session session(graph_);
  MustRun(session, {}, {.target = {init}});
  EXPECT_EQ(Floats(MustRun(session, {}, {.fetch = {g[0]}})[0]), (std::vector<float>{0, 0, 6}));
}

TEST_F(ResourceVariablesTest, OptimizersUpdateThemDenseAndByRows) {
  const Output v = Handle("v", {2, 1}), a = Handle("a", {2, 1});
  Assign("init_v", v, F({2, 1}, {1, 1}));
  Assign("init_a", a, F({2, 1}, {7, 7}));
  const Output rate = Const(s_, 0.5f);
  AddOp(s_.Named("dense"), "ResourceApplyAdagrad", {v, a, rate, Const(s_, F({2, 1}, {3, 3}))});
  AddOp(s_.Named("rows"), "ResourceSparseApplyAdagrad",
        {v, a, rate, Const(s_, F({1, 1}, {3})), Const(s_, Tensor::Of<int32_t>({1}, {1}))});
  const Output value = Read(v);
  ASSERT_TRUE(graph_.status().ok()) << graph_.status();
  Session session(graph_);
  MustRun(session, {}, {.target = {"init_v", "init_a"}});
  MustRun(session, {}, {.target = {"dense"}});
  EXPECT_EQ(Floats(MustRun(session, {}, {.fetch = {value}})[0]),
            (std::vector<float>{0.625f, 0.625f}));
  MustRun(session, {}, {.target = {"rows"}});
  EXPECT_EQ(Floats(MustRun(session, {}, {.fetch = {value}})[0]),
            (std::vector<float>{0.625f, 0.325f}));
}

}  // namespace
}  // namespace espalier
