// Tensors: views, strings, sizes that overflow.
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(TensorTest, ViewsShareAndClonesDoNot) {
  const Tensor a = Tensor::Of<float>({2, 2}, {1, 2, 3, 4});
  const Tensor row = *a.Slice(1, 2);
  const Tensor flat = *a.Reshaped({4});
  EXPECT_EQ(row.raw(), a.data<float>() + 2);
  EXPECT_TRUE(flat.SharesBufferWith(a));
  EXPECT_FALSE(a.unique());
  EXPECT_TRUE(a.Clone()->unique());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a.raw()) % 64, 0U);
  EXPECT_FALSE(a.Reshaped({3}).ok());
  EXPECT_FALSE(a.Slice(1, 3).ok());
}

TEST(TensorTest, StringsAreMadeAndFreed) {
  const Tensor t = Tensor::Of<std::string>({2}, {"a", std::string(100, 'b')});
  EXPECT_EQ(*t.Clone(), t);
}

TEST(TensorTest, SizesThatOverflowAreAnError) {
  EXPECT_FALSE(Tensor::Allocate(kFloat, {int64_t{1} << 40, int64_t{1} << 40}).ok());
  EXPECT_FALSE(Tensor::Allocate(kFloat, {-1}).ok());
  EXPECT_FALSE(Tensor::Allocate(kVariant, {1}).ok());
  EXPECT_TRUE(Tensor::Allocate(kFloat, {int64_t{1} << 20, 0, int64_t{1} << 20}).ok());
}

}  // namespace
}  // namespace espalier
