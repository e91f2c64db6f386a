// The list behind the TensorArray ops. Tested by stack_test.cc.
#include "espalier/ops/tensor_array.h"

#include "absl/strings/str_cat.h"
#include "espalier/ops/elementwise.h"

namespace espalier {
namespace {

// Far more than any loop writes; an index beyond it is a mistake.
constexpr int64_t kMaxSize = int64_t{1} << 24;

// The sum of two tensors of one type and shape.
absl::StatusOr<Tensor> Sum(const Tensor& a, const Tensor& b) {
  ASSIGN_OR_RETURN(Tensor sum, a.Clone());
  const bool added = DispatchType(ArithmeticTypes(), a.dtype(), [&]<typename T>() {
    using C = ComputeType<T>;
    for (int64_t i = 0; i < a.num_elements(); ++i) {
      sum.mutable_data<T>()[i] =
          static_cast<T>(WrapAdd(static_cast<C>(a.data<T>()[i]), static_cast<C>(b.data<T>()[i])));
    }
    return true;
  });
  if (added) return sum;
  return absl::UnimplementedError(
      absl::StrCat("elements of ", DTypeName(a.dtype()), " cannot be added"));
}

}  // namespace

int64_t TensorArrayObject::size() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int64_t>(elements_.size());
}

absl::Status TensorArrayObject::CheckShape(int64_t index, const Shape& shape) {
  if (Shape::Compatible(options_.element_shape, shape)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("element ", index, " must have shape ",
                                                 options_.element_shape.ToString(), ", received ",
                                                 shape.ToString()));
}

absl::Status TensorArrayObject::Write(int64_t index, const Tensor& value) {
  absl::MutexLock lock(&mutex_);
  const auto size = static_cast<int64_t>(elements_.size());
  if (index < 0 || (index >= size && !options_.grows) || index >= kMaxSize) {
    return absl::InvalidArgumentError(
        absl::StrCat("Tried to write to index ", index, " of an array of size ", size));
  }
  if (value.dtype() != options_.type) {
    return absl::InvalidArgumentError(absl::StrCat("the array is of ", DTypeName(options_.type),
                                                   ", received ", DTypeName(value.dtype())));
  }
  RETURN_IF_ERROR(CheckShape(index, value.shape()));
  if (index >= size) elements_.resize(index + 1);
  Element& element = elements_[index];
  if (element.read)
    return absl::InvalidArgumentError(absl::StrCat("element ", index, " has already been read"));
  if (element.written && !options_.adds_up)
    return absl::InvalidArgumentError(absl::StrCat("element ", index, " has already been written"));
  if (element.written) {
    if (!(element.value.shape() == value.shape())) {
      return absl::InvalidArgumentError(
          absl::StrCat("element ", index, " has shape ", element.value.shape().ToString(),
                       ", received ", value.shape().ToString(), " to be added"));
    }
    ASSIGN_OR_RETURN(element.value, Sum(element.value, value));
  } else {
    element.value = value;
    element.shape = value.shape();
    element.written = true;
  }
  if (options_.identical_shapes) options_.element_shape = value.shape();
  return absl::OkStatus();
}

absl::StatusOr<Tensor> TensorArrayObject::Read(int64_t index) {
  absl::MutexLock lock(&mutex_);
  const auto size = static_cast<int64_t>(elements_.size());
  if (index < 0 || index >= size) {
    return absl::InvalidArgumentError(
        absl::StrCat("Tried to read from index ", index, " of an array of size ", size));
  }
  Element& element = elements_[index];
  if (element.cleared) {
    return absl::InvalidArgumentError(absl::StrCat(
        "element ", index, " was cleared when it was read; clear_after_read would keep it"));
  }
  if (!element.written) {
    const Shape& shape = element.shape.IsFullyKnown() ? element.shape : options_.element_shape;
    if (!shape.IsFullyKnown()) {
      return absl::InvalidArgumentError(
          absl::StrCat("element ", index, " is read before it is written"));
    }
    ASSIGN_OR_RETURN(element.value, Tensor::Allocate(options_.type, shape));
    if (options_.type != kString && options_.type != kResource)
      std::memset(element.value.mutable_raw(), 0, element.value.num_bytes());
    element.written = true;
  }
  element.read = true;
  Tensor value = element.value;
  if (options_.clear_after_read) {
    element.value = Tensor();
    element.cleared = true;
  }
  return value;
}

std::shared_ptr<TensorArrayObject> TensorArrayObject::Gradient(const std::string& source,
                                                               const Shape& prepend) {
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<TensorArrayObject>& gradient = gradients_[source];
  if (gradient != nullptr) return gradient;
  options_.grows = false;
  const auto after = [&](const Shape& shape) {
    if (!shape.has_rank()) return shape;
    Shape longer = prepend;
    for (const int64_t dim : shape.dims()) longer.push_back(dim);
    return longer;
  };
  gradient = std::make_shared<TensorArrayObject>(
      TensorArrayObjectOptions{.type = options_.type,
                               .size = static_cast<int64_t>(elements_.size()),
                               .element_shape = after(options_.element_shape),
                               .adds_up = true});
  absl::MutexLock gradient_lock(&gradient->mutex_);
  for (size_t i = 0; i < elements_.size(); ++i)
    gradient->elements_[i].shape = after(elements_[i].shape);
  return gradient;
}

}  // namespace espalier
