// The network with layers::BatchNormalization before every ReLU.
#include "espalier/examples/mnist/network.h"

namespace espalier::mnist {
namespace {

// Batch normalisation has an offset of its own, so the layer before it needs no bias.
Output FullyConnected(const Scope& s, const Output& previous, int units,
                      const Output& is_training) {
  Output net = layers::Dense(s, previous, units, {.use_bias = false});
  net = layers::BatchNormalization(s, net, {.training = is_training});
  return Relu(s, net);
}

Output ConvLayer(const Scope& s, const Output& previous, int depth, const Output& is_training) {
  const int strides = depth % 3 == 0 ? 2 : 1;
  Output net = layers::Conv2D(s, previous, depth * 4, 3,
                              {.strides = strides, .padding = kSame, .use_bias = false});
  net = layers::BatchNormalization(s, net, {.training = is_training});
  return Relu(s, net);
}

}  // namespace

Network BuildLayersNetwork(const Scope& s, double learning_rate) {
  Network network = MakePlaceholders(s, /*with_is_training=*/true);
  Output net = network.x;
  for (int depth = 1; depth < 20; ++depth) net = ConvLayer(s, net, depth, network.is_training);
  net = FlattenByShape(s, net);
  net = FullyConnected(s, net, 100, network.is_training);
  AddLossAndAccuracy(s, layers::Dense(s, net, 10), network);
  // The moving averages move in each training step: without this dependency inference would never
  // see the data.
  const Scope after_updates = s.WithControlDependencies(s.graph()->collection(kUpdateOps));
  network.train = train::Adam(learning_rate).Minimize(after_updates.Named("train"), network.loss);
  return network;
}

}  // namespace espalier::mnist
