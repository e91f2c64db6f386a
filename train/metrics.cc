// Tested by metrics_test.cc.
#include "espalier/train/metrics.h"

#include "espalier/graph/variable.h"
#include "espalier/layers/nn.h"
#include "espalier/ops/ops.h"

namespace espalier::train {
namespace {

Output Accumulator(const Scope& s, const char* name) {
  return Variable(At(s.Named(name)), Tensor(0.0f),
                  {.trainable = false, .collections = {kLocalVariables, kMetricVariables}});
}

Output Float(const Scope& s, const Output& x) {
  return RemoveRef(x.dtype()) == kFloat ? x : Cast(At(s), x, kFloat);
}

// The weight of each of `values`, in their shape.
Output WeightOfEach(const Scope& s, const Output& values, const Output& weights) {
  const Output ones = OnesLike(At(s), values);
  return weights.valid() ? Output(s(ones) * s(Float(s, weights))) : ones;
}

// The sums of `part` and `whole` over all updates, one over the other.
StreamingMetric Ratio(const Scope& s, const Output& part, const Output& whole) {
  if (!part.valid() || !whole.valid()) return {};
  const Output total = Accumulator(s, "total");
  const Output count = Accumulator(s, "count");
  StreamingMetric metric;
  metric.value = DivNoNan(At(s.Named("value")), total, count);
  const Output new_total = AssignAdd(At(s), total, ReduceSum(At(s), part));
  const Output new_count = AssignAdd(At(s), count, ReduceSum(At(s), whole));
  metric.update = DivNoNan(At(s.Named("update_op")), new_total, new_count);
  const Output zero = ConstScalar(At(s), kFloat, 0);
  metric.reset = NoOp(At(s.Named("reset").WithControlDependencies(
      {Assign(At(s), total, zero), Assign(At(s), count, zero)})));
  return metric;
}

StreamingMetric Mean(const Scope& s, const Output& values, const Output& weights) {
  if (!values.valid()) return {};
  const Output numbers = Float(s, values);
  const Output each = WeightOfEach(s, numbers, weights);
  return Ratio(s, s(numbers) * s(each), each);
}

// Of what is true in `among`, how much is true in both.
StreamingMetric Share(const Scope& s, const Output& labels, const Output& predictions,
                      const Output& among, const Output& weights) {
  if (!labels.valid() || !predictions.valid()) return {};
  const Output both = Float(s, LogicalAnd(At(s), labels, predictions));
  const Output each = WeightOfEach(s, both, weights);
  return Ratio(s, s(both) * s(each), s(Float(s, among)) * s(each));
}

}  // namespace

StreamingMetric StreamingMean(const At& at, const Output& values, const Output& weights) {
  return Mean(at.Inside().NameScope("mean"), values, weights);
}

StreamingMetric StreamingAccuracy(const At& at, const Output& labels, const Output& predictions,
                                  const Output& weights) {
  const Scope s = at.Inside().NameScope("accuracy");
  return Mean(s, Equal(At(s), labels, predictions), weights);
}

StreamingMetric StreamingMeanSquaredError(const At& at, const Output& labels,
                                          const Output& predictions, const Output& weights) {
  const Scope s = at.Inside().NameScope("mean_squared_error");
  return Mean(s, SquaredDifference(At(s), labels, predictions), weights);
}

StreamingMetric StreamingPrecision(const At& at, const Output& labels, const Output& predictions,
                                   const Output& weights) {
  return Share(at.Inside().NameScope("precision"), labels, predictions, predictions, weights);
}

StreamingMetric StreamingRecall(const At& at, const Output& labels, const Output& predictions,
                                const Output& weights) {
  return Share(at.Inside().NameScope("recall"), labels, predictions, labels, weights);
}

}  // namespace espalier::train
