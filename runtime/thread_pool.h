// The threads that kernels and the executor share.
//
//   ThreadPool pool(2);                                   // the caller and one helper
//   pool.ParallelFor(blocks, [&](int64_t block) { … });   // returns when every block is done
//
// Thread-safe. The caller always works too, and waits only for blocks that somebody has begun, so a
// helper that lost its core delays nobody. Helpers spin for a short bounded time after work, then
// sleep. When the pool is busy with another caller's loop, a loop runs on its own caller alone: no
// waiting, no deadlock, and the same result, since blocks are cut by the caller and never by the
// number of threads.
#ifndef ESPALIER_RUNTIME_THREAD_POOL_H_
#define ESPALIER_RUNTIME_THREAD_POOL_H_

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"

namespace espalier {

class ThreadPool {
 public:
  // `threads` counts the caller; 1 (or less) makes no helper at all.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;  // owns its threads
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(helpers_.size()) + 1; }
  // Calls body(0) … body(count - 1), each once, on any of the threads, in any order.
  void ParallelFor(int64_t count, absl::FunctionRef<void(int64_t)> body);

 private:
  // One loop. Lives on its caller's stack; helpers touch it only between Enter and Leave.
  struct Loop {
    absl::FunctionRef<void(int64_t)> body;
    int64_t count;
    std::atomic<int64_t> next{0};
    std::atomic<int64_t> done{0};
  };

  void HelperMain();
  static void Work(Loop& loop);

  std::vector<std::thread> helpers_;
  std::atomic<bool> busy_{false};     // a caller owns the pool
  std::atomic<Loop*> loop_{nullptr};  // what helpers may join
  std::atomic<int> inside_{0};        // helpers that may be touching *loop_
  std::atomic<uint64_t> epoch_{0};    // counts loops, so that sleepers notice a new one
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  absl::Mutex mutex_;
  absl::CondVar wake_;
};

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_THREAD_POOL_H_
