// Blocks of work run once each.
#include "espalier/runtime/thread_pool.h"

#include <atomic>
#include <thread>

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

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

}  // namespace
}  // namespace espalier
