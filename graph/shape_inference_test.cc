// Shapes are known as the graph is built.
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(ShapeInferenceTest, AsListShowsWhatIsKnown) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, {-1, 28, 28, 1});
  const Output y = layers::Conv2D(s, x, 4, 3, {.strides = 2, .padding = kSame});
  EXPECT_EQ(y.shape().as_list(), (std::vector<int64_t>{-1, 14, 14, 4}));
  EXPECT_EQ(layers::Flatten(s, y).shape().as_list(), (std::vector<int64_t>{-1, 784}));
  const Output batch = StridedSlice(s, Shape_(s, x), ConstInts(s, {0}), ConstInts(s, {1}),
                                    ConstInts(s, {1}), {.shrink_axis_mask = 1});
  const Output same = Reshape(s, x, Pack(s, {batch, Const(s, 784)}));
  EXPECT_EQ(same.shape().as_list(), (std::vector<int64_t>{-1, 784}));
}

}  // namespace
}  // namespace espalier
