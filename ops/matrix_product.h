// Products of matrices in row-major memory, by Eigen.
//
//   MultiplyRows(a, b, y, m, k, n, /*transpose_a=*/false, /*transpose_b=*/false, 0, m);
#ifndef ESPALIER_OPS_MATRIX_PRODUCT_H_
#define ESPALIER_OPS_MATRIX_PRODUCT_H_

#include <cstdint>

#include "Eigen/Core"
#include "espalier/graph/dtype.h"

namespace espalier {

using MatMulTypes = TypeList<float, double, Eigen::half, int16_t, int32_t, int64_t>;
template <typename T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Rows [begin, end) of the product [m, n] of a and b, each stored transposed when asked for, with k
// terms to a sum. On the calling thread.
template <typename T>
void MultiplyRows(const T* a, const T* b, T* y, int64_t m, int64_t k, int64_t n, bool transpose_a,
                  bool transpose_b, int64_t begin, int64_t end) {
  const Eigen::Map<const Matrix<T>> left(a, transpose_a ? k : m, transpose_a ? m : k);
  const Eigen::Map<const Matrix<T>> right(b, transpose_b ? n : k, transpose_b ? k : n);
  Eigen::Map<Matrix<T>> out(y + begin * n, end - begin, n);
  const int64_t rows = end - begin;
  if (transpose_a && transpose_b) {
    out.noalias() = left.middleCols(begin, rows).transpose() * right.transpose();
  } else if (transpose_a) {
    out.noalias() = left.middleCols(begin, rows).transpose() * right;
  } else if (transpose_b) {
    out.noalias() = left.middleRows(begin, rows) * right.transpose();
  } else {
    out.noalias() = left.middleRows(begin, rows) * right;
  }
}

}  // namespace espalier

#endif  // ESPALIER_OPS_MATRIX_PRODUCT_H_
