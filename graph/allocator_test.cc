// Memory comes from one place, is used again, and has a budget.
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(AllocatorTest, RecyclesCountsAndKeepsItsBudget) {
  auto allocator = std::make_shared<RecyclingAllocator>(
      MemoryBudget{.max_tensor_bytes = 1 << 20, .max_live_bytes = 3 << 18});
  const void* first = nullptr;
  {
    const Tensor t = *Tensor::Allocate(kFloat, {1000}, allocator);
    first = t.raw();
    EXPECT_GE(allocator->live_bytes(), 4000);
  }
  EXPECT_EQ(allocator->live_bytes(), 0);
  const Tensor again = *Tensor::Allocate(kFloat, {1000}, allocator);
  EXPECT_EQ(again.raw(), first);
  EXPECT_EQ(Tensor::Allocate(kFloat, {1 << 19}, allocator).status().code(),
            absl::StatusCode::kResourceExhausted);
  const Tensor half = *Tensor::Allocate(kFloat, {1 << 17}, allocator);
  EXPECT_EQ(Tensor::Allocate(kFloat, {1 << 17}, allocator).status().code(),
            absl::StatusCode::kResourceExhausted);
  for (const int64_t size : {1, 63, 64, 65, 80, 81, 96, 127, 128, 129, 1000, 4097, 100001}) {
    Tensor t = *Tensor::Allocate(kUInt8, {size}, allocator);
    std::fill_n(t.mutable_data<uint8_t>(), size,
                uint8_t{1});  // a sanitizer sees a class that is too small
  }
}

}  // namespace
}  // namespace espalier
