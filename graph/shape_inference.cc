// Tested by shape_inference_test.cc.
#include "espalier/graph/shape_inference.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
namespace {

constexpr int kMaxConstantDepth = 8;

std::optional<std::vector<int64_t>> Integers(const Tensor& tensor) {
  std::vector<int64_t> values;
  if (tensor.dtype() == kInt32) {
    values.assign(tensor.data<int32_t>(), tensor.data<int32_t>() + tensor.num_elements());
  } else if (tensor.dtype() == kInt64) {
    values.assign(tensor.data<int64_t>(), tensor.data<int64_t>() + tensor.num_elements());
  } else {
    return std::nullopt;
  }
  return values;
}

Tensor FromIntegers(DType dtype, const Shape& shape, const std::vector<int64_t>& values) {
  if (dtype == kInt64) return Tensor::FromVector<int64_t>(shape, values);
  return Tensor::FromVector<int32_t>(shape, std::vector<int32_t>(values.begin(), values.end()));
}

}  // namespace

std::optional<std::vector<int64_t>> PartialIntegers(const Output& output, int depth) {
  if (depth > kMaxConstantDepth || !output.valid() || IsRef(output.dtype())) return std::nullopt;
  const Node& node = *output.node();
  if (node.traits().is_constant) return Integers(node.attr<Tensor>("value"));
  if (node.schema() == nullptr || node.schema()->partial_value() == nullptr) return std::nullopt;
  return node.schema()->partial_value()(node, depth + 1);
}

std::optional<Tensor> ConstantValue(const Output& output) {
  if (!output.valid() || IsRef(output.dtype())) return std::nullopt;
  const Node& node = *output.node();
  if (node.traits().is_constant) return node.attr<Tensor>("value");
  if (output.dtype() != kInt32 && output.dtype() != kInt64) return std::nullopt;
  const auto values = PartialIntegers(output, 0);
  if (!values || std::any_of(values->begin(), values->end(), [](int64_t v) { return v < 0; }))
    return std::nullopt;
  const Shape& shape = output.shape();
  if (!shape.IsFullyKnown() || shape.num_elements() != static_cast<int64_t>(values->size()))
    return std::nullopt;
  return FromIntegers(output.dtype(), shape, *values);
}

int64_t InferenceContext::dim(int i, int d) const {
  const Shape& shape = input(i);
  if (!shape.has_rank()) return -1;
  if (d < 0) d += shape.rank();
  return d < 0 || d >= shape.rank() ? -1 : shape.dim(d);
}

const Tensor* InferenceContext::constant(int i) {
  if (constants_.empty()) constants_.resize(num_inputs());
  if (!constants_[i]) constants_[i] = ConstantValue(node_.input(i));
  return constants_[i] ? &*constants_[i] : nullptr;
}

std::optional<std::vector<int64_t>> InferenceContext::constant_ints(int i) {
  const Tensor* value = constant(i);
  return value == nullptr ? std::nullopt : Integers(*value);
}

absl::StatusOr<Shape> InferenceContext::ShapeFromInput(int i) {
  if (input(i).has_rank() && input(i).rank() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "input ", i, " must be a vector that holds a shape, received shape ", input(i).ToString()));
  }
  if (const Tensor* value = constant(i)) {
    const auto dims = Integers(*value);
    for (int64_t dim : *dims) {
      if (dim < -1)
        return absl::InvalidArgumentError(
            absl::StrCat("input ", i, " holds the negative size ", dim));
    }
    return Shape(*dims);
  }
  if (const auto partial = PartialIntegers(node_.input(i), 0)) return Shape(*partial);
  const int64_t rank = dim(i, 0);
  return rank < 0 || rank > Shape::kMaxRank ? Shape::Unknown()
                                            : Shape::UnknownOfRank(static_cast<int>(rank));
}

absl::Status InferenceContext::WithRank(int i, int rank) const {
  if (!input(i).has_rank() || input(i).rank() == rank) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("input ", i, " must have rank ", rank,
                                                 ", received shape ", input(i).ToString()));
}

absl::Status InferenceContext::WithRankAtLeast(int i, int rank) const {
  if (!input(i).has_rank() || input(i).rank() >= rank) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("input ", i, " must have rank ", rank,
                                                 " or more, received shape ", input(i).ToString()));
}

absl::Status UnchangedShape(InferenceContext& c) {
  c.set_output(0, c.input(0));
  return absl::OkStatus();
}

absl::Status BroadcastShape(InferenceContext& c) {
  ASSIGN_OR_RETURN(Shape shape, Shape::Broadcast(c.input(0), c.input(1)));
  c.set_output(0, shape);
  return absl::OkStatus();
}

absl::Status ScalarShape(InferenceContext& c) {
  c.set_output(0, Shape());
  return absl::OkStatus();
}

absl::Status UnknownShape(InferenceContext&) { return absl::OkStatus(); }

absl::Status NoOutputs(InferenceContext&) { return absl::OkStatus(); }

absl::StatusOr<int64_t> NormalizeAxis(int64_t axis, int rank) {
  if (axis < -rank || axis >= rank) {
    return absl::InvalidArgumentError(
        absl::StrCat("axis ", axis, " is out of range for rank ", rank));
  }
  return axis < 0 ? axis + rank : axis;
}

absl::Status ReductionShape(InferenceContext& c) {
  const Shape& input = c.input(0);
  const bool keep = c.node().attr<bool>("keep_dims");
  if (!input.has_rank()) return absl::OkStatus();
  const auto axes = c.constant_ints(1);
  if (!axes) {
    if (keep) c.set_output(0, Shape::UnknownOfRank(input.rank()));
    return absl::OkStatus();
  }
  std::vector<bool> reduced(input.rank());
  for (int64_t axis : *axes) {
    ASSIGN_OR_RETURN(int64_t normal, NormalizeAxis(axis, input.rank()));
    if (reduced[normal])
      return absl::InvalidArgumentError(absl::StrCat("axis ", axis, " is given twice"));
    reduced[normal] = true;
  }
  Shape output;
  for (int i = 0; i < input.rank(); ++i) {
    if (!reduced[i]) {
      output.push_back(input.dim(i));
    } else if (keep) {
      output.push_back(1);
    }
  }
  c.set_output(0, output);
  return absl::OkStatus();
}

absl::Status AllInputsEqualShape(InferenceContext& c) {
  Shape merged = Shape::Unknown();
  for (int i = 0; i < c.num_inputs(); ++i) {
    ASSIGN_OR_RETURN(merged, Shape::Merge(merged, c.input(i)));
  }
  c.set_output(0, merged);
  return absl::OkStatus();
}

}  // namespace espalier
