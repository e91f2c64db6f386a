// Layers: functions that make variables and the nodes that use them, with tf.layers' defaults and
// names.
//
//   // "conv2d/kernel"
//   Output net = layers::Conv2D(s, x, 16, 3, {.padding = kSame, .use_bias = false});
//   // adds to UPDATE_OPS
//   net = layers::BatchNormalization(s, net, {.training = is_training});
//   net = Relu(s, net);
//   // "dense/kernel", "dense/bias"
//   Output logits = layers::Dense(s, layers::Flatten(s, net), 10);
//
// A layer is called after its scope's name, else after its kind ("conv2d", "conv2d_1", …); its
// variables stand below that. With Scope::WithReuse(true) and a name, a layer shares the variables
// of an earlier one. Errors go to Graph::status(); nodes carry the caller's line.
#ifndef ESPALIER_LAYERS_LAYERS_H_
#define ESPALIER_LAYERS_LAYERS_H_

#include <functional>
#include <string>
#include <variant>

#include "espalier/graph/scope.h"
#include "espalier/graph/variable.h"

namespace espalier {

enum class Padding { kValid, kSame };
inline constexpr Padding kValid = Padding::kValid;
inline constexpr Padding kSame = Padding::kSame;

namespace layers {

using Activation = std::function<Output(const Scope&, const Output&)>;

struct Conv2DOptions {
  int strides = 1;
  Padding padding = kValid;
  bool use_bias = true;
  Activation activation = nullptr;
  Initializer kernel_initializer = initializers::GlorotUniform();
  Initializer bias_initializer = initializers::Zeros();
  bool trainable = true;
};
// x [batch, height, width, channels] (channels known) to [batch, height', width', filters]; a
// kernel of kernel_size².
Output Conv2D(const At& at, const Output& x, int filters, int kernel_size,
              const Conv2DOptions& options = {});

struct DenseOptions {
  bool use_bias = true;
  Activation activation = nullptr;
  Initializer kernel_initializer = initializers::GlorotUniform();
  Initializer bias_initializer = initializers::Zeros();
  bool trainable = true;
};
// x [batch, features] (features known) to [batch, units].
Output Dense(const At& at, const Output& x, int units, const DenseOptions& options = {});

// Whether a layer is training: known now, or a scalar bool of the graph.
using Training = std::variant<bool, Output>;

// How the variance of a batch of n enters the moving variance.
enum class MovingVariance {
  kUnbiased,  // times n / (n - 1): the estimate of the population's variance
  kBiased,    // as the batch was normalised
};

struct BatchNormalizationOptions {
  Training training = false;
  double momentum = 0.99;
  float epsilon = 1e-3f;
  bool center = true;  // beta
  bool scale = true;   // gamma
  // One rule whatever the rank of x and whatever kernel runs. (tf.layers: unbiased for images,
  // biased for vectors.)
  MovingVariance moving_variance = MovingVariance::kUnbiased;
  bool trainable = true;
};
// Normalises over all axes but the last. x [batch, …, channels], rank 2 or 4. In training by the
// batch's mean and variance, else by the moving ones; the nodes that move those go into kUpdateOps
// and run only when asked for:
//   train = optimizer.Minimize(s.WithControlDependencies(graph.collection(kUpdateOps)), loss)
// With training fed false, the update ops leave the moving statistics as they are.
Output BatchNormalization(const At& at, const Output& x,
                          const BatchNormalizationOptions& options = {});

struct PoolingOptions {
  int strides = 0;  // 0: the pool size
  Padding padding = kValid;
};
Output MaxPooling2D(const At& at, const Output& x, int pool_size,
                    const PoolingOptions& options = {});
Output AveragePooling2D(const At& at, const Output& x, int pool_size,
                        const PoolingOptions& options = {});

// [batch, …] to [batch, product of the rest].
Output Flatten(const At& at, const Output& x);

struct DropoutOptions {
  double rate = 0.5;
  Training training = false;
  int64_t seed = -1;
};
// In training drops each element with probability `rate` and divides the others by 1 - rate; else
// the identity.
Output Dropout(const At& at, const Output& x, const DropoutOptions& options = {});

}  // namespace layers
}  // namespace espalier

#endif  // ESPALIER_LAYERS_LAYERS_H_
