// Short forms for the example tensors of ops.
//
//   .Example({.inputs = {F({2}, {1, 2})}, .expected = {F({2}, {1, 4})}})
#ifndef ESPALIER_OPS_EXAMPLES_H_
#define ESPALIER_OPS_EXAMPLES_H_

#include <initializer_list>
#include <vector>

#include "espalier/graph/op.h"
#include "espalier/graph/tensor.h"

namespace espalier {

inline Tensor F(const Shape& shape, std::initializer_list<float> values) {
  return Tensor::Of<float>(shape, values);
}
inline Tensor I(const Shape& shape, std::initializer_list<int32_t> values) {
  return Tensor::Of<int32_t>(shape, values);
}
inline Tensor L(const Shape& shape, std::initializer_list<int64_t> values) {
  return Tensor::Of<int64_t>(shape, values);
}
inline Tensor B(const Shape& shape, std::initializer_list<bool> values) {
  return Tensor::Of<bool>(shape, values);
}

// 0.1, 0.2, … in an order without pattern: values for convolutions and products, far from ties.
inline Tensor Ramp(const Shape& shape, float scale = 0.1f) {
  std::vector<float> values(shape.num_elements());
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = scale * static_cast<float>(static_cast<int>((i * 7 + 3) % 11) - 5) +
                0.013f * static_cast<float>(i % 5);
  }
  return Tensor::FromVector<float>(shape, values);
}

// Examples of an elementwise op with one float input: `function` gives the expected values.
std::vector<OpExample> UnaryExamples(double (*function)(double),
                                     std::initializer_list<float> points);
// With two: equal shapes, broadcast both ways, a scalar, and empty.
std::vector<OpExample> BinaryExamples(double (*function)(double, double));

}  // namespace espalier

#endif  // ESPALIER_OPS_EXAMPLES_H_
