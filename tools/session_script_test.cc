// Session scripts: steps share a session, expectations are kept to, outputs are written.
#include "espalier/tools/session_script.h"

#include <filesystem>

#include "espalier/tests/testing.h"
#include "espalier/tools/compare.h"
#include "espalier/tools/npy.h"

namespace espalier {
namespace {

class SessionScriptTest : public testing::Test {
 protected:
  SessionScriptTest() : folder_(testing::TempDir() + "/script") {
    std::filesystem::create_directories(folder_);
    const Scope s = graph_.root();
    const Output x = Placeholder(s.Named("x"), kFloat, {2});
    const Output total = Variable(s.Named("total"), Tensor::Of<float>({2}, {0, 0}));
    AssignAdd(s.Named("add"), total, x);
    session_ = std::make_unique<Session>(graph_);
    EXPECT_TRUE(session_->Initialize().ok());
    EXPECT_TRUE(WriteNpy(Tensor::Of<float>({2}, {1, 2}), folder_ + "/x.npy").ok());
    EXPECT_TRUE(WriteNpy(Tensor::Of<float>({2}, {3, 6}), folder_ + "/total.npy").ok());
  }

  absl::Status Run(const std::string& json) {
    const auto script = ParseSessionScript(json, "test");
    if (!script.ok()) return script.status();
    return RunSessionScript(*session_, *script,
                            {.directory = folder_, .output_dir = folder_ + "/out"});
  }

  const std::string folder_;
  Graph graph_;
  std::unique_ptr<Session> session_;
};

TEST_F(SessionScriptTest, StepsShareTheSessionRepeatAndWriteWhatTheyFetch) {
  const absl::Status status = Run(R"({"steps": [
      {"feed": {"x:0": "x.npy"}, "target": ["add"], "repeat": 3},
      {"fetch": ["total:0"], "expect": {"total:0": "total.npy"}}]})");
  EXPECT_TRUE(status.ok()) << status;
  const auto written = ReadNpy(folder_ + "/out/1/total_0.npy");
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(*written, Tensor::Of<float>({2}, {3, 6}));
}

TEST_F(SessionScriptTest, AWrongValueOrNoErrorFailsTheStep) {
  ExpectError(Run(R"({"steps": [{"fetch": ["total:0"], "expect": {"total:0": "x.npy"}}]})"),
              absl::StatusCode::kAborted,
              {"step 0", "total:0 is not x.npy", "2 of 2 values differ"});
  ExpectError(Run(R"({"steps": [{"fetch": ["total:0"], "expect_error": "NOT_FOUND"}]})"),
              absl::StatusCode::kAborted, {"should have failed"});
  ExpectError(Run(R"({"steps": [{"fetch": ["totl:0"], "expect_error": "ABORTED"}]})"),
              absl::StatusCode::kNotFound, {"step 0", "did you mean"});
}

TEST_F(SessionScriptTest, TheExpectedErrorIsNone) {
  const absl::Status status = Run(R"({"steps": [
      {"fetch": ["totl:0"], "expect_error": "INVALID_ARGUMENT", "or_error": ["NOT_FOUND"]}]})");
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(SessionScriptTest, UnknownKeysAreErrors) {
  ExpectError(Run(R"({"steps": [{"fetches": ["total:0"]}]})"), absl::StatusCode::kInvalidArgument,
              {"no session script", "fetches"});
}

TEST(CompareTest, ToleratesWhatItSaysAndNoMore) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const Tensor want = Tensor::Of<float>({3}, {100, nan, infinity});
  EXPECT_TRUE(CompareTensors(Tensor::Of<float>({3}, {100.9f, nan, infinity}), want,
                             {.rtol = 0.01, .atol = 0})
                  .ok());
  for (const Tensor& got :
       {Tensor::Of<float>({3}, {101.1f, nan, infinity}), Tensor::Of<float>({3}, {100, 0, infinity}),
        Tensor::Of<float>({3}, {100, nan, -infinity}),
        Tensor::Of<float>({1, 3}, {100, nan, infinity}),
        Tensor::Of<double>({3}, {100, nan, infinity})}) {
    EXPECT_EQ(CompareTensors(got, want, {.rtol = 0.01, .atol = 0}).code(),
              absl::StatusCode::kAborted);
  }
}

}  // namespace
}  // namespace espalier
