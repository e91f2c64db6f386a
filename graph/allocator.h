// Where tensor memory comes from: the one choke point for every buffer.
//
//   RecyclingAllocator allocator({.max_tensor_bytes = 1 << 30, .max_live_bytes = 4LL << 30});
//   absl::StatusOr<Tensor> t = Tensor::Allocate(kFloat, {1024, 1024}, &allocator);
//
// Thread-safe. An allocator must live until the last buffer that it gave out is freed; shared_ptr
// ownership in Buffer sees to that.
#ifndef ESPALIER_GRAPH_ALLOCATOR_H_
#define ESPALIER_GRAPH_ALLOCATOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace espalier {

struct MemoryBudget {
  // The largest single buffer, in bytes. Default: 16 GiB.
  int64_t max_tensor_bytes = int64_t{16} << 30;
  // All buffers alive at one time, in bytes. Default: 64 GiB.
  int64_t max_live_bytes = int64_t{64} << 30;
};

class Allocator {
 public:
  virtual ~Allocator() = default;
  // `bytes` bytes aligned to 64, not cleared. RESOURCE_EXHAUSTED when over a budget or out of
  // memory.
  virtual absl::StatusOr<void*> Allocate(size_t bytes) = 0;
  // Takes back what Allocate(bytes) returned.
  virtual void Free(void* data, size_t bytes) = 0;
};

// Keeps freed buffers in free lists by size class, so that a training step in its steady state asks
// the system for nothing. Freed memory beyond a quarter of what is in use goes back to the system.
class RecyclingAllocator : public Allocator {
 public:
  explicit RecyclingAllocator(MemoryBudget budget = {}) : budget_(budget) {}
  ~RecyclingAllocator() override;
  RecyclingAllocator(const RecyclingAllocator&) = delete;  // owns its free lists
  RecyclingAllocator& operator=(const RecyclingAllocator&) = delete;

  absl::StatusOr<void*> Allocate(size_t bytes) override;
  void Free(void* data, size_t bytes) override;

  // Bytes in buffers that are alive now, and the most there ever were.
  int64_t live_bytes() const;
  int64_t peak_bytes() const;

 private:
  // Four classes to each power of two: at most 25 % of a buffer is unused.
  static constexpr int kClasses = 4 * 48;
  static int ClassOf(size_t bytes);
  static size_t ClassBytes(int size_class);

  const MemoryBudget budget_;
  mutable absl::Mutex mutex_;
  std::array<std::vector<void*>, kClasses> free_ ABSL_GUARDED_BY(mutex_);
  int64_t live_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t peak_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t idle_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The allocator of tensors made outside a session: the system's heap, with the default budget.
Allocator* HeapAllocator();

}  // namespace espalier

#endif  // ESPALIER_GRAPH_ALLOCATOR_H_
