// TensorArrayV3 and the ops on it. A flow, a float of no value, orders them. Tested by
// stack_test.cc.
//
// The gradient of an array is an array (Gradients gives it a name of its own): where the forward
// pass writes, the backward pass reads, and the other way round.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/indexing.h"
#include "espalier/ops/tensor_array.h"

namespace espalier {
namespace {

constexpr char kNoExample[] = "its handle lives within a Run; stack_test.cc runs it";

absl::StatusOr<std::shared_ptr<TensorArrayObject>> ArrayOf(const KernelContext& context) {
  std::shared_ptr<TensorArrayObject> array = context.object<TensorArrayObject>(0);
  if (array == nullptr) return absl::InvalidArgumentError("handle names no array of this Run");
  return array;
}

void SetFlow(KernelContext& context, int output = 0) { context.set_output(output, Tensor(0.0f)); }

absl::StatusOr<int64_t> ScalarOf(const Tensor& tensor, const char* what) {
  if (tensor.rank() == 0) return tensor.scalar<int32_t>();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " must be a scalar, received ", tensor.shape().ToString()));
}

absl::Status Make(KernelContext& context) {
  ASSIGN_OR_RETURN(const int64_t size, ScalarOf(context.input(0), "size"));
  if (size < 0 || size > (1 << 24))
    return absl::InvalidArgumentError(absl::StrCat("size is ", size));
  const Node& node = context.node();
  context.set_output_object(0,
                            std::make_shared<TensorArrayObject>(TensorArrayObjectOptions{
                                .type = node.attr<DType>("dtype"),
                                .size = size,
                                .element_shape = node.attr<Shape>("element_shape"),
                                .grows = node.attr<bool>("dynamic_size"),
                                .clear_after_read = node.attr<bool>("clear_after_read"),
                                .identical_shapes = node.attr<bool>("identical_element_shapes")}));
  SetFlow(context, 1);
  return absl::OkStatus();
}

absl::Status MakeGradientArray(KernelContext& context) {
  ASSIGN_OR_RETURN(const std::shared_ptr<TensorArrayObject> array, ArrayOf(context));
  Shape prepend;
  if (context.num_inputs() > 2) {
    ASSIGN_OR_RETURN(prepend, ShapeFromTensor(context.input(2), "shape_to_prepend"));
  }
  context.set_output_object(0,
                            array->Gradient(context.node().attr<std::string>("source"), prepend));
  SetFlow(context, 1);
  return absl::OkStatus();
}

absl::Status Write(KernelContext& context) {
  ASSIGN_OR_RETURN(const std::shared_ptr<TensorArrayObject> array, ArrayOf(context));
  ASSIGN_OR_RETURN(const int64_t index, ScalarOf(context.input(1), "index"));
  RETURN_IF_ERROR(array->Write(index, context.input(2)));
  SetFlow(context);
  return absl::OkStatus();
}

// The array, which must be of the type that the op gives.
absl::StatusOr<std::shared_ptr<TensorArrayObject>> TypedArrayOf(const KernelContext& context) {
  ASSIGN_OR_RETURN(std::shared_ptr<TensorArrayObject> array, ArrayOf(context));
  const DType wanted = context.node().attr<DType>("dtype");
  if (array->type() == wanted) return array;
  return absl::InvalidArgumentError(absl::StrCat("the array is of ", DTypeName(array->type()),
                                                 ", asked for ", DTypeName(wanted)));
}

absl::Status Read(KernelContext& context) {
  ASSIGN_OR_RETURN(const std::shared_ptr<TensorArrayObject> array, TypedArrayOf(context));
  ASSIGN_OR_RETURN(const int64_t index, ScalarOf(context.input(1), "index"));
  ASSIGN_OR_RETURN(Tensor value, array->Read(index));
  context.set_output(0, std::move(value));
  return absl::OkStatus();
}

absl::Status Size(KernelContext& context) {
  ASSIGN_OR_RETURN(const std::shared_ptr<TensorArrayObject> array, ArrayOf(context));
  context.set_output(0, Tensor(static_cast<int32_t>(array->size())));
  return absl::OkStatus();
}

absl::Status Close(KernelContext& context) { return ArrayOf(context).status(); }

