// Shapes, with unknown dimensions and unknown rank.
//
//   Shape images = {-1, 28, 28, 1};          // the batch is unknown
//   images.as_list()                         // {-1, 28, 28, 1}
//   images.IsFullyKnown()                    // false
//   Shape::Unknown().rank()                  // -1
//   Shape::Merge(images, {64, 28, 28, 1})    // {64, 28, 28, 1}
//
// A value type, safe to copy. The same class describes what is inferred (may be partial) and what a
// Tensor has (always fully known).
#ifndef ESPALIER_GRAPH_SHAPE_H_
#define ESPALIER_GRAPH_SHAPE_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace espalier {

class Shape {
 public:
  static constexpr int64_t kUnknownDim = -1;
  // Ranks above this are refused on import and in kernels, as TensorFlow does (254 dimensions).
  static constexpr int kMaxRank = 254;

  Shape() = default;  // a scalar
  Shape(std::initializer_list<int64_t> dims) : dims_(dims.begin(), dims.end()) {}
  explicit Shape(absl::Span<const int64_t> dims) : dims_(dims.begin(), dims.end()) {}
  explicit Shape(const std::vector<int64_t>& dims) : dims_(dims.begin(), dims.end()) {}

  // Neither rank nor dimensions are known.
  static Shape Unknown();
  // Known rank, every dimension unknown; Unknown() for a rank that no tensor has.
  static Shape UnknownOfRank(int rank);

  bool has_rank() const { return !unknown_rank_; }
  // -1 when unknown.
  int rank() const { return unknown_rank_ ? -1 : static_cast<int>(dims_.size()); }
  // REQUIRES: has_rank() and 0 <= i < rank().
  int64_t dim(int i) const { return dims_[i]; }
  void set_dim(int i, int64_t size) { dims_[i] = size; }
  void push_back(int64_t size) { dims_.push_back(size); }
  absl::Span<const int64_t> dims() const { return dims_; }
  // The dimensions as a vector, -1 where unknown; empty for an unknown rank.
  std::vector<int64_t> as_list() const { return {dims_.begin(), dims_.end()}; }

  bool IsFullyKnown() const;
  // Product of the dimensions. REQUIRES: fully known, and checked once by CheckedNumElements.
  int64_t num_elements() const;
  // The product with overflow checked: the one checked multiply that all sizes go through.
  // INVALID_ARGUMENT for unknown or negative dimensions or a product over 2^63.
  absl::StatusOr<int64_t> CheckedNumElements() const;

  // True when some fully known shape fits both.
  static bool Compatible(const Shape& a, const Shape& b);
  // What is known by either. INVALID_ARGUMENT when they contradict each other.
  static absl::StatusOr<Shape> Merge(const Shape& a, const Shape& b);
  // NumPy broadcasting of two shapes, unknown parts stay unknown. INVALID_ARGUMENT when they do not
  // broadcast.
  static absl::StatusOr<Shape> Broadcast(const Shape& a, const Shape& b);

  // "[2,?,3]", "[]" for a scalar, "<unknown>".
  std::string ToString() const;

  // Same rank, same dimensions, unknown ones in the same places.
  friend bool operator==(const Shape& a, const Shape& b) {
    return a.unknown_rank_ == b.unknown_rank_ && a.dims_ == b.dims_;
  }

 private:
  bool unknown_rank_ = false;
  absl::InlinedVector<int64_t, 5> dims_;
};

// a * b, or INVALID_ARGUMENT when either is negative or the product does not fit.
absl::StatusOr<int64_t> CheckedMultiply(int64_t a, int64_t b);

}  // namespace espalier

#endif  // ESPALIER_GRAPH_SHAPE_H_
