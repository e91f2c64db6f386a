// Tested by variable_test.cc.
#include "espalier/graph/variable.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace espalier {
namespace {

std::string WantedName(const At& at) {
  return at.scope().next_name().empty() ? "Variable" : at.scope().next_name();
}

// Shape and dtype are known; `full_name` is free. Nodes: the variable, and its Assign below it.
Output MakeVariable(const At& at, const std::string& full_name, const Shape& shape, DType dtype,
                    const Initializer& initializer, const VariableOptions& options) {
  Graph* graph = at.scope().graph();
  const Scope inside = at.Inside().ForVariables();
  if (!shape.IsFullyKnown()) {
    graph->RecordError(absl::InvalidArgumentError(
        absl::StrCat("variable '", full_name, "' (made at ", at.line().ToString(),
                     ") needs a fully known shape, received ", shape.ToString())));
    return Output();
  }
  NodeSpec spec;
  spec.op = "VariableV2";
  spec.name = full_name;
  spec.attrs = {{"shape", shape}, {"dtype", dtype}};
  spec.line = inside.origin();
  spec.inner_line = at.line();
  absl::StatusOr<Node*> node = graph->AddNode(std::move(spec));
  if (!node.ok()) {
    graph->RecordError(node.status());
    return Output();
  }
  const Output variable = (*node)->output(0);
  // Below the variable's own name, whatever the scope's.
  const Scope below = Scope(graph).WithOrigin(inside.origin(), at.line());
  const Scope below_named = below.Named("");
  const Output initial =
      initializer(below_named.NameScope(full_name + "/Initializer"), shape, dtype);
  if (!initial.valid()) return Output();
  const Node* assign = AddOp(At(below.Named(full_name + "/Assign")), "Assign", {variable, initial},
                             {{"use_locking", true}, {"validate_shape", true}});
  if (assign == nullptr) return Output();
  graph->initializers()[variable.node()] = assign;
  for (const std::string& key : options.collections) graph->AddToCollection(key, variable);
  if (options.trainable) graph->AddToCollection(kTrainableVariables, variable);
  return variable;
}

// The numbers of inputs and outputs of a unit, for a kernel of shape [receptive field..., in, out].
std::pair<double, double> Fans(const Shape& shape) {
  if (shape.rank() == 0) return {1, 1};
  if (shape.rank() == 1) return {shape.dim(0), shape.dim(0)};
  double receptive_field = 1;
  for (int i = 0; i + 2 < shape.rank(); ++i) receptive_field *= static_cast<double>(shape.dim(i));
  return {shape.dim(shape.rank() - 2) * receptive_field,
          shape.dim(shape.rank() - 1) * receptive_field};
}

Output ShapeConstant(const Scope& s, const Shape& shape) {
  const std::vector<int32_t> dims(shape.dims().begin(), shape.dims().end());
  return Const(At(s.Named("shape")), Tensor::FromVector<int32_t>({shape.rank()}, dims));
}

Output RandomOp(const Scope& s, const char* op, const Shape& shape, DType dtype, int64_t seed) {
  const auto [first, second] = s.graph()->NextSeeds(seed);
  return AddOpOutput(At(s), op, {ShapeConstant(s, shape)},
                     {{"dtype", dtype}, {"seed", first}, {"seed2", second}});
}

}  // namespace

Output Variable(const At& at, const Shape& shape, DType dtype, const Initializer& initializer,
                const VariableOptions& options) {
  const std::string name =
      at.scope().graph()->UniqueName(at.scope().name_prefix() + WantedName(at));
  return MakeVariable(at, name, shape, dtype, initializer, options);
}

Output Variable(const At& at, const Output& initial_value, const VariableOptions& options) {
  const auto given = [&](const Scope&, const Shape&, DType) { return initial_value; };
  return Variable(at, initial_value.shape(), RemoveRef(initial_value.dtype()), given, options);
}

Output Variable(const At& at, const Tensor& initial_value, const VariableOptions& options) {
  const auto constant = [&](const Scope& s, const Shape&, DType) {
    return Const(At(s.Named("initial_value")), initial_value);
  };
  return Variable(at, initial_value.shape(), initial_value.dtype(), constant, options);
}

