// The network without batch normalisation. With 19 convolutions and this initialisation it does not
// learn.
#include "espalier/examples/mnist/network.h"

namespace espalier::mnist {
namespace {

Output ReluActivation(const Scope& s, const Output& x) { return Relu(s, x); }

Output FullyConnected(const Scope& s, const Output& previous, int units) {
  return layers::Dense(s, previous, units, {.activation = ReluActivation});
}

// 4 channels for each step of depth; every third layer halves the image.
Output ConvLayer(const Scope& s, const Output& previous, int depth) {
  const int strides = depth % 3 == 0 ? 2 : 1;
  return layers::Conv2D(s, previous, depth * 4, 3,
                        {.strides = strides, .padding = kSame, .activation = ReluActivation});
}

}  // namespace

Network BuildPlainNetwork(const Scope& s, double learning_rate) {
  Network network = MakePlaceholders(s, /*with_is_training=*/false);
  Output net = network.x;
  for (int depth = 1; depth < 20; ++depth) net = ConvLayer(s, net, depth);
  net = FlattenByShape(s, net);
  net = FullyConnected(s, net, 100);
  AddLossAndAccuracy(s, layers::Dense(s, net, 10), network);
  network.train = train::Adam(learning_rate).Minimize(s.Named("train"), network.loss);
  return network;
}

}  // namespace espalier::mnist
