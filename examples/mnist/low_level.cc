// Batch normalisation by hand: four variables, a Cond on is_training, and assignments that the
// training branch waits for. Nothing goes into UPDATE_OPS: running the branch is what moves the
// population statistics.
#include "espalier/examples/mnist/network.h"

namespace espalier::mnist {
namespace {

constexpr float kEpsilon = 0.001f;
constexpr double kDecay = 0.99;

Output BatchNormalizationByHand(const Scope& s, const Output& net, const std::vector<int>& axes,
                                const Output& is_training) {
  const Shape channels = {net.shape().rank() > 0 ? net.shape().dim(net.shape().rank() - 1) : -1};
  const Output gamma = Variable(s.Named("gamma"), channels, kFloat, initializers::Ones());
  const Output beta = Variable(s.Named("beta"), channels, kFloat, initializers::Zeros());
  const VariableOptions population = {.trainable = false};
  const Output mean =
      Variable(s.Named("population_mean"), channels, kFloat, initializers::Zeros(), population);
  const Output variance =
      Variable(s.Named("population_variance"), channels, kFloat, initializers::Ones(), population);

  const auto training = [&](const Scope& s) {
    const auto [batch_mean, batch_variance] = Moments(s, net, axes);
    const Operation update_mean = Assign(s, mean, s(mean) * kDecay + s(batch_mean) * (1 - kDecay));
    const Operation update_variance =
        Assign(s, variance, s(variance) * kDecay + s(batch_variance) * (1 - kDecay));
    return BatchNormalization(s.WithControlDependencies({update_mean, update_variance}), net,
                              batch_mean, batch_variance, beta, gamma, kEpsilon);
  };
  const auto inference = [&](const Scope& s) {
    return BatchNormalization(s, net, mean, variance, beta, gamma, kEpsilon);
  };
  return Cond(s, is_training, training, inference);
}

Output FullyConnected(const Scope& s, const Output& previous, int units,
                      const Output& is_training) {
  Output net = layers::Dense(s, previous, units, {.use_bias = false});
  net = BatchNormalizationByHand(s, net, {0}, is_training);
  return Relu(s, net);
}

Output ConvLayer(const Scope& s, const Output& previous, int depth, const Output& is_training) {
  const int strides = depth % 3 == 0 ? 2 : 1;
  const int64_t in_channels = previous.shape().as_list()[3];
  const int64_t out_channels = depth * 4;
  const Output weights = Variable(s.Named("weights"), {3, 3, in_channels, out_channels}, kFloat,
                                  initializers::TruncatedNormal(0, 0.05));
  const Output bias = Variable(s.Named("bias"), {out_channels}, kFloat, initializers::Zeros());
  Output net = Conv2D(s, previous, weights, {1, strides, strides, 1}, "SAME");
  net = BatchNormalizationByHand(s, net, {0, 1, 2}, is_training);
  net = BiasAdd(s, net, bias);
  return Relu(s, net);
}

}  // namespace

Network BuildLowLevelNetwork(const Scope& s, double learning_rate) {
  Network network = MakePlaceholders(s, /*with_is_training=*/true);
  Output net = network.x;
  for (int depth = 1; depth < 20; ++depth) {
    net = ConvLayer(s.NameScope("conv" + std::to_string(depth)), net, depth, network.is_training);
  }
  net = FlattenByShape(s, net);
  net = FullyConnected(s.NameScope("fully_connected"), net, 100, network.is_training);
  AddLossAndAccuracy(s, layers::Dense(s, net, 10), network);
  network.train = train::Adam(learning_rate).Minimize(s.Named("train"), network.loss);
  return network;
}

}  // namespace espalier::mnist
