// Random ops draw TensorFlow's numbers.
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

struct RandomCase {
  const char* op;
  std::vector<float> first, second;
};

// TensorFlow 2.21's numbers for seed 1, seed2 2, shape [6], in two runs of one session.
TEST(RandomTest, TheNumbersAreTensorFlowsInLaterDrawsToo) {
  const RandomCase cases[] = {
      {"RandomUniform",
       {0.40639675f, 0.85759962f, 0.055395842f, 0.085872293f, 0.4121536f, 0.036630869f},
       {0.49945498f, 0.062847018f, 0.46006584f, 0.20280075f, 0.088630319f, 0.97260022f}},
      {"RandomStandardNormal",
       {-1.0467793f, 0.83970457f, 1.2358364f, 2.0637853f, 0.30374271f, 1.2963251f},
       {0.45330226f, 1.0876547f, 1.1917063f, 0.36415315f, -0.37713498f, 2.1689472f}},
      {"TruncatedNormal",
       {-1.0467793f, 0.83970457f, 1.2358364f, 0.30374271f, 0.38869092f, 1.2367047f},
       {0.45330226f, 1.0876547f, 1.1917063f, 0.36415315f, -0.94940251f, 0.88003349f}},
  };
  for (const RandomCase& c : cases) {
    Graph graph;
    const Scope s = graph.root();
    const Output y =
        AddOpOutput(s, c.op, {ConstInts(s, {6})}, {{"dtype", kFloat}, {"seed", 1}, {"seed2", 2}});
    Session session(graph);
    for (const std::vector<float>* expected : {&c.first, &c.second}) {
      const std::vector<float> values = Floats(MustRun(session, {}, {.fetch = {y}})[0]);
      for (int i = 0; i < 6; ++i) EXPECT_NEAR(values[i], (*expected)[i], 1e-6) << c.op << " " << i;
    }
  }
  Graph graph;
  const Scope s = graph.root();
  const Output y =
      RandomUniformInt(s, ConstInts(s, {6}), Const(s, -3), Const(s, 40), {.seed = 1, .seed2 = 2});
  Session session(graph);
  EXPECT_EQ(MustRun(session, {}, {.fetch = {y}})[0],
            Tensor::Of<int32_t>({6}, {18, 29, 2, 16, 14, 12}));
}

}  // namespace
}  // namespace espalier
