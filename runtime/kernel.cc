// Tested by the registry test of ops/.
#include "espalier/runtime/kernel.h"

#include "absl/strings/str_cat.h"

namespace espalier {

absl::StatusOr<std::vector<int64_t>> IntegerVector(const Tensor& tensor, absl::string_view what) {
  if (tensor.rank() > 1 || (tensor.dtype() != kInt32 && tensor.dtype() != kInt64)) {
    return absl::InvalidArgumentError(absl::StrCat(what, " must be a vector of integers, received ",
                                                   DTypeName(tensor.dtype()),
                                                   tensor.shape().ToString()));
  }
  std::vector<int64_t> values(tensor.num_elements());
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    values[i] = tensor.dtype() == kInt32 ? tensor.data<int32_t>()[i] : tensor.data<int64_t>()[i];
  }
  return values;
}

absl::StatusOr<Shape> ShapeFromTensor(const Tensor& tensor, absl::string_view what) {
  ASSIGN_OR_RETURN(std::vector<int64_t> dims, IntegerVector(tensor, what));
  if (tensor.rank() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " must be a vector, received shape ", tensor.shape().ToString()));
  }
  if (dims.size() > Shape::kMaxRank) {
    return absl::InvalidArgumentError(absl::StrCat(what, " has ", dims.size(), " dimensions"));
  }
  for (int64_t dim : dims) {
    if (dim < 0)
      return absl::InvalidArgumentError(absl::StrCat(what, " has the negative dimension ", dim));
  }
  return Shape(dims);
}

}  // namespace espalier
