// Metrics that add up over many Runs: accuracy over a test set that does not fit into one batch.
//
//   train::StreamingMetric accuracy = train::StreamingAccuracy(s, labels, predictions);
//   session.Run(feeds, {.target = {accuracy.update}});             // for each batch
//   session.Run({}, {.fetch = {accuracy.value}});                  // of all batches so far
//   session.Run({}, {.target = {accuracy.reset}});                 // begin anew
//
// As tf.metrics: sums are float, in variables of the collections "local_variables" and
// "metric_variables", which Session::Initialize starts at 0; a metric of nothing is 0. `weights`,
// which must broadcast to the values, count an example so many times; an empty Output counts each
// once. Errors go to Graph::status().
#ifndef ESPALIER_TRAIN_METRICS_H_
#define ESPALIER_TRAIN_METRICS_H_

#include "espalier/graph/scope.h"

namespace espalier::train {

inline constexpr char kLocalVariables[] = "local_variables";
inline constexpr char kMetricVariables[] = "metric_variables";

struct StreamingMetric {
  Output value;     // a scalar, of all updates so far
  Output update;    // takes this Run's values in; the metric after that
  Operation reset;  // forgets everything
};

// Σ weight * value / Σ weight.
StreamingMetric StreamingMean(const At& at, const Output& values, const Output& weights = {});
// How often labels and predictions, of one type and shape, are equal.
StreamingMetric StreamingAccuracy(const At& at, const Output& labels, const Output& predictions,
                                  const Output& weights = {});
StreamingMetric StreamingMeanSquaredError(const At& at, const Output& labels,
                                          const Output& predictions, const Output& weights = {});
// Of bools: true positives over all that were predicted (precision), over all that are (recall).
StreamingMetric StreamingPrecision(const At& at, const Output& labels, const Output& predictions,
                                   const Output& weights = {});
StreamingMetric StreamingRecall(const At& at, const Output& labels, const Output& predictions,
                                const Output& weights = {});

}  // namespace espalier::train

#endif  // ESPALIER_TRAIN_METRICS_H_
