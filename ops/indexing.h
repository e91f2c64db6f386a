// Indices as ops take them: int16, int32 or int64, checked before they are used.
//
//   const Indices index(context.input(1));
//   RETURN_IF_ERROR(index.Check(rows, "indices"));     // all in [0, rows)
//   for (int64_t i = 0; i < index.size(); ++i) copy(from + index[i] * width, …);
#ifndef ESPALIER_OPS_INDEXING_H_
#define ESPALIER_OPS_INDEXING_H_

#include <vector>

#include "absl/strings/str_cat.h"
#include "espalier/ops/array_copy.h"

namespace espalier {

class Indices {
 public:
  explicit Indices(const Tensor& tensor) : tensor_(tensor) {}
  int64_t size() const { return tensor_.num_elements(); }
  int64_t operator[](int64_t i) const {
    switch (tensor_.dtype()) {
      case kInt64:
        return tensor_.data<int64_t>()[i];
      case kInt32:
        return tensor_.data<int32_t>()[i];
      default:
        return tensor_.data<int16_t>()[i];
    }
  }
  // INVALID_ARGUMENT naming the first that is not in [low, limit).
  absl::Status Check(int64_t limit, absl::string_view what, int64_t low = 0) const {
    for (int64_t i = 0; i < size(); ++i) {
      const int64_t value = (*this)[i];
      if (value < low || value >= limit) {
        return absl::InvalidArgumentError(
            absl::StrCat(what, "[", i, "] = ", value, " is not in [", low, ", ", limit, ")"));
      }
    }
    return absl::OkStatus();
  }

 private:
  const Tensor& tensor_;
};

// Indices of a tensor's first dimensions: [outer…, depth]. Each names a slice of the rest.
class NdIndex {
 public:
  // INVALID_ARGUMENT for an index out of range or deeper than the tensor's rank.
  static absl::StatusOr<NdIndex> Make(const Shape& shape, const Tensor& indices) {
    if (indices.rank() < 1) return absl::InvalidArgumentError("indices must be at least a vector");
    NdIndex index;
    index.depth_ = static_cast<int>(indices.dim(indices.rank() - 1));
    if (indices.dim(indices.rank() - 1) > shape.rank()) {
      return absl::InvalidArgumentError(absl::StrCat("the last dimension of indices, ",
                                                     indices.dim(indices.rank() - 1),
                                                     ", must be at most the rank ", shape.rank()));
    }
    int64_t count = 1;
    for (int d = 0; d + 1 < indices.rank(); ++d) {
      index.outer_.push_back(indices.dim(d));
      count *= indices.dim(d);
    }
    for (int d = index.depth_; d < shape.rank(); ++d) index.slice_ *= shape.dim(d);
    const Indices values(indices);
    for (int64_t i = 0; i < count; ++i) {
      int64_t at = 0;
      for (int d = 0; d < index.depth_; ++d) {
        const int64_t value = values[i * index.depth_ + d];
        if (value < 0 || value >= shape.dim(d)) {
          return absl::InvalidArgumentError(absl::StrCat(
              "index ", i, " is ", value, " in dimension ", d, ", not in [0, ", shape.dim(d), ")"));
        }
        at = at * shape.dim(d) + value;
      }
      index.at_.push_back(at);
    }
    return index;
  }

  const Shape& outer() const { return outer_; }
  int depth() const { return depth_; }
  int64_t count() const { return static_cast<int64_t>(at_.size()); }
  // Elements of one slice.
  int64_t slice() const { return slice_; }
  // The number of the slice that index i names.
  int64_t operator[](int64_t i) const { return at_[i]; }

 private:
  Shape outer_;
  int depth_ = 0;
  int64_t slice_ = 1;
  std::vector<int64_t> at_;
};

// Elements of one row of data, whose shape must start with that of the rows' ids.
inline absl::StatusOr<int64_t> RowWidth(const Shape& data, const Shape& ids) {
  int64_t width = 1;
  bool fits = data.rank() >= ids.rank();
  for (int d = 0; fits && d < data.rank(); ++d) {
    if (d >= ids.rank()) {
      width *= data.dim(d);
    } else {
      fits = data.dim(d) == ids.dim(d);
    }
  }
  if (fits) return width;
  return absl::InvalidArgumentError(
      absl::StrCat("data of shape ", data.ToString(), " does not start with ", ids.ToString()));
}

// Numbers as a vector of int32 or int64, whichever an attr asks for.
inline Tensor AsIndices(const std::vector<int64_t>& values, DType type) {
  const Shape shape = {static_cast<int64_t>(values.size())};
  if (type == kInt64) return Tensor::FromVector<int64_t>(shape, values);
  return Tensor::FromVector<int32_t>(shape, std::vector<int32_t>(values.begin(), values.end()));
}

}  // namespace espalier

#endif  // ESPALIER_OPS_INDEXING_H_
