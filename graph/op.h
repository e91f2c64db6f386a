// What an op is: schema, shape function, kernel, gradient, doc and examples, declared in one place.
//
//   void RegisterSoftsign(OpRegistry& registry) {
//     registry.Add("Softsign")
//         .Doc("x / (1 + |x|), elementwise.")
//         .In("features", "T").Out("activations", "T")
//         .TypeAttr("T", kFloatDTypes)
//         .Traits({.elementwise = true})
//         .Shape(UnchangedShape)
//         .Kernel(MakeSoftsign)
//         .Gradient(SoftsignGradient)
//         .Example({.inputs = {Tensor::Of<float>({2}, {-1, 3})},
//                   .expected = {Tensor::Of<float>({2}, {-0.5f, 0.75f})}});
//   }
//
// An OpSchema never changes once its registry is complete; it is then safe to read from any thread.
// docs/adding_an_op.md walks through one op from nothing to green tests.
#ifndef ESPALIER_GRAPH_OP_H_
#define ESPALIER_GRAPH_OP_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "espalier/graph/attr.h"

namespace espalier {

class Node;
struct ChannelMap;       // graph/channel_map.h
class InferenceContext;  // graph/shape_inference.h
class GradientContext;   // graph/gradients.h
class KernelContext;     // runtime/kernel.h
class Output;

// One input or output of an op: one tensor, `number_attr` tensors of one type, or a list typed by
// `type_list_attr`.
struct ArgSchema {
  std::string name;
  DType type = kInvalidDType;  // fixed type, or
  std::string type_attr;       // the attr that holds it, or
  std::string type_list_attr;  // the attr that holds one type for each tensor of the list
  std::string number_attr;     // the attr that holds the length of the list
  bool is_ref = false;

  bool is_list() const { return !number_attr.empty() || !type_list_attr.empty(); }
};

struct AttrSchema {
  std::string name;
  AttrKind kind = AttrKind::kNone;
  AttrValue default_value;           // kNone: the attr is required
  std::vector<DType> allowed_types;  // for types; empty means any
  std::vector<std::string> allowed_strings;
  std::optional<int64_t> minimum;  // of an int, or of a list's length
  bool positional = false;         // an argument of the typed builder though it has a default

  bool required() const { return default_value.kind() == AttrKind::kNone; }
};

// What passes and the executor need to know of an op without knowing its name.
struct OpTraits {
  bool stateful = false;  // never folded, merged with its like, or skipped when its output is known
  bool elementwise = false;  // output i depends on input elements i only, after broadcasting
  bool commutative = false;
  bool is_variable = false;  // makes a ref to storage of its own
  bool is_switch = false;    // outputs (false, true): the data goes to the one that the predicate,
                             // input 1, selects
  bool is_merge = false;     // forwards the input that is alive
  bool is_enter = false;
  bool is_exit = false;
  bool is_next_iteration = false;
  bool is_loop_cond = false;
  bool is_control_trigger = false;  // runs even when a control input is dead
  bool forwards_ref = false;        // ref outputs name the variable of ref input 0
  bool recalls = false;             // gives what another node has put away: no edge shows it
  bool initializes = false;         // takes a variable that has no value yet
  bool is_placeholder = false;
  bool is_constant = false;
  bool passes_through = false;  // the output is the input, to whoever only runs the graph
};

// An example input of an op, and what must come out. Drives the registry test.
struct OpExample {
  std::string name;
  std::vector<Tensor> inputs;  // for a ref input: the variable's value before
  AttrMap attrs;
  std::vector<Tensor> expected;  // empty: values are not compared
  bool check_gradient =
      true;                 // compare with finite differences (float examples, run again in double)
  double tolerance = 1e-5;  // relative to max(1, |expected|)
  std::vector<int> constant_inputs;  // given as Const rather than fed: shapes, axes
};

using ShapeFunction = absl::Status (*)(InferenceContext&);
using KernelFunction = std::function<absl::Status(KernelContext&)>;
// Called once for each node of a plan; reads attributes there, so that running costs no look-up.
using KernelFactory = std::function<absl::StatusOr<KernelFunction>(const Node&)>;
// Adds nodes that compute the gradient of each data input (an empty Output: none).
using GradientFunction = std::vector<Output> (*)(const GradientContext&);

// The integers that a shape-computing op's output holds, as far as the graph fixes them (-1:
// unknown).
using PartialValueFunction = std::optional<std::vector<int64_t>> (*)(const Node&, int depth);

// What the op does to each channel of one input when the others are constants (null: not constant);
// nothing when it is no such map. See channel_map.h.
using ChannelMapFunction = std::optional<ChannelMap> (*)(const Node&,
                                                         absl::Span<const Tensor* const> constants);
// For an op that is linear in input 0: its weights, input 1, so that channel c of the output comes
// out times scale[c].
using ScaleWeightsFunction = absl::StatusOr<Tensor> (*)(const Node&, const Tensor& weights,
                                                        const std::vector<double>& scale);

class OpSchema {
 public:
  explicit OpSchema(std::string name) : name_(std::move(name)) {}

