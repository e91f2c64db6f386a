// Tested by thread_pool_test.cc.
#include "espalier/runtime/thread_pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace espalier {
namespace {

// About 20 microseconds: longer than the gap between two kernels of a step, far shorter than a time
// slice.
constexpr int kSpins = 600;
// The caller waits for blocks that others have begun; after this many spins it lets them have the
// core.
constexpr int kSpinsBeforeYield = 2000;

void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  for (int i = 1; i < threads; ++i) helpers_.emplace_back([this] { HelperMain(); });
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  {
    absl::MutexLock lock(&mutex_);
    wake_.SignalAll();
  }
  for (std::thread& helper : helpers_) helper.join();
}

void ThreadPool::Work(Loop& loop) {
  for (;;) {
    const int64_t i = loop.next.fetch_add(1, std::memory_order_relaxed);
    if (i >= loop.count) return;
    loop.body(i);
    loop.done.fetch_add(1, std::memory_order_release);
  }
}

void ThreadPool::HelperMain() {
  uint64_t seen = 0;
  while (!stop_) {
    // inside_ is raised before loop_ is read: the owner waits for it before its Loop goes out of
    // scope.
    inside_.fetch_add(1);
    if (Loop* loop = loop_.load()) Work(*loop);
    inside_.fetch_sub(1);
    int spins = 0;
    while (epoch_.load() == seen && !stop_ && spins < kSpins) {
      Pause();
      ++spins;
    }
    if (epoch_.load() == seen && !stop_) {
      absl::MutexLock lock(&mutex_);
      sleepers_.fetch_add(1);
      while (epoch_.load() == seen && !stop_) wake_.Wait(&mutex_);
      sleepers_.fetch_sub(1);
    }
    seen = epoch_.load();
  }
}

void ThreadPool::ParallelFor(int64_t count, absl::FunctionRef<void(int64_t)> body) {
  bool free = false;
  if (helpers_.empty() || count <= 1 || !busy_.compare_exchange_strong(free, true)) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  Loop loop{body, count};
  loop_.store(&loop);
  epoch_.fetch_add(1);
  if (sleepers_.load() > 0) {
    absl::MutexLock lock(&mutex_);
    wake_.SignalAll();
  }
  Work(loop);
  loop_.store(nullptr);
  for (int spins = 0; loop.done.load(std::memory_order_acquire) < count || inside_.load() > 0;
       ++spins) {
    if (spins < kSpinsBeforeYield) {
      Pause();
    } else {
      std::this_thread::yield();
    }
  }
  busy_.store(false);
}

}  // namespace espalier
