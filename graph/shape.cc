// Tested by tensor_test.cc and shape_inference_test.cc.
#include "espalier/graph/shape.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace espalier {

Shape Shape::Unknown() {
  Shape shape;
  shape.unknown_rank_ = true;
  return shape;
}

Shape Shape::UnknownOfRank(int rank) {
  if (rank < 0 || rank > kMaxRank) return Unknown();
  Shape shape;
  shape.dims_.assign(rank, kUnknownDim);
  return shape;
}

bool Shape::IsFullyKnown() const {
  return !unknown_rank_ &&
         std::all_of(dims_.begin(), dims_.end(), [](int64_t d) { return d >= 0; });
}

int64_t Shape::num_elements() const {
  int64_t product = 1;
  for (int64_t dim : dims_) product *= dim;
  return product;
}

absl::StatusOr<int64_t> CheckedMultiply(int64_t a, int64_t b) {
  int64_t product = 0;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product)) {
    return absl::InvalidArgumentError(absl::StrCat("size overflow: ", a, " * ", b));
  }
  return product;
}

absl::StatusOr<int64_t> Shape::CheckedNumElements() const {
  if (unknown_rank_) return absl::InvalidArgumentError("shape of unknown rank has no size");
  int64_t product = 1;
  bool empty = false;
  for (int64_t dim : dims_) {
    if (dim < 0)
      return absl::InvalidArgumentError(absl::StrCat("shape ", ToString(), " has no size"));
    if (dim == 0) {
      empty = true;
      continue;
    }
    absl::StatusOr<int64_t> next = CheckedMultiply(product, dim);
    if (!next.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("shape ", ToString(), " has too many elements"));
    }
    product = *next;
  }
  return empty ? 0 : product;
}

bool Shape::Compatible(const Shape& a, const Shape& b) {
  if (a.unknown_rank_ || b.unknown_rank_) return true;
  if (a.rank() != b.rank()) return false;
  for (int i = 0; i < a.rank(); ++i) {
    if (a.dim(i) >= 0 && b.dim(i) >= 0 && a.dim(i) != b.dim(i)) return false;
  }
  return true;
}

absl::StatusOr<Shape> Shape::Merge(const Shape& a, const Shape& b) {
  if (!Compatible(a, b)) {
    return absl::InvalidArgumentError(
        absl::StrCat("shapes ", a.ToString(), " and ", b.ToString(), " contradict each other"));
  }
  if (a.unknown_rank_) return b;
  if (b.unknown_rank_) return a;
  Shape merged = a;
  for (int i = 0; i < merged.rank(); ++i) {
    if (merged.dim(i) < 0) merged.set_dim(i, b.dim(i));
  }
  return merged;
}

absl::StatusOr<Shape> Shape::Broadcast(const Shape& a, const Shape& b) {
  if (a.unknown_rank_ || b.unknown_rank_) return Unknown();
  const int rank = std::max(a.rank(), b.rank());
  Shape result = UnknownOfRank(rank);
  for (int i = 0; i < rank; ++i) {
    const int ia = i - (rank - a.rank());
    const int ib = i - (rank - b.rank());
    const int64_t da = ia < 0 ? 1 : a.dim(ia);
    const int64_t db = ib < 0 ? 1 : b.dim(ib);
    if (da == db || db == 1) {
      result.set_dim(i, da);
    } else if (da == 1) {
      result.set_dim(i, db);
    } else if (da >= 0 && db >= 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("shapes ", a.ToString(), " and ", b.ToString(), " do not broadcast"));
    } else {
      // One side is unknown, the other a size over 1: only that size is possible.
      result.set_dim(i, std::max(da, db));
    }
  }
  return result;
}

std::string Shape::ToString() const {
  if (unknown_rank_) return "<unknown>";
  return absl::StrCat("[",
                      absl::StrJoin(dims_, ",",
                                    [](std::string* out, int64_t dim) {
                                      absl::StrAppend(out, dim < 0 ? "?" : absl::StrCat(dim));
                                    }),
                      "]");
}

}  // namespace espalier
