// Tested by tensor_test.cc.
#include "espalier/graph/tensor.h"

#include <new>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace espalier {
namespace {

template <typename T>
size_t Count(size_t bytes) {
  return bytes / sizeof(T);
}

}  // namespace

Buffer::~Buffer() {
  if (dtype_ == kString) {
    std::destroy_n(static_cast<std::string*>(data_), Count<std::string>(bytes_));
  } else if (dtype_ == kResource) {
    std::destroy_n(static_cast<ResourceHandle*>(data_), Count<ResourceHandle>(bytes_));
  }
  allocator_->Free(data_, bytes_);
}

absl::StatusOr<Tensor> Tensor::Allocate(DType dtype, const Shape& shape,
                                        const std::shared_ptr<Allocator>& allocator) {
  const size_t element = DTypeSize(dtype);
  if (element == 0 || IsRef(dtype)) {
    return absl::InvalidArgumentError(absl::StrCat("a tensor cannot hold ", DTypeName(dtype)));
  }
  absl::StatusOr<int64_t> count = shape.CheckedNumElements();
  if (!count.ok()) return count.status();
  absl::StatusOr<int64_t> bytes = CheckedMultiply(*count, static_cast<int64_t>(element));
  if (!bytes.ok()) return bytes.status();
  Allocator* source = allocator ? allocator.get() : HeapAllocator();
  absl::StatusOr<void*> data = source->Allocate(*bytes);
  if (!data.ok()) return data.status();
  if (dtype == kString) {
    std::uninitialized_default_construct_n(static_cast<std::string*>(*data), *count);
  } else if (dtype == kResource) {
    std::uninitialized_default_construct_n(static_cast<ResourceHandle*>(*data), *count);
  }
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = shape;
  tensor.num_elements_ = *count;
  tensor.data_ = *data;
  tensor.buffer_ = std::make_shared<Buffer>(allocator, source, *data, *bytes, dtype);
  return tensor;
}

absl::StatusOr<Tensor> Tensor::Reshaped(const Shape& shape) const {
  absl::StatusOr<int64_t> count = shape.CheckedNumElements();
  if (!count.ok()) return count.status();
  if (*count != num_elements_) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot reshape ", shape_.ToString(), " to ", shape.ToString()));
  }
  Tensor view = *this;
  view.shape_ = shape;
  return view;
}

absl::StatusOr<Tensor> Tensor::Slice(int64_t begin, int64_t end) const {
  if (rank() < 1 || begin < 0 || end < begin || end > dim(0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("no rows [", begin, ",", end, ") in ", shape_.ToString()));
  }
  Tensor view = *this;
  const int64_t row = dim(0) == 0 ? 0 : num_elements_ / dim(0);
  view.shape_.set_dim(0, end - begin);
  view.num_elements_ = row * (end - begin);
  view.data_ = static_cast<char*>(data_) + row * begin * DTypeSize(dtype_);
  return view;
}

absl::StatusOr<Tensor> Tensor::Clone(const std::shared_ptr<Allocator>& allocator) const {
  absl::StatusOr<Tensor> copy = Allocate(dtype_, shape_, allocator);
  if (!copy.ok()) return copy;
  if (dtype_ == kString) {
    std::copy_n(data<std::string>(), num_elements_, copy->mutable_data<std::string>());
  } else if (dtype_ == kResource) {
    std::copy_n(data<ResourceHandle>(), num_elements_, copy->mutable_data<ResourceHandle>());
  } else if (num_bytes() > 0) {
    std::memcpy(copy->mutable_raw(), data_, num_bytes());
  }
  return copy;
}

bool operator==(const Tensor& a, const Tensor& b) {
  if (a.dtype_ != b.dtype_ || !(a.shape_ == b.shape_)) return false;
  if (a.dtype_ == kString) return a.flat<std::string>() == b.flat<std::string>();
  if (a.dtype_ == kResource) return a.flat<ResourceHandle>() == b.flat<ResourceHandle>();
  return a.num_bytes() == 0 || std::memcmp(a.data_, b.data_, a.num_bytes()) == 0;
}

std::string Tensor::DebugString(int max_values) const {
  if (!valid()) return "<no tensor>";
  std::string out = absl::StrCat(DTypeName(dtype_), shape_.ToString(), " {");
  for (int64_t i = 0; i < num_elements_ && i < max_values; ++i) {
    if (i > 0) out += ", ";
    if (dtype_ == kString) {
      absl::StrAppend(&out, "\"", absl::CHexEscape(data<std::string>()[i].substr(0, 64)), "\"");
    } else if (dtype_ == kResource) {
      absl::StrAppend(&out, data<ResourceHandle>()[i].name);
    } else {
      absl::StrAppend(&out, DispatchType(PlainTypes(), dtype_, [&]<typename T>() {
        return absl::StrCat(static_cast<double>(data<T>()[i]));
      }));
    }
  }
  return out + (num_elements_ > max_values ? ", ...}" : "}");
}

}  // namespace espalier
