// The variables of a session.
//
//   VariableStore store;
//   std::shared_ptr<VariableSlot> w = store.FindOrCreate("w", kFloat);
//   Tensor now = w->Read();                     // invalid while uninitialised
//
// Thread-safe: each read and each write is atomic. A read hands out the buffer itself; a write
// works in place only when nobody else holds it, and on a copy otherwise, so what was read never
// changes.
#ifndef ESPALIER_RUNTIME_VARIABLE_STORE_H_
#define ESPALIER_RUNTIME_VARIABLE_STORE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "espalier/graph/tensor.h"

namespace espalier {

class VariableSlot {
 public:
  VariableSlot(std::string name, DType dtype) : name_(std::move(name)), dtype_(dtype) {}

  const std::string& name() const { return name_; }
  DType dtype() const { return dtype_; }
  bool initialized() const { return Read().valid(); }
  Tensor Read() const {
    absl::MutexLock lock(&mutex_);
    return value_;
  }
  void Write(Tensor value) {
    absl::MutexLock lock(&mutex_);
    std::swap(value_, value);  // the old buffer is freed outside the lock
  }

 private:
  friend class VariableWriter;
  const std::string name_;
  const DType dtype_;
  mutable absl::Mutex mutex_;
  Tensor value_ ABSL_GUARDED_BY(mutex_);
};

// Exclusive access to a few variables at once, for ops that update in place. Locks in the order of
// addresses, so that two Runs cannot wait for each other. A variable may be named once only.
class VariableWriter {
 public:
  explicit VariableWriter(std::vector<VariableSlot*> slots);
  ~VariableWriter();
  VariableWriter(const VariableWriter&) = delete;  // holds locks
  VariableWriter& operator=(const VariableWriter&) = delete;

  // FAILED_PRECONDITION naming the variable when one has no value; INVALID_ARGUMENT when one is
  // named twice.
  absl::Status Check() const;
  const Tensor& value(int i) const;
  // The value with a buffer that nobody else holds, copied first when shared.
  absl::StatusOr<Tensor*> Mutable(int i, const std::shared_ptr<Allocator>& allocator);
  void Set(int i, Tensor value);

 private:
  std::vector<VariableSlot*> slots_;
  std::vector<VariableSlot*> locked_;
};

class VariableStore {
 public:
  std::shared_ptr<VariableSlot> FindOrCreate(const std::string& name, DType dtype);
  // Null when there is none.
  std::shared_ptr<VariableSlot> Find(const std::string& name) const;

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<VariableSlot>> slots_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_VARIABLE_STORE_H_
