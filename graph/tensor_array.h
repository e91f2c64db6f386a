// A list of tensors that a loop reads and writes by index, for one Run.
//
//   TensorArray inputs = TensorArray::Unstack(s, x);                     // the rows of x
//   TensorArray outputs(s, inputs.size(s), kFloat);
//   std::vector<Output> last = WhileLoop(s, {Const(s, 0), outputs.flow()}, condition,
//       [&](const Scope& s, const std::vector<Output>& v) -> std::vector<Output> {
//         const Output y = Tanh(s, inputs.Read(s, v[0]));
//         return {s(v[0]) + 1, outputs.WithFlow(v[1]).Write(s, v[0], y).flow()};
//       });
//   Output stacked = outputs.WithFlow(last[1]).Stack(s);
//
// A handle and a flow: the flow is a number of no meaning that orders the accesses, and that a loop
// passes on from iteration to iteration. Each element is written once; gradients flow through. A
// small value; as thread-safe as the Graph, which keeps the errors.
#ifndef ESPALIER_GRAPH_TENSOR_ARRAY_H_
#define ESPALIER_GRAPH_TENSOR_ARRAY_H_

#include "espalier/graph/scope.h"

namespace espalier {

struct TensorArrayOptions {
  Shape element_shape = Shape::Unknown();  // of every element, as far as it is known
  bool dynamic_size = false;               // writes past the end make it longer
  bool clear_after_read = true;            // an element can be read once, and is freed then
};

class TensorArray {
 public:
  // `size` elements (a scalar int32), not written yet.
  TensorArray(const At& at, const Output& size, DType dtype,
              const TensorArrayOptions& options = {});
  // An array of the rows of `value`: its slices along the first dimension.
  static TensorArray Unstack(const At& at, const Output& value,
                             const TensorArrayOptions& options = {});

  const Output& handle() const { return handle_; }
  const Output& flow() const { return flow_; }
  // The same array after what `flow` stands for.
  TensorArray WithFlow(const Output& flow) const;

  // The array after the write.
  TensorArray Write(const At& at, const Output& index, const Output& value) const;
  Output Read(const At& at, const Output& index) const;
  // All elements, which must have one shape, along a new first dimension.
  Output Stack(const At& at) const;
  Output size(const At& at) const;

 private:
  TensorArray() = default;
  Output handle_, flow_;
  DType dtype_ = kFloat;
  Shape element_shape_ = Shape::Unknown();
};

}  // namespace espalier

#endif  // ESPALIER_GRAPH_TENSOR_ARRAY_H_