// Elements laid one behind the other in a tensor of `shape`.
absl::StatusOr<Tensor> Joined(const KernelContext& context, const std::vector<Tensor>& parts,
                              DType type, const Shape& shape) {
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(type, shape));
  if (type == kString) {
    std::string* to = y.mutable_data<std::string>();
    for (const Tensor& part : parts)
      to = std::copy_n(part.data<std::string>(), part.num_elements(), to);
    return y;
  }
  if (type == kResource) return absl::UnimplementedError("arrays of handles cannot be joined");
  auto* to = static_cast<char*>(y.mutable_raw());
  for (const Tensor& part : parts) {
    if (part.num_bytes() > 0) std::memcpy(to, part.raw(), part.num_bytes());
    to += part.num_bytes();
  }
  return y;
}

// The elements at the indices, stacked; the shape of none is that in attr element_shape.
absl::Status Gather(KernelContext& context) {
  ASSIGN_OR_RETURN(const std::shared_ptr<TensorArrayObject> array, TypedArrayOf(context));
  ASSIGN_OR_RETURN(const std::vector<int64_t> indices, IntegerVector(context.input(1), "indices"));
  std::vector<Tensor> parts;
  Shape element = context.node().attr<Shape>("element_shape");
  for (const int64_t index : indices) {
    ASSIGN_OR_RETURN(Tensor part, array->Read(index));
    if (!Shape::Compatible(element, part.shape())) {
      return absl::InvalidArgumentError(absl::StrCat("elements must have one shape, received ",
                                                     element.ToString(), " and ",
                                                     part.shape().ToString()));
    }
    element = part.shape();
    parts.push_back(std::move(part));
  }
  if (!element.IsFullyKnown()) {
    return absl::UnimplementedError(
        absl::StrCat("no element gives a shape, and attr element_shape is ", element.ToString()));
  }
  Shape shape = {static_cast<int64_t>(parts.size())};
  for (const int64_t dim : element.dims()) shape.push_back(dim);
  ASSIGN_OR_RETURN(Tensor y, Joined(context, parts, array->type(), shape));
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

// A copy of elements [begin, begin + count) of a row-major tensor, in another shape.
absl::StatusOr<Tensor> CopyOf(const KernelContext& context, const Tensor& x, int64_t begin,
                              int64_t end, const Shape& shape) {
  ASSIGN_OR_RETURN(const Tensor rows, x.Slice(begin, end));
  return Joined(context, {rows}, x.dtype(), shape);
}

absl::Status Scatter(KernelContext& context) {
  ASSIGN_OR_RETURN(const std::shared_ptr<TensorArrayObject> array, ArrayOf(context));
  ASSIGN_OR_RETURN(const std::vector<int64_t> indices, IntegerVector(context.input(1), "indices"));
  const Tensor& value = context.input(2);
  if (value.rank() < 1 || value.dim(0) != static_cast<int64_t>(indices.size())) {
    return absl::InvalidArgumentError(absl::StrCat("value must have ", indices.size(),
                                                   " rows, received ", value.shape().ToString()));
  }
  Shape shape;
  for (int d = 1; d < value.rank(); ++d) shape.push_back(value.dim(d));
  for (size_t i = 0; i < indices.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    ASSIGN_OR_RETURN(const Tensor part, CopyOf(context, value, row, row + 1, shape));
    RETURN_IF_ERROR(array->Write(indices[i], part));
  }
  SetFlow(context);
  return absl::OkStatus();
}

// All elements along their first dimension, and how long each was.
absl::Status Concat(KernelContext& context) {
  ASSIGN_OR_RETURN(const std::shared_ptr<TensorArrayObject> array, TypedArrayOf(context));
  std::vector<Tensor> parts;
  std::vector<int64_t> lengths;
  Shape rest = context.node().attr<Shape>("element_shape_except0");
  for (int64_t i = 0; i < array->size(); ++i) {
    ASSIGN_OR_RETURN(Tensor part, array->Read(i));
    if (part.rank() < 1) return absl::InvalidArgumentError("elements must be at least vectors");
    Shape mine;
    for (int d = 1; d < part.rank(); ++d) mine.push_back(part.dim(d));
    if (!Shape::Compatible(rest, mine)) {
      return absl::InvalidArgumentError(
          absl::StrCat("elements must agree behind the first dimension, received ", rest.ToString(),
                       " and ", mine.ToString()));
    }
    rest = mine;
    lengths.push_back(part.dim(0));
    parts.push_back(std::move(part));
  }
  if (!rest.IsFullyKnown())
    return absl::UnimplementedError("no element gives a shape, nor does element_shape_except0");
  Shape shape = {std::accumulate(lengths.begin(), lengths.end(), int64_t{0})};
  for (const int64_t dim : rest.dims()) shape.push_back(dim);
  ASSIGN_OR_RETURN(Tensor y, Joined(context, parts, array->type(), shape));
  context.set_output(0, std::move(y));
  context.set_output(1, AsIndices(lengths, kInt64));
  return absl::OkStatus();
}

absl::Status Split(KernelContext& context) {
  ASSIGN_OR_RETURN(const std::shared_ptr<TensorArrayObject> array, ArrayOf(context));
  const Tensor& value = context.input(1);
  ASSIGN_OR_RETURN(const std::vector<int64_t> lengths, IntegerVector(context.input(2), "lengths"));
  int64_t total = 0;
  for (const int64_t length : lengths) {
    if (length < 0 || length > std::numeric_limits<int32_t>::max())
      return absl::InvalidArgumentError(absl::StrCat("lengths has ", length));
    total += length;
  }
  if (value.rank() < 1 || value.dim(0) != total) {
    return absl::InvalidArgumentError(
        absl::StrCat("lengths add up to ", total, ", value has shape ", value.shape().ToString()));
  }
  Shape shape = value.shape();
  int64_t begin = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    shape.set_dim(0, lengths[i]);
    ASSIGN_OR_RETURN(const Tensor part, CopyOf(context, value, begin, begin + lengths[i], shape));
    RETURN_IF_ERROR(array->Write(static_cast<int64_t>(i), part));
    begin += lengths[i];
  }
  SetFlow(context);
  return absl::OkStatus();
}

