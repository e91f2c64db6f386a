// Variables reached through resource handles: VarHandleOp, ReadVariableOp, AssignVariableOp, … The
// kernels find the variable on the edge, as those of ref variables do. Tested by
// resource_variables_test.cc.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/indexing.h"
#include "espalier/ops/scatter.h"

namespace espalier {
namespace {

constexpr char kNoGradient[] = "it changes a variable";
constexpr char kNoExample[] = "its variable is a resource; resource_variables_test.cc runs it";

// The declared shape of the variable behind a handle; unknown when the handle's origin is.
Shape DeclaredShape(const Output& handle) {
  const Node* node = handle.node();
  while (node->num_inputs() > 0 && node->input(0).valid() && node->input(0).dtype() == kResource)
    node = node->input(0).node();
  const AttrValue* shape = node->FindAttr("shape");
  const Shape* declared = shape == nullptr ? nullptr : std::get_if<Shape>(shape);
  return node->traits().is_variable && declared != nullptr ? *declared : Shape::Unknown();
}

absl::StatusOr<Tensor> ReadValue(KernelContext& context) {
  const VariableSlot& slot = *context.variable(0);
  Tensor value = slot.Read();
  if (value.valid()) return value;
  const std::string& key = slot.name();
  return absl::FailedPreconditionError(
      absl::StrCat("Attempting to use uninitialized value ", key.substr(key.find('\n') + 1)));
}

// Variables arrive on every edge, but a handle that was fed has none.
absl::Status CheckHandle(const KernelContext& context) {
  return Require(context.variable(0) != nullptr, "the handle names no variable of this session");
}

absl::Status Read(KernelContext& context) {
  RETURN_IF_ERROR(CheckHandle(context));
  ASSIGN_OR_RETURN(Tensor value, ReadValue(context));
  const DType expected = context.node().attr<DType>("dtype");
  if (value.dtype() != expected) {
    return absl::InvalidArgumentError(absl::StrCat("the variable is ", DTypeName(value.dtype()),
                                                   ", read as ", DTypeName(expected)));
  }
  context.set_output(0, std::move(value));
  return absl::OkStatus();
}

absl::Status Assign(KernelContext& context) {
  RETURN_IF_ERROR(CheckHandle(context));
  const Tensor& value = context.input(1);
  VariableSlot& slot = *context.variable(0);
  if (value.dtype() != slot.dtype()) {
    return absl::InvalidArgumentError(absl::StrCat("the variable is ", DTypeName(slot.dtype()),
                                                   ", received ", DTypeName(value.dtype())));
  }
  const Shape declared = DeclaredShape(context.node().input(0));
  if (!Shape::Compatible(declared, value.shape())) {
    return absl::InvalidArgumentError(absl::StrCat("the variable has shape ", declared.ToString(),
                                                   ", received a value of shape ",
                                                   value.shape().ToString()));
  }
  slot.Write(value);
  return absl::OkStatus();
}

template <typename T, int kSign>
absl::Status Add(KernelContext& context) {
  RETURN_IF_ERROR(CheckHandle(context));
  const Tensor& delta = context.input(1);
  VariableWriter writer({context.variable(0).get()});
  RETURN_IF_ERROR(writer.Check());
  if (!(writer.value(0).shape() == delta.shape())) {
    return absl::InvalidArgumentError(
        absl::StrCat("the variable has shape ", writer.value(0).shape().ToString(),
                     ", received an update of shape ", delta.shape().ToString()));
  }
  ASSIGN_OR_RETURN(Tensor * value, writer.Mutable(0, context.allocator()));
  T* out = value->mutable_data<T>();
  const T* in = delta.data<T>();
  using C = ComputeType<T>;
  for (int64_t i = 0; i < delta.num_elements(); ++i) {
    const C a = static_cast<C>(out[i]), b = static_cast<C>(in[i]);
    out[i] = static_cast<T>(kSign > 0 ? WrapAdd(a, b) : WrapSub(a, b));
  }
  return absl::OkStatus();
}

template <int kSign>
absl::StatusOr<KernelFunction> MakeAdd(const Node& node) {
  return DispatchType(ArithmeticTypes(), node.attr<DType>("dtype"),
                      []<typename T>() -> KernelFunction { return Add<T, kSign>; });
}

// Rows of the variable by index.
template <typename S>
absl::Status Gather(KernelContext& context) {
  RETURN_IF_ERROR(CheckHandle(context));
  ASSIGN_OR_RETURN(Tensor params, ReadValue(context));
  const Indices index(context.input(1));
  if (params.rank() < 1)
    return absl::InvalidArgumentError("the variable must be at least a vector");
  RETURN_IF_ERROR(index.Check(params.dim(0), "indices"));
  Shape shape = context.input(1).shape();
  int64_t width = 1;
  for (int d = 1; d < params.rank(); ++d) {
    shape.push_back(params.dim(d));
    width *= params.dim(d);
  }
  ASSIGN_OR_RETURN(Tensor y, context.Allocate(params.dtype(), shape));
  for (int64_t i = 0; i < index.size(); ++i)
    std::copy_n(Storage<S>(params) + index[i] * width, width, MutableStorage<S>(y) + i * width);
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

absl::Status GatherShape(InferenceContext& c) {
  const Shape declared = DeclaredShape(c.node().input(0));
  if (!declared.has_rank() || !c.input(1).has_rank()) return absl::OkStatus();
  Shape shape = c.input(1);
  for (int d = 1; d < declared.rank(); ++d) shape.push_back(declared.dim(d));
  c.set_output(0, shape);
  return absl::OkStatus();
}

// The rows' gradients added up in the variable's shape.
std::vector<Output> GatherGradient(const GradientContext& g) {
  const Output shape = g.Op("VariableShape", {g.x(0)}, {{"out_type", kInt32}});
  const Output inner = g.Op("Slice", {shape, g.Int32s({1}), g.Int32s({-1})});
  const Output size = g.Op("Reshape", {g.Op("Size", {g.x(1)}), g.Int32s({1})});
  const Output rows_shape = g.Op("ConcatV2", {size, inner, g.Scalar(shape, 0)}, {{"N", 2}});
  const Output rows = g.Op("Reshape", {g.dy(), rows_shape});
  const Output count =
      g.Op("Reshape", {g.Op("Slice", {shape, g.Int32s({0}), g.Int32s({1})}), g.Int32s({})});
  const Output flat = g.Op("Reshape", {g.x(1), g.Int32s({-1})});
  return {g.Op("UnsortedSegmentSum", {rows, flat, count}), Output()};
}

template <typename Step>
void AddScatter(OpRegistry& registry, const char* name, const char* doc) {
  registry.Add(name)
      .Doc(doc)
      .In("resource", kResource)
      .In("indices", "Tindices")
      .In("updates", "dtype")
      .TypeAttr("dtype", kComparableDTypes)
      .TypeAttr("Tindices", kIndexDTypes)
      .Traits({.stateful = true})
      .Shape(NoOutputs)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(ScatterTypes<Step>(), node.attr<DType>("dtype"),
                            []<typename T>() -> KernelFunction {
                              return [](KernelContext& context) -> absl::Status {
                                RETURN_IF_ERROR(CheckHandle(context));
                                return ScatterRows<T, Step>(context, *context.variable(0),
                                                            context.input(1), context.input(2));
                              };
                            });
      })
      .NotDifferentiable(kNoGradient)
      .NoExample(kNoExample);
}

OpSchema& AddAssign(OpRegistry& registry, const char* name, const char* doc) {
  return registry.Add(name)
      .Doc(doc)
      .In("resource", kResource)
      .In("value", "dtype")
      .TypeAttr("dtype")
      .Shape(NoOutputs)
      .NotDifferentiable(kNoGradient)
      .NoExample(kNoExample);
}

KernelFactory Always(absl::Status (*kernel)(KernelContext&)) {
  return [kernel](const Node&) -> absl::StatusOr<KernelFunction> { return KernelFunction(kernel); };
}

}  // namespace

