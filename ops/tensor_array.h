// A list of tensors that one Run writes and reads by index: what TensorArray ops share.
//
//   TensorArrayObject array({.type = kFloat, .size = 3});
//   RETURN_IF_ERROR(array.Write(0, x));
//   ASSIGN_OR_RETURN(Tensor y, array.Read(0));
//
// Each element is written once, and forgotten when it is read unless it may be read again; the
// elements of a gradient's array may be written several times and add up. Thread-safe.
#ifndef ESPALIER_OPS_TENSOR_ARRAY_H_
#define ESPALIER_OPS_TENSOR_ARRAY_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "espalier/runtime/kernel.h"

namespace espalier {

struct TensorArrayObjectOptions {
  DType type = kFloat;
  int64_t size = 0;
  Shape element_shape = Shape::Unknown();
  bool grows = false;             // writes past the end make it longer
  bool clear_after_read = true;   // an element can be read once
  bool identical_shapes = false;  // the first element fixes the shape of all
  bool adds_up = false;           // a second write adds to the first
};

class TensorArrayObject : public RunObject {
 public:
  explicit TensorArrayObject(TensorArrayObjectOptions options)
      : type_(options.type), options_(std::move(options)), elements_(options_.size) {}

  DType type() const { return type_; }
  int64_t size() const;
  // INVALID_ARGUMENT for an index out of range, an element of another type or shape, one that is
  // written already or has been read.
  absl::Status Write(int64_t index, const Tensor& value);
  // INVALID_ARGUMENT for an index out of range, an element that has been read and cleared, or that
  // nobody wrote and whose shape is not known; zeros of a known shape stand for one.
  absl::StatusOr<Tensor> Read(int64_t index);

  // The array that collects this one's gradients for `source`, made when first asked for. Its
  // elements have the shapes of this one's, after `prepend`; this one grows no more.
  std::shared_ptr<TensorArrayObject> Gradient(const std::string& source, const Shape& prepend);

 private:
  struct Element {
    Tensor value;
    Shape shape = Shape::Unknown();  // known from a write, kept when the value is cleared
    bool written = false, read = false, cleared = false;
  };

  absl::Status CheckShape(int64_t index, const Shape& shape) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const DType type_;
  TensorArrayObjectOptions options_ ABSL_GUARDED_BY(mutex_);
  mutable absl::Mutex mutex_;
  std::vector<Element> elements_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<TensorArrayObject>> gradients_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace espalier

#endif  // ESPALIER_OPS_TENSOR_ARRAY_H_
