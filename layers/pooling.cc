// Tested by ../ops/registry_test.cc.
#include "espalier/layers/layer_scope.h"
#include "espalier/layers/layers.h"
#include "espalier/ops/ops.h"

namespace espalier::layers {
namespace {

std::vector<int64_t> Window(int size) { return {1, size, size, 1}; }
const char* PaddingName(Padding padding) { return padding == kSame ? "SAME" : "VALID"; }

}  // namespace

Output MaxPooling2D(const At& at, const Output& x, int pool_size, const PoolingOptions& options) {
  const Scope s = LayerScope(at, "max_pooling2d");
  const int strides = options.strides == 0 ? pool_size : options.strides;
  return MaxPool(At(s), x, Window(pool_size), Window(strides), PaddingName(options.padding));
}

Output AveragePooling2D(const At& at, const Output& x, int pool_size,
                        const PoolingOptions& options) {
  const Scope s = LayerScope(at, "average_pooling2d");
  const int strides = options.strides == 0 ? pool_size : options.strides;
  return AvgPool(At(s), x, Window(pool_size), Window(strides), PaddingName(options.padding));
}

}  // namespace espalier::layers
