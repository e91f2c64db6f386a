// Gradients cut to a length.
#include "espalier/train/clip.h"

#include <limits>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(ClipTest, ByNormShortensWhatIsLongerAndNothingElse) {
  Graph graph;
  const Scope s = graph.root();
  const Output t = Placeholder(s, kFloat, {2});
  const Output clipped = train::ClipByNorm(s, t, 5);
  const Output slope = Gradients(s, {clipped}, {t})[0];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  const auto at = [&](float a, float b) {
    return Floats(MustRun(session, {{t, Tensor::Of<float>({2}, {a, b})}}, {.fetch = {clipped}})[0]);
  };
  EXPECT_EQ(at(3, 4), (std::vector<float>{3, 4}));
  EXPECT_EQ(at(6, 8), (std::vector<float>{3, 4}));
  EXPECT_EQ(at(0, 0), (std::vector<float>{0, 0}));
  const auto zero = MustRun(session, {{t, Tensor::Of<float>({2}, {0, 0})}}, {.fetch = {slope}});
  EXPECT_EQ(Floats(zero[0]), (std::vector<float>{1, 1}));
}

TEST(ClipTest, ByGlobalNormKeepsDirectionsAndSkipsWhatIsEmpty) {
  Graph graph;
  const Scope s = graph.root();
  const Output a = Placeholder(s, kFloat, {1});
  const Output b = Placeholder(s, kFloat, {1});
  const train::ClippedByGlobalNorm clipped = train::ClipByGlobalNorm(s, {a, Output(), b}, 1);
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  ASSERT_EQ(clipped.tensors.size(), 3U);
  EXPECT_FALSE(clipped.tensors[1].valid());
  Session session(graph);
  const auto at = [&](float x, float y) {
    return MustRun(session, {{a, Tensor::Of<float>({1}, {x})}, {b, Tensor::Of<float>({1}, {y})}},
                   {.fetch = {clipped.tensors[0], clipped.tensors[2], clipped.global_norm}});
  };
  const auto large = at(3, 4);
  EXPECT_NEAR(large[0].data<float>()[0], 0.6f, 1e-6);
  EXPECT_NEAR(large[1].data<float>()[0], 0.8f, 1e-6);
  EXPECT_NEAR(large[2].scalar<float>(), 5, 1e-6);
  EXPECT_NEAR(at(0.3f, 0.4f)[0].data<float>()[0], 0.3f, 1e-6);
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isnan(at(infinity, 1)[1].data<float>()[0]));
}

TEST(ClipTest, NothingToClipIsAnErrorThatNamesItsLine) {
  Graph graph;
  train::ClipByGlobalNorm(graph.root(), std::vector<Output>{Output()}, 1);
  ExpectError(graph.status(), absl::StatusCode::kInvalidArgument, {"GlobalNorm", "clip_test.cc"});
}

}  // namespace
}  // namespace espalier
