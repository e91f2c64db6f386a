// Penalties on weights, and the loss with all of them.
//
//   train::AddRegularization(s, graph.collection_outputs(kTrainableVariables), train::L2(1e-4));
//   Output loss = train::TotalLoss(s, data_loss);   // minimise this
//
// The penalties stand in the collection kRegularizationLosses, as TensorFlow 1 has it.
#ifndef ESPALIER_TRAIN_REGULARIZERS_H_
#define ESPALIER_TRAIN_REGULARIZERS_H_

#include <functional>
#include <vector>

#include "espalier/graph/scope.h"

namespace espalier::train {

// Makes a scalar penalty out of a variable.
using Regularizer = std::function<Output(const Scope&, const Output&)>;

// scale * Σ |w|.
Regularizer L1(double scale);
// scale * Σ w² / 2: tf.contrib.layers.l2_regularizer.
Regularizer L2(double scale);

// One penalty for each variable, into the collection.
void AddRegularization(const At& at, const std::vector<Output>& variables,
                       const Regularizer& regularizer);

// `loss` and every penalty in the collection, added up.
Output TotalLoss(const At& at, const Output& loss);

}  // namespace espalier::train

#endif  // ESPALIER_TRAIN_REGULARIZERS_H_
