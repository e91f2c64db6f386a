// What everything stands on: tensors, allocators, threads, random numbers.
#include <atomic>
#include <thread>

#include "espalier/ops/philox.h"
#include "espalier/runtime/thread_pool.h"
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

TEST(ThreadPoolTest, RunsEachBlockOnceAlsoNestedAndFromManyCallers) {
  ThreadPool pool(3);
  std::vector<std::thread> callers;
  std::atomic<int64_t> total{0};
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        pool.ParallelFor(17, [&](int64_t i) {
          pool.ParallelFor(3, [&](int64_t k) { total.fetch_add(i * 3 + k); });
        });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total.load(), int64_t{4} * 200 * (51 * 50 / 2));
}

// The first known answer of the Random123 distribution for philox4x32-10.
TEST(PhiloxTest, GivesTheKnownAnswerAndSkips) {
  Philox generator(0, 0);
  EXPECT_EQ(generator(), (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  Philox skipped(0, 0);
  skipped.Skip(1);
  EXPECT_EQ(generator(), skipped());
}

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