void RegisterResourceVariables(OpRegistry& registry) {
  registry.Add("VarHandleOp")
      .Doc("A handle of state of the session, shared by name. Uninitialised until it is assigned.")
      .Out("resource", kResource)
      .Attr("container", "")
      .Attr("shared_name", "")
      .Attr("debug_name", "")
      .TypeAttr("dtype")
      .RequiredAttr("shape", AttrKind::kShape)
      .Attr("allowed_devices", std::vector<std::string>())
      .Traits({.stateful = true, .is_variable = true})
      .Shape(ScalarShape)
      .Kernel(Always([](KernelContext&) { return absl::InternalError("a plan resolves handles"); }))
      .NotDifferentiable("it has no inputs")
      .NoExample(kNoExample);
  registry.Add("ReadVariableOp")
      .Doc("The value of the variable.")
      .In("resource", kResource)
      .Out("value", "dtype")
      .TypeAttr("dtype")
      .Shape([](InferenceContext& c) {
        c.set_output(0, DeclaredShape(c.node().input(0)));
        return absl::OkStatus();
      })
      .Kernel(Always(Read))
      .Gradient([](const GradientContext& g) -> std::vector<Output> { return {g.dy()}; })
      .NoExample(kNoExample);
  AddAssign(registry, "AssignVariableOp", "Sets the variable.")
      .Attr("validate_shape", false)
      .Traits({.stateful = true, .initializes = true})
      .Kernel(Always(Assign));
  AddAssign(registry, "AssignAddVariableOp", "Adds to the variable.")
      .Traits({.stateful = true})
      .Kernel(MakeAdd<1>);
  AddAssign(registry, "AssignSubVariableOp", "Subtracts from the variable.")
      .Traits({.stateful = true})
      .Kernel(MakeAdd<-1>);
  registry.Add("VarIsInitializedOp")
      .Doc("Whether the variable has a value.")
      .In("resource", kResource)
      .Out("is_initialized", kBool)
      .Shape(ScalarShape)
      .Kernel(Always([](KernelContext& context) -> absl::Status {
        RETURN_IF_ERROR(CheckHandle(context));
        context.set_output(0, Tensor(context.variable(0)->initialized()));
        return absl::OkStatus();
      }))
      .NotDifferentiable("its output is bool")
      .NoExample(kNoExample);
  registry.Add("VariableShape")
      .Doc("The shape of the variable's value.")
      .In("input", kResource)
      .Out("output", "out_type")
      .TypeAttr("out_type", kIndexDTypes, kInt32)
      .Shape([](InferenceContext& c) {
        const Shape declared = DeclaredShape(c.node().input(0));
        c.set_output(0, {declared.rank()});
        return absl::OkStatus();
      })
      .Kernel(Always([](KernelContext& context) -> absl::Status {
        RETURN_IF_ERROR(CheckHandle(context));
        ASSIGN_OR_RETURN(Tensor value, ReadValue(context));
        const std::vector<int64_t> dims = value.shape().as_list();
        if (context.node().output_dtype(0) == kInt64) {
          context.set_output(0, Tensor::FromVector<int64_t>({value.rank()}, dims));
        } else {
          context.set_output(
              0, Tensor::FromVector<int32_t>({value.rank()},
                                             std::vector<int32_t>(dims.begin(), dims.end())));
        }
        return absl::OkStatus();
      }))
      .NotDifferentiable("it depends on the shape only")
      .NoExample(kNoExample);
  registry.Add("DestroyResourceOp")
      .Doc("Takes the variable's value away.")
      .In("resource", kResource)
      .Attr("ignore_lookup_error", true)
      .Traits({.stateful = true})
      .Shape(NoOutputs)
      .Kernel(Always([](KernelContext& context) -> absl::Status {
        RETURN_IF_ERROR(CheckHandle(context));
        context.variable(0)->Write(Tensor());
        return absl::OkStatus();
      }))
      .NotDifferentiable(kNoGradient)
      .NoExample(kNoExample);
  registry.Add("ResourceGather")
      .Doc("Rows of the variable by index.")
      .In("resource", kResource)
      .In("indices", "Tindices")
      .Out("output", "dtype")
      .Attr("batch_dims", 0)
      .Attr("validate_indices", true)
      .TypeAttr("dtype")
      .TypeAttr("Tindices", kIndexDTypes)
      .Shape(GatherShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        if (node.attr<int64_t>("batch_dims") != 0)
          return absl::UnimplementedError("batch_dims other than 0");
        return DispatchStorage(node.output_dtype(0),
                               []<typename S>() -> KernelFunction { return Gather<S>; });
      })
      .Gradient(GatherGradient)
      .NoExample(kNoExample);
  AddScatter<ScatterSet>(registry, "ResourceScatterUpdate", "Replaces rows of the variable.");
  AddScatter<ScatterAddTo>(registry, "ResourceScatterAdd", "Adds to rows of the variable.");
  AddScatter<ScatterSubtract>(registry, "ResourceScatterSub", "Subtracts from rows.");
  AddScatter<ScatterMultiply>(registry, "ResourceScatterMul", "Multiplies rows of the variable.");
  AddScatter<ScatterDivide>(registry, "ResourceScatterDiv", "Divides rows of the variable.");
  AddScatter<ScatterLarger>(registry, "ResourceScatterMax", "The larger of row and update.");
  AddScatter<ScatterSmaller>(registry, "ResourceScatterMin", "The smaller of row and update.");
}

}  // namespace espalier
