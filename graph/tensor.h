// A tensor: element type, shape, and a shared buffer.
//
//   Tensor a = Tensor::Of<float>({2, 2}, {1, 2, 3, 4});
//   Tensor b = 0.5f;                              // a scalar
//   a.data<float>()[3]                            // 4
//   Tensor row = *a.Slice(1, 2);                  // shares a's buffer
//   Tensor flat = *a.Reshaped({4});               // too
//
// Copies share the buffer (reference-counted, aligned to 64 bytes); nothing is copied but the
// handle. A buffer may be written only by who holds it alone (unique()), as kernels do with the
// outputs that they have just allocated. Different Tensor objects that share a buffer may be read
// from many threads; one Tensor object may not be written from two.
#ifndef ESPALIER_GRAPH_TENSOR_H_
#define ESPALIER_GRAPH_TENSOR_H_

#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "espalier/graph/allocator.h"
#include "espalier/graph/dtype.h"
#include "espalier/graph/shape.h"

namespace espalier {

// Memory with a destructor for its elements. Made by Tensor only.
class Buffer {
 public:
  Buffer(std::shared_ptr<Allocator> owner, Allocator* allocator, void* data, size_t bytes,
         DType dtype)
      : owner_(std::move(owner)),
        allocator_(allocator),
        data_(data),
        bytes_(bytes),
        dtype_(dtype) {}
  ~Buffer();
  Buffer(const Buffer&) = delete;  // owns its memory
  Buffer& operator=(const Buffer&) = delete;
  void* data() const { return data_; }

 private:
  std::shared_ptr<Allocator> owner_;  // null for the heap
  Allocator* allocator_;
  void* data_;
  size_t bytes_;
  DType dtype_;
};

class Tensor {
 public:
  // No tensor: dtype() is kInvalidDType.
  Tensor() = default;

  // A scalar. Implicit, so that `{is_training, true}` is a feed and `Const(s, 0.5f)` a constant.
  template <typename T, typename = std::enable_if_t<IsElementType<T>>>
  Tensor(const T& value) : Tensor(Of<T>({}, {value})) {}     // NOLINT(google-explicit-constructor)
  Tensor(const char* value) : Tensor(std::string(value)) {}  // NOLINT(google-explicit-constructor)

  // Values in row-major order. REQUIRES: as many values as the shape has elements (an invalid
  // tensor otherwise).
  template <typename T>
  static Tensor Of(const Shape& shape, std::initializer_list<T> values) {
    return FromSpan<T>(shape, absl::Span<const T>(values.begin(), values.size()));
  }
  template <typename T>
  static Tensor FromVector(const Shape& shape, const std::vector<T>& values) {
    return FromSpan<T>(shape, values);
  }
  template <typename T>
  static Tensor FromSpan(const Shape& shape, absl::Span<const T> values);
  // One value throughout.
  template <typename T>
  static Tensor Filled(const Shape& shape, T value);

  // An uninitialised tensor (strings and handles are empty). `allocator` null means the heap.
  // INVALID_ARGUMENT for a shape that is no size or a dtype that tensors cannot hold,
  // RESOURCE_EXHAUSTED over a budget.
  static absl::StatusOr<Tensor> Allocate(DType dtype, const Shape& shape,
                                         const std::shared_ptr<Allocator>& allocator = nullptr);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  int64_t dim(int i) const { return shape_.dim(i); }
  int64_t num_elements() const { return num_elements_; }
  size_t num_bytes() const { return num_elements_ * DTypeSize(dtype_); }
  bool valid() const { return dtype_ != kInvalidDType; }

  // REQUIRES: DTypeOf<T> == dtype().
  template <typename T>
  const T* data() const {
    return static_cast<const T*>(data_);
  }
  template <typename T>
  absl::Span<const T> flat() const {
    return absl::Span<const T>(data<T>(), static_cast<size_t>(num_elements_));
  }
  // REQUIRES besides: unique(), or a tensor that nobody else has seen yet.
  template <typename T>
  T* mutable_data() {
    return static_cast<T*>(data_);
  }
  const void* raw() const { return data_; }
  void* mutable_raw() { return data_; }
  // The value of a one-element tensor.
  template <typename T>
  const T& scalar() const {
    return *data<T>();
  }

  // True when no other Tensor shares the buffer.
  bool unique() const { return buffer_.use_count() == 1; }
  bool SharesBufferWith(const Tensor& other) const { return buffer_ && buffer_ == other.buffer_; }

  // The same elements under another shape of the same size, without a copy.
  absl::StatusOr<Tensor> Reshaped(const Shape& shape) const;
  // Rows [begin, end) of the first dimension, without a copy. The start may not be aligned.
  absl::StatusOr<Tensor> Slice(int64_t begin, int64_t end) const;
  // A copy with a buffer of its own.
  absl::StatusOr<Tensor> Clone(const std::shared_ptr<Allocator>& allocator = nullptr) const;

  // Equal dtype, shape and bits (NaN equals itself).
  friend bool operator==(const Tensor& a, const Tensor& b);
  // "float[2,2] {1, 2, 3, 4}", cut after `max_values`.
  std::string DebugString(int max_values = 16) const;

 private:
  DType dtype_ = kInvalidDType;
  Shape shape_;
  int64_t num_elements_ = 0;
  void* data_ = nullptr;
  std::shared_ptr<Buffer> buffer_;
};

template <typename T>
Tensor Tensor::FromSpan(const Shape& shape, absl::Span<const T> values) {
  absl::StatusOr<Tensor> made = Allocate(DTypeOf<T>, shape);
  if (!made.ok() || made->num_elements() != static_cast<int64_t>(values.size())) return Tensor();
  T* data = made->template mutable_data<T>();
  for (size_t i = 0; i < values.size(); ++i) data[i] = values[i];
  return *std::move(made);
}

template <typename T>
Tensor Tensor::Filled(const Shape& shape, T value) {
  absl::StatusOr<Tensor> made = Allocate(DTypeOf<T>, shape);
  if (!made.ok()) return Tensor();
  T* data = made->template mutable_data<T>();
  for (int64_t i = 0; i < made->num_elements(); ++i) data[i] = value;
  return *std::move(made);
}

}  // namespace espalier

#endif  // ESPALIER_GRAPH_TENSOR_H_
