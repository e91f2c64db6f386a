// The three networks of the batch-normalisation notebook: 19 convolutions and two dense layers on
// MNIST.
//
//   Graph graph;
//   Network network = BuildLayersNetwork(graph.root(), 0.002);
//   session.Run({{network.x, images}, {network.y, labels}, {network.is_training, true}},
//               {.target = {network.train}});
//
// All three name their ends alike: x, y, is_training, logits, loss, accuracy, train.
#ifndef ESPALIER_EXAMPLES_MNIST_NETWORK_H_
#define ESPALIER_EXAMPLES_MNIST_NETWORK_H_

#include "espalier/espalier.h"

namespace espalier::mnist {

struct Network {
  Output x;            // float [?,28,28,1], in [0, 1]
  Output y;            // float [?,10], one-hot
  Output is_training;  // bool; empty in the plain network
  Output logits;
  Output loss;
  Output accuracy;
  Operation train;
};

// No batch normalisation: does not learn. plain.cc
Network BuildPlainNetwork(const Scope& s, double learning_rate);
// layers::BatchNormalization. layers.cc
Network BuildLayersNetwork(const Scope& s, double learning_rate);
// Batch normalisation by hand: variables, Cond, Moments, Assign, control dependencies. low_level.cc
Network BuildLowLevelNetwork(const Scope& s, double learning_rate);

// The one of that name: plain, layers or low_level. INVALID_ARGUMENT for another.
absl::StatusOr<Network> BuildNetwork(const std::string& name, const Scope& s, double learning_rate);

// What the three share: placeholders before, loss and accuracy behind. network.cc
Network MakePlaceholders(const Scope& s, bool with_is_training);
void AddLossAndAccuracy(const Scope& s, const Output& logits, Network& network);
// [?, height, width, channels] to [?, height * width * channels], from the static shape.
Output FlattenByShape(const Scope& s, const Output& net);

}  // namespace espalier::mnist

#endif  // ESPALIER_EXAMPLES_MNIST_NETWORK_H_
