// Tested by allocator_test.cc.
#include "espalier/graph/allocator.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace espalier {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kSmallest = 64;

void* SystemAllocate(size_t bytes) {
  return std::aligned_alloc(
      kAlignment, (std::max(bytes, kSmallest) + kAlignment - 1) / kAlignment * kAlignment);
}

absl::Status CheckTensorBudget(size_t bytes, const MemoryBudget& budget) {
  if (bytes > static_cast<size_t>(budget.max_tensor_bytes)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a tensor of ", bytes, " bytes is over the budget of ",
                     budget.max_tensor_bytes, " bytes for one tensor"));
  }
  return absl::OkStatus();
}

class SystemHeap : public Allocator {
 public:
  absl::StatusOr<void*> Allocate(size_t bytes) override {
    if (absl::Status status = CheckTensorBudget(bytes, MemoryBudget()); !status.ok()) return status;
    void* data = SystemAllocate(bytes);
    if (data == nullptr) return absl::ResourceExhaustedError("out of memory");
    return data;
  }
  void Free(void* data, size_t) override { std::free(data); }
};

}  // namespace

Allocator* HeapAllocator() {
  static SystemHeap* heap = new SystemHeap();  // never freed: tensors may outlive main
  return heap;
}

RecyclingAllocator::~RecyclingAllocator() {
  absl::MutexLock lock(&mutex_);
  for (std::vector<void*>& list : free_) {
    for (void* data : list) std::free(data);
  }
}

int RecyclingAllocator::ClassOf(size_t bytes) {
  if (bytes <= kSmallest) return 0;
  // The position of the leading bit and the two bits after it name the class.
  const size_t above = (bytes - 1) / kSmallest;
  const int power = std::bit_width(above) - 1;
  const int quarter = power >= 2 ? static_cast<int>((above >> (power - 2)) & 3)
                                 : static_cast<int>((above << (2 - power)) & 3);
  return 4 * power + quarter + 1;
}

size_t RecyclingAllocator::ClassBytes(int size_class) {
  if (size_class == 0) return kSmallest;
  const int power = (size_class - 1) / 4;
  const size_t quarter = (size_class - 1) % 4;
  const size_t sixteenth = (size_t{1} << power) * kSmallest;
  return sixteenth + (quarter + 1) * sixteenth / 4;
}

absl::StatusOr<void*> RecyclingAllocator::Allocate(size_t bytes) {
  if (absl::Status status = CheckTensorBudget(bytes, budget_); !status.ok()) return status;
  const int size_class = ClassOf(bytes);
  const auto size = static_cast<int64_t>(ClassBytes(size_class));
  {
    absl::MutexLock lock(&mutex_);
    if (live_bytes_ + size > budget_.max_live_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat(bytes, " more bytes on top of ", live_bytes_,
                                                       " in use are over the budget of ",
                                                       budget_.max_live_bytes, " bytes"));
    }
    live_bytes_ += size;
    peak_bytes_ = std::max(peak_bytes_, live_bytes_);
    std::vector<void*>& list = free_[size_class];
    if (!list.empty()) {
      void* data = list.back();
      list.pop_back();
      idle_bytes_ -= size;
      return data;
    }
  }
  void* data = SystemAllocate(size);
  if (data == nullptr) {
    absl::MutexLock lock(&mutex_);
    live_bytes_ -= size;
    return absl::ResourceExhaustedError(
        absl::StrCat("out of memory for a tensor of ", bytes, " bytes"));
  }
  return data;
}

void RecyclingAllocator::Free(void* data, size_t bytes) {
  const int size_class = ClassOf(bytes);
  const auto size = static_cast<int64_t>(ClassBytes(size_class));
  absl::MutexLock lock(&mutex_);
  live_bytes_ -= size;
  if (idle_bytes_ + size > std::max<int64_t>(peak_bytes_ * 5 / 4 - live_bytes_, 1 << 20)) {
    std::free(data);
    return;
  }
  idle_bytes_ += size;
  free_[size_class].push_back(data);
}

int64_t RecyclingAllocator::live_bytes() const {
  absl::MutexLock lock(&mutex_);
  return live_bytes_;
}

int64_t RecyclingAllocator::peak_bytes() const {
  absl::MutexLock lock(&mutex_);
  return peak_bytes_;
}

}  // namespace espalier
