// Variables reached through resource handles: VarHandleOp, ReadVariableOp, AssignVariableOp, … The
// kernels find the variable on the edge, as those of ref variables do. Tested by
// resource_variables_test.cc.
#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/gather.h"
#include "espalier/ops/scatter.h"
#include "espalier/ops/variable_update.h"

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

absl::Status CheckType(const VariableSlot& slot, DType type) {
  if (slot.dtype() == type) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the variable is ", DTypeName(slot.dtype()),
                                                 ", the op is for ", DTypeName(type)));
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

template <int kSign>
absl::StatusOr<KernelFunction> MakeAdd(const Node& node) {
  return DispatchType(
      ArithmeticTypes(), node.attr<DType>("dtype"), []<typename T>() -> KernelFunction {
        return [](KernelContext& context) -> absl::Status {
          RETURN_IF_ERROR(CheckHandle(context));
          RETURN_IF_ERROR(CheckType(*context.variable(0), DTypeOf<T>));
          return AddToVariable<T, kSign>(context, *context.variable(0), context.input(1));
        };
      });
}

// Slices of the variable by index.
template <typename S>
absl::Status Gather(KernelContext& context, int64_t batch_dims) {
  RETURN_IF_ERROR(CheckHandle(context));
  RETURN_IF_ERROR(CheckType(*context.variable(0), context.node().output_dtype(0)));
  ASSIGN_OR_RETURN(Tensor params, ReadValue(context));
  return GatherSlices<S>(context, params, context.input(1), batch_dims, batch_dims);
}

template <typename S>
absl::Status GatherNd(KernelContext& context) {
  RETURN_IF_ERROR(CheckHandle(context));
  RETURN_IF_ERROR(CheckType(*context.variable(0), context.node().output_dtype(0)));
  ASSIGN_OR_RETURN(Tensor params, ReadValue(context));
  return GatherNdSlices<S>(context, params, context.input(1));
}

absl::Status GatherShape(InferenceContext& c) {
  const Shape declared = DeclaredShape(c.node().input(0));
  if (!declared.has_rank() || !c.input(1).has_rank()) return absl::OkStatus();
  const int64_t batch_dims = c.node().attr<int64_t>("batch_dims");
  ASSIGN_OR_RETURN(GatherLayout layout, LayOutGather(declared, c.input(1), batch_dims, batch_dims));
  c.set_output(0, layout.output);
  return absl::OkStatus();
}

absl::Status GatherNdShape(InferenceContext& c) {
  const Shape declared = DeclaredShape(c.node().input(0));
  RETURN_IF_ERROR(c.WithRankAtLeast(1, 1));
  if (!declared.has_rank() || !c.input(1).has_rank() || c.dim(1, -1) < 0) return absl::OkStatus();
  Shape shape;
  for (int d = 0; d + 1 < c.input(1).rank(); ++d) shape.push_back(c.input(1).dim(d));
  for (int64_t d = c.dim(1, -1); d < declared.rank(); ++d)
    shape.push_back(declared.dim(static_cast<int>(d)));
  c.set_output(0, shape);
  return absl::OkStatus();
}

Output ShapeOfVariable(const GradientContext& g, DType type) {
  return g.Op("VariableShape", {g.x(0)}, {{"out_type", type}});
}
// The rows' gradients added up in the variable's shape.
std::vector<Output> GatherGradient(const GradientContext& g) {
  if (g.node().attr<int64_t>("batch_dims") != 0) {
    g.scope().graph()->RecordError(absl::UnimplementedError(
        absl::StrCat(g.node().Describe(), ": the gradient for batch_dims is not built")));
    return {};
  }
  return {AddedRows(g, ShapeOfVariable(g, kInt32), g.x(1)), Output()};
}
std::vector<Output> GatherNdGradient(const GradientContext& g) {
  return {g.Op("ScatterNd", {g.x(1), g.dy(), ShapeOfVariable(g, RemoveRef(g.x(1).dtype()))}),
          Output()};
}

template <typename Step, bool kNd = false>
void AddScatter(OpRegistry& registry, const char* name, const char* doc) {
  OpSchema& op = registry.Add(name);
  if (kNd)
    op.Attr("use_locking", true).StringAttr("bad_indices_policy", {"", "DEFAULT", "ERROR"}, "");
  op.Doc(doc)
      .In(kNd ? "ref" : "resource", kResource)
      .In("indices", "Tindices")
      .In("updates", kNd ? "T" : "dtype")
      .TypeAttr(kNd ? "T" : "dtype", ScatterDTypes<Step>())
      .TypeAttr("Tindices", kIndexDTypes)
      .Traits({.stateful = true})
      .Shape(NoOutputs)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchType(
            ScatterTypes<Step>(), RemoveRef(node.input(2).dtype()),
            []<typename T>() -> KernelFunction {
              return [](KernelContext& context) -> absl::Status {
                RETURN_IF_ERROR(CheckHandle(context));
                RETURN_IF_ERROR(CheckType(*context.variable(0), DTypeOf<T>));
                constexpr auto kScatter = kNd ? ScatterNdRows<T, Step> : ScatterRows<T, Step>;
                return kScatter(context, *context.variable(0), context.input(1), context.input(2));
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
      .Traits({.passes_through = true})
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
        const int64_t batch_dims = node.attr<int64_t>("batch_dims");
        return DispatchStorage(node.output_dtype(0), [batch_dims]<typename S>() -> KernelFunction {
          return [batch_dims](KernelContext& context) { return Gather<S>(context, batch_dims); };
        });
      })
      .Gradient(GatherGradient)
      .NoExample(kNoExample);
  registry.Add("ResourceGatherNd")
      .Doc("Slices of the variable by the index vectors in the last dimension of indices.")
      .In("resource", kResource)
      .In("indices", "Tindices")
      .Out("output", "dtype")
      .TypeAttr("dtype")
      .TypeAttr("Tindices", kIndexDTypes)
      .Shape(GatherNdShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return DispatchStorage(node.output_dtype(0),
                               []<typename S>() -> KernelFunction { return GatherNd<S>; });
      })
      .Gradient(GatherNdGradient)
      .NoExample(kNoExample);
  AddScatter<ScatterSet, true>(registry, "ResourceScatterNdUpdate", "Replaces slices.");
  AddScatter<ScatterAddTo, true>(registry, "ResourceScatterNdAdd", "Adds to slices.");
  AddScatter<ScatterSubtract, true>(registry, "ResourceScatterNdSub", "Subtracts from slices.");
  AddScatter<ScatterLarger, true>(registry, "ResourceScatterNdMax",
                                  "The larger of slice and update.");
  AddScatter<ScatterSmaller, true>(registry, "ResourceScatterNdMin",
                                   "The smaller of slice and update.");
  AddScatter<ScatterSet>(registry, "ResourceScatterUpdate", "Replaces rows of the variable.");
  AddScatter<ScatterAddTo>(registry, "ResourceScatterAdd", "Adds to rows of the variable.");
  AddScatter<ScatterSubtract>(registry, "ResourceScatterSub", "Subtracts from rows.");
  AddScatter<ScatterMultiply>(registry, "ResourceScatterMul", "Multiplies rows of the variable.");
  AddScatter<ScatterDivide>(registry, "ResourceScatterDiv", "Divides rows of the variable.");
  AddScatter<ScatterLarger>(registry, "ResourceScatterMax", "The larger of row and update.");
  AddScatter<ScatterSmaller>(registry, "ResourceScatterMin", "The smaller of row and update.");
}

}  // namespace espalier