  // --- Declaring. Each returns *this.
  OpSchema& Doc(std::string text);
  // `type` is an attr's name or a fixed DType.
  OpSchema& In(std::string name, std::string type_attr);
  OpSchema& In(std::string name, DType type);
  OpSchema& RefIn(std::string name, std::string type_attr);
  OpSchema& InList(std::string name, std::string number_attr, std::string type_attr);
  OpSchema& InList(std::string name, std::string number_attr, DType type);
  OpSchema& RefInList(std::string name, std::string number_attr, std::string type_attr);
  OpSchema& InTypes(std::string name, std::string type_list_attr);
  OpSchema& Out(std::string name, std::string type_attr);
  OpSchema& Out(std::string name, DType type);
  OpSchema& RefOut(std::string name, std::string type_attr);
  OpSchema& OutList(std::string name, std::string number_attr, std::string type_attr);
  OpSchema& OutTypes(std::string name, std::string type_list_attr);
  // A type attr; `allowed` empty means any. With a default it may be left out though no input fixes
  // it.
  OpSchema& TypeAttr(std::string name, std::vector<DType> allowed = {},
                     AttrValue default_value = {});
  // An optional attr: its kind is that of the default.
  OpSchema& Attr(std::string name, AttrValue default_value);
  OpSchema& RequiredAttr(std::string name, AttrKind kind);
  OpSchema& StringAttr(std::string name, std::vector<std::string> allowed,
                       AttrValue default_value = {});
  // Of the attr declared last.
  OpSchema& Minimum(int64_t minimum);
  OpSchema& Positional();
  OpSchema& Traits(OpTraits traits);
  OpSchema& Shape(ShapeFunction function);
  OpSchema& PartialValue(PartialValueFunction function);
  OpSchema& ChannelMap(ChannelMapFunction function);
  OpSchema& ScaleWeights(ScaleWeightsFunction function);
  OpSchema& Kernel(KernelFactory factory);
  OpSchema& Gradient(GradientFunction function);
  // Gradients stop here, as at a constant; `reason` is printed in the table of gradients.
  OpSchema& NotDifferentiable(std::string reason);
  // A path through this op is an error (UNIMPLEMENTED), not a zero.
  OpSchema& GradientMissing(std::string reason);
  OpSchema& Example(OpExample example);
  OpSchema& Examples(std::vector<OpExample> examples);
  // Why there is none, when an op cannot run by itself.
  OpSchema& NoExample(std::string reason);

  // --- Reading.
  const std::string& name() const { return name_; }
  const std::string& doc() const { return doc_; }
  const std::vector<ArgSchema>& inputs() const { return inputs_; }
  const std::vector<ArgSchema>& outputs() const { return outputs_; }
  const std::vector<AttrSchema>& attrs() const { return attrs_; }
  const AttrSchema* FindAttr(const std::string& name) const;
  const OpTraits& traits() const { return traits_; }
  ShapeFunction shape_function() const { return shape_function_; }
  PartialValueFunction partial_value() const { return partial_value_; }
  ChannelMapFunction channel_map() const { return channel_map_; }
  ScaleWeightsFunction scale_weights() const { return scale_weights_; }
  const KernelFactory& kernel() const { return kernel_; }
  GradientFunction gradient() const { return gradient_; }
  const std::string& not_differentiable() const { return not_differentiable_; }
  const std::string& gradient_missing() const { return gradient_missing_; }
  const std::vector<OpExample>& examples() const { return examples_; }
  const std::string& no_example() const { return no_example_; }

  // What the registry refuses: an op that is silent on its doc, shapes, kernel, gradient or
  // examples.
  absl::Status Validate() const;

 private:
  std::string name_;
  std::string doc_;
  std::vector<ArgSchema> inputs_;
  std::vector<ArgSchema> outputs_;
  std::vector<AttrSchema> attrs_;
  OpTraits traits_;
  ShapeFunction shape_function_ = nullptr;
  PartialValueFunction partial_value_ = nullptr;
  ChannelMapFunction channel_map_ = nullptr;
  ScaleWeightsFunction scale_weights_ = nullptr;
  KernelFactory kernel_;
  GradientFunction gradient_ = nullptr;
  std::string not_differentiable_;
  std::string gradient_missing_;
  std::vector<OpExample> examples_;
  std::string no_example_;
};

inline const std::vector<DType> kFloatDTypes = {kFloat, kDouble, kHalf, kBFloat16};
inline const std::vector<DType> kNumericDTypes = {kFloat, kDouble, kHalf,   kBFloat16,
                                                  kInt32, kInt64,  kUInt8,  kInt16,
                                                  kInt8,  kUInt16, kUInt32, kUInt64};
inline const std::vector<DType> kIndexDTypes = {kInt32, kInt64};

}  // namespace espalier

#endif  // ESPALIER_GRAPH_OP_H_
