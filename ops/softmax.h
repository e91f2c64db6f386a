// What softmax and the losses over it share.
//
//   const RowSum<float> total(logits, n);
//   probability[i] = std::exp(logits[i] - total.largest) / total.sum;
#ifndef ESPALIER_OPS_SOFTMAX_H_
#define ESPALIER_OPS_SOFTMAX_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "espalier/graph/gradients.h"

namespace espalier {

// Of a row: its largest element, and the sum of e^(x - largest), so that nothing overflows.
template <typename C>
struct RowSum {
  C largest;
  C sum;

  template <typename T>
  RowSum(const T* x, int64_t n) : largest(-std::numeric_limits<C>::infinity()), sum(0) {
    for (int64_t i = 0; i < n; ++i) largest = std::max(largest, static_cast<C>(x[i]));
    for (int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<C>(x[i]) - largest);
  }
};

inline Output LastAxisSum(const GradientContext& g, const Output& x) {
  return g.Op("Sum", {x, g.Int32s({-1})}, {{"keep_dims", true}});
}

// The gradient of `softmax` = softmax(x) by x, when `gradient` arrives.
inline Expression GradientOfSoftmax(const GradientContext& g, const Expression& gradient,
                                    const Expression& softmax) {
  const Expression weighted = gradient * softmax;
  return weighted - softmax * g(LastAxisSum(g, weighted));
}

}  // namespace espalier

#endif  // ESPALIER_OPS_SOFTMAX_H_
