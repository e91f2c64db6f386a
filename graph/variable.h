// Variables: state that lives in a Session and is reached through ref edges.
//
//   Output w = Variable(s.Named("w"), Tensor::Of<float>({2}, {1, 2}));  // "w", "w/Assign"
//   Output k = GetVariable(s.WithVariableScope("dense"), "kernel", {3, 4},
//                          initializers::GlorotUniform());
//   Output y = s(w) * 2.0f;  // reads w where it is used
//   Assign(s, w, y);         // writes it
//
// A variable is made outside the scope's control dependencies, branch and loop, with its initial
// value, and goes into kGlobalVariables and (unless told otherwise) kTrainableVariables.
// Session::Initialize runs the initial values. Errors go to Graph::status().
#ifndef ESPALIER_GRAPH_VARIABLE_H_
#define ESPALIER_GRAPH_VARIABLE_H_

#include <functional>
#include <string>
#include <vector>

#include "espalier/graph/scope.h"

namespace espalier {

// Makes the nodes of an initial value.
using Initializer = std::function<Output(const Scope&, const Shape&, DType)>;

struct VariableOptions {
  bool trainable = true;
  std::vector<std::string> collections = {kGlobalVariables};
};

// Named by the scope ("Variable" by default). The shape is that of the initial value and must be
// fully known.
Output Variable(const At& at, const Output& initial_value, const VariableOptions& options = {});
Output Variable(const At& at, const Tensor& initial_value, const VariableOptions& options = {});
Output Variable(const At& at, const Shape& shape, DType dtype, const Initializer& initializer,
                const VariableOptions& options = {});

struct GetVariableOptions {
  DType dtype = kFloat;
  VariableOptions variable = {};
};

// tf.get_variable: the variable "<variable scope>/name". With Scope::WithReuse(true) it must exist
// and have this shape and dtype; without, it must be new.
Output GetVariable(const At& at, const std::string& name, const Shape& shape,
                   const Initializer& initializer, const GetVariableOptions& options = {});

namespace initializers {
Initializer Zeros();
Initializer Ones();
Initializer Constant(double value);
// `seed` -1 leaves it to the graph's seed.
Initializer RandomUniform(double minimum, double maximum, int64_t seed = -1);
Initializer RandomNormal(double mean, double stddev, int64_t seed = -1);
// Normal with values beyond two standard deviations drawn again.
Initializer TruncatedNormal(double mean, double stddev, int64_t seed = -1);
// Uniform in ±sqrt(6 / (fan in + fan out)) (Glorot & Bengio 2010); the fans of [..., in, out],
// times the receptive field.
Initializer GlorotUniform(int64_t seed = -1);
}  // namespace initializers

// Random tensors under the graph's seed rule, scaled as in tf.random.
Output RandomUniformValues(const At& at, const Shape& shape, DType dtype, double minimum,
                           double maximum, int64_t seed = -1);
Output RandomNormalValues(const At& at, const Shape& shape, DType dtype, double mean, double stddev,
                          int64_t seed = -1);
Output TruncatedNormalValues(const At& at, const Shape& shape, DType dtype, double mean,
                             double stddev, int64_t seed = -1);

}  // namespace espalier

#endif  // ESPALIER_GRAPH_VARIABLE_H_
