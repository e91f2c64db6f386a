// Functions of several ops: reductions with friendlier axes, losses per element, moments, batch
// normalisation by hand.
//
//   auto [mean, variance] = Moments(s, net, {0, 1, 2});
//   Output y = BatchNormalization(s, net, mean, variance, beta, gamma, 1e-3f);
//   Output loss = ReduceMean(s, SigmoidCrossEntropyWithLogits(s, labels, logits));
//
// Like all builders: errors go to Graph::status(). Nodes carry the caller's line.
#ifndef ESPALIER_LAYERS_NN_H_
#define ESPALIER_LAYERS_NN_H_

#include <vector>

#include "espalier/graph/scope.h"

namespace espalier {

struct ReduceOptions {
  std::vector<int> axes = {};  // empty: all
  bool keep_dims = false;
};
Output ReduceSum(const At& at, const Output& x, const ReduceOptions& options = {});
Output ReduceMean(const At& at, const Output& x, const ReduceOptions& options = {});
Output ReduceMax(const At& at, const Output& x, const ReduceOptions& options = {});

// Mean and biased variance over axes. Differentiates through both.
struct MomentsResult {
  Output mean;
  Output variance;
};
MomentsResult Moments(const At& at, const Output& x, const std::vector<int>& axes,
                      bool keep_dims = false);

// (x - mean) / sqrt(variance + epsilon) * gamma + beta, every vector broadcast over x's last
// dimension.
Output BatchNormalization(const At& at, const Output& x, const Output& mean, const Output& variance,
                          const Output& beta, const Output& gamma, float epsilon);

// max(x, 0) - x z + log(1 + e^-|x|) for each element: the cross entropy of labels z and sigmoid(x),
// without overflow.
Output SigmoidCrossEntropyWithLogits(const At& at, const Output& labels, const Output& logits);

// The cross entropy of each row of labels (class probabilities) and softmax(logits); logits [batch,
// classes].
Output SoftmaxCrossEntropy(const At& at, const Output& labels, const Output& logits);

// Int32 constants.
Output ConstInts(const At& at, const std::vector<int>& values);

}  // namespace espalier

#endif  // ESPALIER_LAYERS_NN_H_