absl::Status HandleAndFlow(InferenceContext& c) {
  c.set_output(0, Shape());
  c.set_output(1, Shape());
  return absl::OkStatus();
}

// The array of gradients of the one behind input 0, after `flow`; a call of Gradients has one name
// for all of them, that of its scope.
const Node* GradientArray(const GradientContext& g, const Output& flow) {
  // "gradients/<node>_grad/": what stands before the node is the call's.
  const std::string& prefix = g.scope().name_prefix();
  const std::string source = prefix.substr(0, prefix.rfind(g.node().name() + "_grad"));
  return g.OpNode("TensorArrayGradV3", {g.x(0), flow}, {{"source", source}});
}

std::vector<Output> WriteGradient(const GradientContext& g) {
  const Node* array = GradientArray(g, g.dy());
  if (array == nullptr) return {};
  const Output value = g.Op("TensorArrayReadV3", {array->output(0), g.x(1), array->output(1)},
                            {{"dtype", RemoveRef(g.x(2).dtype())}});
  return {Output(), Output(), value, g.dy()};
}
std::vector<Output> ReadGradient(const GradientContext& g) {
  const Node* array = GradientArray(g, g.x(2));
  if (array == nullptr) return {};
  return {Output(), Output(),
          g.Op("TensorArrayWriteV3", {array->output(0), g.x(1), g.dy(), array->output(1)})};
}
std::vector<Output> GatherGradient(const GradientContext& g) {
  const Node* array = GradientArray(g, g.x(2));
  if (array == nullptr) return {};
  return {Output(), Output(),
          g.Op("TensorArrayScatterV3", {array->output(0), g.x(1), g.dy(), array->output(1)})};
}
std::vector<Output> ScatterGradient(const GradientContext& g) {
  const Node* array = GradientArray(g, g.dy());
  if (array == nullptr) return {};
  const Output value = g.Op("TensorArrayGatherV3", {array->output(0), g.x(1), array->output(1)},
                            {{"dtype", RemoveRef(g.x(2).dtype())}});
  return {Output(), Output(), value, g.dy()};
}
std::vector<Output> ConcatGradient(const GradientContext& g) {
  const Node* array = GradientArray(g, g.x(1));
  if (array == nullptr) return {};
  return {Output(),
          g.Op("TensorArraySplitV3", {array->output(0), g.dy(), g.y(1), array->output(1)})};
}
std::vector<Output> SplitGradient(const GradientContext& g) {
  const Node* array = GradientArray(g, g.dy());
  if (array == nullptr) return {};
  const Output value = g.Op("TensorArrayConcatV3", {array->output(0), array->output(1)},
                            {{"dtype", RemoveRef(g.x(1).dtype())}});
  return {Output(), value, Output(), g.dy()};
}

