#include "espalier/examples/mnist/network.h"

namespace espalier::mnist {

absl::StatusOr<Network> BuildNetwork(const std::string& name, const Scope& s,
                                     double learning_rate) {
  if (name == "plain") return BuildPlainNetwork(s, learning_rate);
  if (name == "layers") return BuildLayersNetwork(s, learning_rate);
  if (name == "low_level") return BuildLowLevelNetwork(s, learning_rate);
  return absl::InvalidArgumentError(
      "the network must be plain, layers or low_level (or all, for the notebook), received " +
      name);
}

Network MakePlaceholders(const Scope& s, bool with_is_training) {
  Network network;
  network.x = Placeholder(s.Named("x"), kFloat, {-1, 28, 28, 1});
  network.y = Placeholder(s.Named("y"), kFloat, {-1, 10});
  if (with_is_training) network.is_training = Placeholder(s.Named("is_training"), kBool);
  return network;
}

void AddLossAndAccuracy(const Scope& s, const Output& logits, Network& network) {
  network.logits = Identity(s.Named("logits"), logits);
  network.loss =
      ReduceMean(s.Named("loss"), SigmoidCrossEntropyWithLogits(s, network.y, network.logits));
  const Output axis = Const(s.Named("class_axis"), 1);
  const Output correct = Equal(s, ArgMax(s, network.logits, axis), ArgMax(s, network.y, axis));
  network.accuracy = ReduceMean(s.Named("accuracy"), Cast(s, correct, kFloat));
}

Output FlattenByShape(const Scope& s, const Output& net) {
  const std::vector<int64_t> shape = net.shape().as_list();
  if (shape.size() != 4) return Output();
  return Reshape(s, net, ConstInts(s, {-1, static_cast<int>(shape[1] * shape[2] * shape[3])}));
}

}  // namespace espalier::mnist
