// Tested by examples/mnist/notebook_test.cc.
#include "espalier/layers/layer_scope.h"
#include "espalier/layers/layers.h"
#include "espalier/ops/ops.h"

namespace espalier::layers {

Output Dense(const At& at, const Output& x, int units, const DenseOptions& options) {
  if (!x.valid()) return LayerError(at, "Dense", "the input is an empty Output");
  if (x.shape().rank() != 2 || x.shape().dim(1) < 0) {
    return LayerError(at, "Dense",
                      absl::StrCat("the input must have rank 2 and known features, received ",
                                   x.shape().ToString()));
  }
  const Scope s = LayerScope(at, "dense");
  const VariableOptions variable = {.trainable = options.trainable};
  const Output kernel = GetVariable(At(s), "kernel", {x.shape().dim(1), units},
                                    options.kernel_initializer, {.variable = variable});
  Output y = MatMul(At(s), x, kernel);
  if (options.use_bias) {
    const Output bias =
        GetVariable(At(s), "bias", {units}, options.bias_initializer, {.variable = variable});
    y = BiasAdd(At(s), y, bias);
  }
  return options.activation ? options.activation(s, y) : y;
}

Output Flatten(const At& at, const Output& x) {
  if (!x.valid() || x.shape().rank() < 1)
    return LayerError(at, "Flatten", "the input needs a known rank of 1 or more");
  int64_t features = 1;
  for (int i = 1; i < x.shape().rank(); ++i) {
    features = x.shape().dim(i) < 0 || features < 0 ? -1 : features * x.shape().dim(i);
  }
  if (features < 0) return LayerError(at, "Flatten", "all dimensions but the first must be known");
  const Scope s = LayerScope(at, "flatten");
  return Reshape(
      At(s), x,
      Const(At(s.Named("shape")), Tensor::Of<int32_t>({2}, {-1, static_cast<int32_t>(features)})));
}

}  // namespace espalier::layers
