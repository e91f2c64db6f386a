// Dropout drops in training only.
#include <cmath>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(DropoutTest, DropsInTrainingOnly) {
  Graph graph;
  graph.set_seed(3);
  const Scope s = graph.root();
  const Output x = Const(s, Tensor::Filled<float>({1000}, 1));
  const Output training = Placeholder(s, kBool);
  const Output y = layers::Dropout(s, x, {.rate = 0.25, .training = training});
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  const auto kept = [&](bool on) {
    int count = 0;
    for (const float v : Floats(MustRun(session, {{training, on}}, {.fetch = {y}})[0])) {
      EXPECT_TRUE(v == 0 || v == 1 || std::abs(v - 4.0f / 3) < 1e-5f);
      count += v != 0 ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(kept(false), 1000);
  EXPECT_NEAR(kept(true), 750, 60);
}

}  // namespace
}  // namespace espalier
