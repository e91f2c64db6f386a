// Tested by recursive_evaluator_test.cc.
#include "espalier/runtime/work_queue.h"

#include <thread>

namespace espalier {

void InlineQueue::RunAll() {
  while (!work_.empty()) {
    const std::function<void()> work = std::move(work_.front());
    work_.pop_front();
    work();
  }
}

void ShuffledQueue::RunAll() {
  while (!work_.empty()) {
    std::swap(work_[random_() % work_.size()], work_.back());
    const std::function<void()> work = std::move(work_.back());
    work_.pop_back();
    work();
  }
}

void ParallelQueue::Add(std::function<void()> work) {
  absl::MutexLock lock(&mutex_);
  work_.push_back(std::move(work));
}

void ParallelQueue::Work() {
  for (;;) {
    std::function<void()> work;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](ParallelQueue* queue)
               ABSL_EXCLUSIVE_LOCKS_REQUIRED(queue->mutex_) { return queue->ReadyOrFinished(); },
          this));
      if (work_.empty()) return;
      work = std::move(work_.front());
      work_.pop_front();
      ++running_;
    }
    work();
    absl::MutexLock lock(&mutex_);
    --running_;
  }
}

void ParallelQueue::RunAll() {
  std::vector<std::thread> helpers;
  for (int i = 1; i < threads_; ++i) helpers.emplace_back([this] { Work(); });
  Work();
  for (std::thread& helper : helpers) helper.join();
}

}  // namespace espalier