Output GetVariable(const At& at, const std::string& name, const Shape& shape,
                   const Initializer& initializer, const GetVariableOptions& options) {
  Graph* graph = at.scope().graph();
  const std::string full_name = at.scope().variable_prefix() + name;
  const auto known = graph->variables_by_name().find(full_name);
  const auto fail = [&](const std::string& what) {
    graph->RecordError(absl::InvalidArgumentError(absl::StrCat(
        "variable '", full_name, "' (asked for at ", at.line().ToString(), "): ", what)));
    return Output();
  };
  if (at.scope().reuse()) {
    if (known == graph->variables_by_name().end())
      return fail("does not exist, and the scope reuses variables");
    const Output variable = known->second;
    if (!Shape::Compatible(variable.shape(), shape) ||
        RemoveRef(variable.dtype()) != options.dtype) {
      return fail(absl::StrCat("exists as ", DTypeName(RemoveRef(variable.dtype())),
                               variable.shape().ToString(), ", asked for as ",
                               DTypeName(options.dtype), shape.ToString()));
    }
    return variable;
  }
  if (known != graph->variables_by_name().end()) {
    return fail(absl::StrCat("exists already, made by ", known->second.node()->Describe(),
                             "; use a scope with reuse to share it"));
  }
  const Output variable = MakeVariable(at, graph->UniqueName(full_name), shape, options.dtype,
                                       initializer, options.variable);
  if (variable.valid()) graph->variables_by_name()[full_name] = variable;
  return variable;
}

Output RandomUniformValues(const At& at, const Shape& shape, DType dtype, double minimum,
                           double maximum, int64_t seed) {
  const Scope s = at.Inside().NameScope("random_uniform");
  const Output unit = RandomOp(s, "RandomUniform", shape, dtype, seed);
  return s(unit) * (maximum - minimum) + minimum;
}

Output RandomNormalValues(const At& at, const Shape& shape, DType dtype, double mean, double stddev,
                          int64_t seed) {
  const Scope s = at.Inside().NameScope("random_normal");
  return s(RandomOp(s, "RandomStandardNormal", shape, dtype, seed)) * stddev + mean;
}

Output TruncatedNormalValues(const At& at, const Shape& shape, DType dtype, double mean,
                             double stddev, int64_t seed) {
  const Scope s = at.Inside().NameScope("truncated_normal");
  return s(RandomOp(s, "TruncatedNormal", shape, dtype, seed)) * stddev + mean;
}

namespace initializers {

Initializer Constant(double value) {
  return [value](const Scope& s, const Shape& shape, DType dtype) {
    return AddOpOutput(At(s.Named("Fill")), "Fill",
                       {ShapeConstant(s, shape), ConstScalar(At(s.Named("value")), dtype, value)});
  };
}

Initializer Zeros() { return Constant(0); }
Initializer Ones() { return Constant(1); }

Initializer RandomUniform(double minimum, double maximum, int64_t seed) {
  return [=](const Scope& s, const Shape& shape, DType dtype) {
    return RandomUniformValues(At(s), shape, dtype, minimum, maximum, seed);
  };
}

Initializer RandomNormal(double mean, double stddev, int64_t seed) {
  return [=](const Scope& s, const Shape& shape, DType dtype) {
    return RandomNormalValues(At(s), shape, dtype, mean, stddev, seed);
  };
}

Initializer TruncatedNormal(double mean, double stddev, int64_t seed) {
  return [=](const Scope& s, const Shape& shape, DType dtype) {
    return TruncatedNormalValues(At(s), shape, dtype, mean, stddev, seed);
  };
}

Initializer GlorotUniform(int64_t seed) {
  return [seed](const Scope& s, const Shape& shape, DType dtype) {
    const auto [fan_in, fan_out] = Fans(shape);
    const double limit = std::sqrt(6.0 / std::max(1.0, fan_in + fan_out));
    return RandomUniformValues(At(s), shape, dtype, -limit, limit, seed);
  };
}

}  // namespace initializers
}  // namespace espalier
