// Tested by batch_normalization_test.cc and examples/mnist/notebook_test.cc.
#include "espalier/layers/layer_scope.h"
#include "espalier/layers/layers.h"
#include "espalier/ops/ops.h"

namespace espalier::layers {

Output Conv2D(const At& at, const Output& x, int filters, int kernel_size,
              const Conv2DOptions& options) {
  if (!x.valid()) return LayerError(at, "Conv2D", "the input is an empty Output");
  if (x.shape().rank() != 4 || x.shape().dim(3) < 0) {
    return LayerError(at, "Conv2D",
                      absl::StrCat("the input must have rank 4 and known channels, received ",
                                   x.shape().ToString()));
  }
  const Scope s = LayerScope(at, "conv2d");
  const VariableOptions variable = {.trainable = options.trainable};
  const Output kernel =
      GetVariable(At(s), "kernel", {kernel_size, kernel_size, x.shape().dim(3), filters},
                  options.kernel_initializer, {.variable = variable});
  Output y = espalier::Conv2D(At(s), x, kernel, {1, options.strides, options.strides, 1},
                              options.padding == kSame ? "SAME" : "VALID");
  if (options.use_bias) {
    const Output bias =
        GetVariable(At(s), "bias", {filters}, options.bias_initializer, {.variable = variable});
    y = BiasAdd(At(s), y, bias);
  }
  return options.activation ? options.activation(s, y) : y;
}

}  // namespace espalier::layers
