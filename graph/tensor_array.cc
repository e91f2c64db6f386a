// Tested by scan_test.cc.
#include "espalier/graph/tensor_array.h"

namespace espalier {
namespace {

Output Int32s(const Scope& s, const std::vector<int32_t>& values) {
  return Const(At(s.Named("")),
               Tensor::FromVector<int32_t>({static_cast<int64_t>(values.size())}, values));
}

Output Indices(const Scope& s, const Output& size) {
  return AddOpOutput(At(s.Named("")), "Range",
                     {ConstScalar(At(s), kInt32, 0), size, ConstScalar(At(s), kInt32, 1)});
}

Shape Rest(const Shape& shape) {
  if (!shape.has_rank() || shape.rank() == 0) return Shape::Unknown();
  return Shape(shape.dims().subspan(1));
}

}  // namespace

TensorArray::TensorArray(const At& at, const Output& size, DType dtype,
                         const TensorArrayOptions& options)
    : dtype_(RemoveRef(dtype)), element_shape_(options.element_shape) {
  const Node* node = AddOp(at, "TensorArrayV3", {size},
                           {{"dtype", dtype_},
                            {"element_shape", options.element_shape},
                            {"dynamic_size", options.dynamic_size},
                            {"clear_after_read", options.clear_after_read},
                            {"identical_element_shapes", options.element_shape.IsFullyKnown()}});
  if (node == nullptr) return;
  handle_ = node->output(0);
  flow_ = node->output(1);
}

TensorArray TensorArray::Unstack(const At& at, const Output& value,
                                 const TensorArrayOptions& options) {
  const Scope s = at.Inside();
  const Output shape = AddOpOutput(At(s.Named("")), "Shape", {value});
  const Output size = AddOpOutput(At(s.Named("")), "StridedSlice",
                                  {shape, Int32s(s, {0}), Int32s(s, {1}), Int32s(s, {1})},
                                  {{"shrink_axis_mask", 1}});
  TensorArrayOptions known = options;
  if (!known.element_shape.has_rank() && value.valid()) known.element_shape = Rest(value.shape());
  TensorArray array(At(s), size, value.dtype(), known);
  array.flow_ = AddOpOutput(At(s.Named("")), "TensorArrayScatterV3",
                            {array.handle_, Indices(s, size), value, array.flow_});
  return array;
}

TensorArray TensorArray::WithFlow(const Output& flow) const {
  TensorArray array = *this;
  array.flow_ = flow;
  return array;
}

TensorArray TensorArray::Write(const At& at, const Output& index, const Output& value) const {
  return WithFlow(AddOpOutput(at, "TensorArrayWriteV3", {handle_, index, value, flow_}));
}

Output TensorArray::Read(const At& at, const Output& index) const {
  const Output value =
      AddOpOutput(at, "TensorArrayReadV3", {handle_, index, flow_}, {{"dtype", dtype_}});
  if (value.valid()) {
    const absl::Status status = at.scope().graph()->SetShape(value, element_shape_);
    if (!status.ok()) at.scope().graph()->RecordError(status);
  }
  return value;
}

Output TensorArray::Stack(const At& at) const {
  return AddOpOutput(at, "TensorArrayGatherV3", {handle_, Indices(at.Inside(), size(at)), flow_},
                     {{"dtype", dtype_}, {"element_shape", element_shape_}});
}

Output TensorArray::size(const At& at) const {
  return AddOpOutput(At(at.Inside().Named("")), "TensorArraySizeV3", {handle_, flow_});
}

}  // namespace espalier
