// Where ready nodes wait for a thread.
//
//   ShuffledQueue queue(/*seed=*/17);
//   queue.Add([] { … });
//   queue.RunAll();          // returns when the queue is empty and nothing runs
//
// One queue serves one Run. Add may be called from any thread that works for the queue; RunAll from
// the Run's own.
#ifndef ESPALIER_RUNTIME_WORK_QUEUE_H_
#define ESPALIER_RUNTIME_WORK_QUEUE_H_

#include <deque>
#include <functional>
#include <random>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace espalier {

class WorkQueue {
 public:
  virtual ~WorkQueue() = default;
  virtual void Add(std::function<void()> work) = 0;
  virtual void RunAll() = 0;
};

// First in, first out, on the calling thread.
class InlineQueue : public WorkQueue {
 public:
  void Add(std::function<void()> work) override { work_.push_back(std::move(work)); }
  void RunAll() override;

 private:
  std::deque<std::function<void()>> work_;
};

// A random one of those that wait, on the calling thread: for tests. The seed replays the order.
class ShuffledQueue : public WorkQueue {
 public:
  explicit ShuffledQueue(uint64_t seed) : random_(seed) {}
  void Add(std::function<void()> work) override { work_.push_back(std::move(work)); }
  void RunAll() override;

 private:
  std::mt19937_64 random_;
  std::vector<std::function<void()>> work_;
};

// Several threads at once, the caller among them.
class ParallelQueue : public WorkQueue {
 public:
  explicit ParallelQueue(int threads) : threads_(threads) {}
  void Add(std::function<void()> work) override;
  void RunAll() override;

 private:
  void Work();
  bool ReadyOrFinished() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !work_.empty() || running_ == 0;
  }

  const int threads_;
  absl::Mutex mutex_;
  std::deque<std::function<void()>> work_ ABSL_GUARDED_BY(mutex_);
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_WORK_QUEUE_H_