OpSchema& Add(OpRegistry& registry, const char* name, const char* doc,
              absl::Status (*kernel)(KernelContext&)) {
  return registry.Add(name)
      .Doc(doc)
      .Traits({.stateful = true})
      .Shape(UnknownShape)
      .Kernel([kernel](const Node&) -> absl::StatusOr<KernelFunction> {
        return KernelFunction(kernel);
      })
      .NoExample(kNoExample);
}

}  // namespace

void RegisterTensorArrayOps(OpRegistry& registry) {
  Add(registry, "TensorArrayV3", "A list of tensors for one Run.", Make)
      .In("size", kInt32)
      .Out("handle", kResource)
      .Out("flow", kFloat)
      .TypeAttr("dtype")
      .Attr("element_shape", Shape::Unknown())
      .Attr("dynamic_size", false)
      .Attr("clear_after_read", true)
      .Attr("identical_element_shapes", false)
      .Attr("tensor_array_name", "")
      .Shape(HandleAndFlow)
      .NotDifferentiable("it makes an empty list");
  Add(registry, "TensorArrayGradV3", "The list of gradients of a list, one for each source.",
      MakeGradientArray)
      .In("handle", kResource)
      .In("flow_in", kFloat)
      .Out("grad_handle", kResource)
      .Out("flow_out", kFloat)
      .RequiredAttr("source", AttrKind::kString)
      .Shape(HandleAndFlow)
      .NotDifferentiable("it makes a list of gradients");
  Add(registry, "TensorArrayGradWithShape",
      "TensorArrayGradV3 whose elements have further dimensions in front.", MakeGradientArray)
      .In("handle", kResource)
      .In("flow_in", kFloat)
      .In("shape_to_prepend", kInt32)
      .Out("grad_handle", kResource)
      .Out("flow_out", kFloat)
      .RequiredAttr("source", AttrKind::kString)
      .Shape(HandleAndFlow)
      .NotDifferentiable("it makes a list of gradients");
  Add(registry, "TensorArrayWriteV3", "Sets the element at index.", Write)
      .In("handle", kResource)
      .In("index", kInt32)
      .In("value", "T")
      .In("flow_in", kFloat)
      .Out("flow_out", kFloat)
      .TypeAttr("T")
      .Shape(ScalarShape)
      .Gradient(WriteGradient);
  Add(registry, "TensorArrayReadV3", "The element at index.", Read)
      .In("handle", kResource)
      .In("index", kInt32)
      .In("flow_in", kFloat)
      .Out("value", "dtype")
      .TypeAttr("dtype")
      .Gradient(ReadGradient);
  Add(registry, "TensorArrayGatherV3", "The elements at the indices, stacked.", Gather)
      .In("handle", kResource)
      .In("indices", kInt32)
      .In("flow_in", kFloat)
      .Out("value", "dtype")
      .TypeAttr("dtype")
      .Attr("element_shape", Shape::Unknown())
      .Gradient(GatherGradient);
  Add(registry, "TensorArrayScatterV3", "Sets the elements at the indices to the rows of value.",
      Scatter)
      .In("handle", kResource)
      .In("indices", kInt32)
      .In("value", "T")
      .In("flow_in", kFloat)
      .Out("flow_out", kFloat)
      .TypeAttr("T")
      .Shape(ScalarShape)
      .Gradient(ScatterGradient);
  Add(registry, "TensorArrayConcatV3", "All elements along their first dimension.", Concat)
      .In("handle", kResource)
      .In("flow_in", kFloat)
      .Out("value", "dtype")
      .Out("lengths", kInt64)
      .TypeAttr("dtype")
      .Attr("element_shape_except0", Shape::Unknown())
      .Gradient(ConcatGradient);
  Add(registry, "TensorArraySplitV3", "Sets the elements to parts of value of the given lengths.",
      Split)
      .In("handle", kResource)
      .In("value", "T")
      .In("lengths", kInt64)
      .In("flow_in", kFloat)
      .Out("flow_out", kFloat)
      .TypeAttr("T")
      .Shape(ScalarShape)
      .Gradient(SplitGradient);
  Add(registry, "TensorArraySizeV3", "The number of elements.", Size)
      .In("handle", kResource)
      .In("flow_in", kFloat)
      .Out("size", kInt32)
      .Shape(ScalarShape)
      .NotDifferentiable("its output is an integer");
  Add(registry, "TensorArrayCloseV3", "Ends the use of the list, whose memory goes with the Run.",
      Close)
      .In("handle", kResource)
      .Shape(NoOutputs)
      .NotDifferentiable("it has no outputs");
}

}  // namespace espalier
