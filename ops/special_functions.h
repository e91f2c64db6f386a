// The special functions that several ops need, in double.
//
//   Digamma(1.0)            // -0.5772…, minus Euler's constant
//   HurwitzZeta(2.0, 1.0)   // 1.6449…, π² / 6
#ifndef ESPALIER_OPS_SPECIAL_FUNCTIONS_H_
#define ESPALIER_OPS_SPECIAL_FUNCTIONS_H_

namespace espalier {

// log |Γ(x)|; infinite at 0, -1, -2, …
double LogGamma(double x);

// The slope of LogGamma; NaN at 0, -1, -2, …
double Digamma(double x);

// Σ (q + k)^-x over k = 0, 1, …, for x > 1.
double HurwitzZeta(double x, double q);

}  // namespace espalier

#endif  // ESPALIER_OPS_SPECIAL_FUNCTIONS_H_
