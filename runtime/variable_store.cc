// Tested by order_state_test.cc.
#include "espalier/runtime/variable_store.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace espalier {

// The analysis cannot follow a list of locks.
VariableWriter::VariableWriter(std::vector<VariableSlot*> slots) ABSL_NO_THREAD_SAFETY_ANALYSIS
    : slots_(std::move(slots)),
      locked_(slots_) {
  std::sort(locked_.begin(), locked_.end());
  locked_.erase(std::unique(locked_.begin(), locked_.end()), locked_.end());
  for (VariableSlot* slot : locked_) slot->mutex_.Lock();
}

VariableWriter::~VariableWriter() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (VariableSlot* slot : locked_) slot->mutex_.Unlock();
}

absl::Status VariableWriter::Check() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (locked_.size() != slots_.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("variable ", slots_[0]->name(), " is used as its own slot"));
  }
  for (const VariableSlot* slot : slots_) {
    if (!slot->value_.valid()) {
      return absl::FailedPreconditionError(
          absl::StrCat("Attempting to use uninitialized value ", slot->name()));
    }
  }
  return absl::OkStatus();
}

const Tensor& VariableWriter::value(int i) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  return slots_[i]->value_;
}

absl::StatusOr<Tensor*> VariableWriter::Mutable(int i, const std::shared_ptr<Allocator>& allocator)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Tensor& value = slots_[i]->value_;
  if (!value.unique()) {
    absl::StatusOr<Tensor> copy = value.Clone(allocator);
    if (!copy.ok()) return copy.status();
    value = *std::move(copy);
  }
  return &value;
}

void VariableWriter::Set(int i, Tensor value) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  slots_[i]->value_ = std::move(value);
}

std::shared_ptr<VariableSlot> VariableStore::FindOrCreate(const std::string& name, DType dtype) {
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<VariableSlot>& slot = slots_[name];
  if (!slot) slot = std::make_shared<VariableSlot>(name, dtype);
  return slot;
}

std::shared_ptr<VariableSlot> VariableStore::Find(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  const auto it = slots_.find(name);
  return it == slots_.end() ? nullptr : it->second;
}

}  // namespace espalier
