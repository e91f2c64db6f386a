// What a shape function sees and sets.
//
//   absl::Status MatMulShape(InferenceContext& c) {
//     RETURN_IF_ERROR(c.WithRank(0, 2));
//     ...
//     c.set_output(0, {c.dim(0, 0), c.dim(1, 1)});
//     return absl::OkStatus();
//   }
//
// A shape function runs when its node is made, with what is known then; outputs that it does not
// set are unknown. It must accept whatever the kernel may accept, and refuse only what the kernel
// refuses in every case.
#ifndef ESPALIER_GRAPH_SHAPE_INFERENCE_H_
#define ESPALIER_GRAPH_SHAPE_INFERENCE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "espalier/graph/graph.h"

namespace espalier {

class InferenceContext {
 public:
  explicit InferenceContext(const Node& node)
      : node_(node), outputs_(node.num_outputs(), Shape::Unknown()) {}

  const Node& node() const { return node_; }
  int num_inputs() const { return node_.num_inputs(); }
  const Shape& input(int i) const { return node_.input(i).shape(); }
  // Dimension d (from the end when negative) of input i; -1 when unknown.
  int64_t dim(int i, int d) const;
  // The value of input i when the graph fixes it (a constant, the shape of a known tensor, …); null
  // otherwise.
  const Tensor* constant(int i);
  // That value as integers; nothing when it is not known. REQUIRES: an int32 or int64 input.
  std::optional<std::vector<int64_t>> constant_ints(int i);
  // The shape that input i holds as a vector: known, of known rank, or unknown.
  absl::StatusOr<Shape> ShapeFromInput(int i);

  void set_output(int i, Shape shape) { outputs_[i] = std::move(shape); }
  const std::vector<Shape>& outputs() const { return outputs_; }

  // INVALID_ARGUMENT unless input i may have the rank, or a rank of at least that.
  absl::Status WithRank(int i, int rank) const;
  absl::Status WithRankAtLeast(int i, int rank) const;

 private:
  const Node& node_;
  std::vector<Shape> outputs_;
  std::vector<std::optional<Tensor>> constants_;
};

// The integers that `output` holds, in row-major order, -1 where one is not known; nothing when
// nothing is known. What an op's partial_value function computes from its inputs' (at `depth`,
// which bounds the search).
std::optional<std::vector<int64_t>> PartialIntegers(const Output& output, int depth);

// The value of `output` when the graph alone fixes it, without running kernels: constants, shapes
// of known tensors, and identities, casts, packs, slices of those.
std::optional<Tensor> ConstantValue(const Output& output);

// Shape functions shared by many ops.
absl::Status UnchangedShape(InferenceContext& c);  // output 0 is like input 0
absl::Status BroadcastShape(InferenceContext& c);  // output 0 is inputs 0 and 1 broadcast
absl::Status ScalarShape(InferenceContext& c);     // output 0 is a scalar
absl::Status UnknownShape(InferenceContext& c);    // nothing is known
absl::Status NoOutputs(InferenceContext& c);
absl::Status ReductionShape(
    InferenceContext& c);  // input 0 reduced over the axes in input 1, attr keep_dims
absl::Status AllInputsEqualShape(InferenceContext& c);  // output 0 is all inputs merged

// Axes of a reduction or permutation brought into [0, rank). INVALID_ARGUMENT when out of range.
absl::StatusOr<int64_t> NormalizeAxis(int64_t axis, int rank);

}  // namespace espalier

#endif  // ESPALIER_GRAPH_SHAPE_INFERENCE_H_
