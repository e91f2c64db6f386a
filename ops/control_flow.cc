// The primitives of dynamic control flow: Switch, Merge, Enter, Exit, NextIteration, LoopCond,
// ControlTrigger, and their ref forms. The executor (runtime/control_flow.cc) knows them by their
// traits. Tested by runtime/control_flow_test.cc.
#include "absl/strings/str_cat.h"
#include "espalier/graph/control_flow_import.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/examples.h"
#include "espalier/runtime/kernel.h"

namespace espalier {
namespace {

absl::Status SwitchShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(1, 0));
  c.set_output(0, c.input(0));
  c.set_output(1, c.input(0));
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeSwitch(const Node&) {
  return KernelFunction([](KernelContext& context) -> absl::Status {
    const Tensor& pred = context.input(1);
    if (pred.rank() != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("the predicate must be a scalar, received shape ", pred.shape().ToString()));
    }
    context.ForwardValue(0, pred.scalar<bool>() ? 1 : 0);
    return absl::OkStatus();
  });
}

absl::Status MergeShape(InferenceContext& c) {
  c.set_output(1, Shape());
  // Back edges are not known yet: their shape may differ.
  Shape merged;
  for (int i = 0; i < c.num_inputs(); ++i) {
    if (!c.node().input(i).valid()) return absl::OkStatus();
    const Shape& shape = c.input(i);
    if (i == 0) {
      merged = shape;
    } else if (!merged.has_rank() || merged.rank() != shape.rank()) {
      merged = Shape::Unknown();
    } else {
      for (int d = 0; d < merged.rank(); ++d) {
        if (merged.dim(d) != shape.dim(d)) merged.set_dim(d, -1);
      }
    }
  }
  c.set_output(0, merged);
  return absl::OkStatus();
}

absl::StatusOr<KernelFunction> MakeMerge(const Node&) {
  return KernelFunction([](KernelContext& context) -> absl::Status {
    for (int i = 0; i < context.num_inputs(); ++i) {
      if (!context.has_input(i)) continue;
      context.ForwardValue(i, 0);
      context.set_output(1, Tensor(static_cast<int32_t>(i)));
      return absl::OkStatus();
    }
    return absl::InternalError("a Merge ran without a live input");
  });
}

absl::StatusOr<KernelFunction> MakeForward(const Node&) {
  return KernelFunction([](KernelContext& context) {
    if (context.num_outputs() > 0) context.ForwardValue(0, 0);
    return absl::OkStatus();
  });
}

std::vector<Output> Fail(const GradientContext& g, const absl::Status& status) {
  g.scope().graph()->RecordError(AtNode(status, g.node()));
  return {};
}

// What flows into a branch through a Switch flows back through a Merge; the side that was not taken
// gives zeros.
std::vector<Output> SwitchGradient(const GradientContext& g) {
  // A Switch stands in the branch that it leads into, but outside when both sides use it.
  CondContext* branch = g.node().context() == nullptr ? nullptr : g.node().context()->AsCond();
  const bool inside = branch != nullptr && PredicateRoot(branch->pred()) == PredicateRoot(g.x(1));
  const absl::StatusOr<ControlFlowContext*> place =
      g.PlaceOf(inside ? branch->parent() : g.node().context());
  if (!place.ok()) return Fail(g, place.status());
  const At outside(g.scope().WithContext(*place), g.node().line());
  const auto side = [&](int i) {
    if (g.dy_or_empty(i).valid()) return g.dy_or_empty(i);
    const Node* again = AddOp(outside, "Switch", {g.x(0), g.x(1)});
    if (again == nullptr) return Output();
    const At raw(outside.scope().WithRawContext(*place), g.node().line());
    Output value = again->output(i);
    if (value.dtype() == kResource) {  // the handle of a variable stands for its value
      value =
          AddOpOutput(raw, "ReadVariableOp", {value}, {{"dtype", g.dy_or_empty(1 - i).dtype()}});
    }
    return AddOpOutput(raw, "ZerosLike", {value});
  };
  const Output zero = side(0);
  const Output one = side(1);
  if (!zero.valid() || !one.valid()) return {};
  return {AddOpOutput(At(outside.scope().WithRawContext(*place), g.node().line()), "Merge",
                      {zero, one}),
          Output()};
}

// The gradient of what came out of a branch goes into that branch, through a Switch of its own.
std::vector<Output> MergeGradient(const GradientContext& g) {
  std::vector<Output> gradients;
  for (int i = 0; i < g.node().num_inputs(); ++i) {
    ControlFlowContext* branch = g.x(i).node()->context();
    if (branch == g.node().context()) {
      return Fail(g, absl::UnimplementedError(
                         "the gradient needs the branches of the Cond or the loop, which cannot "
                         "be told from this graph"));
    }
    const absl::StatusOr<ControlFlowContext*> place = g.PlaceOf(branch);
    if (!place.ok()) return Fail(g, place.status());
    const absl::StatusOr<Output> captured = CaptureInto(*place, g.dy());
    if (!captured.ok()) return Fail(g, captured.status());
    gradients.push_back(*captured);
  }
  return gradients;
}

// Loops are differentiated as a whole (graph/differentiate_loop.cc). What is left is the constant
// Enter of the iteration in which Gradients was called.
std::vector<Output> EnterGradient(const GradientContext& g) {
  if (IsLoopConstant(g.node())) return {g.dy()};
  return Fail(g, absl::UnimplementedError("the gradient of a loop's variable within the loop"));
}
std::vector<Output> LoopGradient(const GradientContext& g) {
  return Fail(g, absl::UnimplementedError(
                     "the gradient needs the loop around, which cannot be told from this graph"));
}

OpSchema& AddSwitch(OpRegistry& registry, const char* name, const char* doc, bool ref) {
  OpSchema& op = registry.Add(name).Doc(doc);
  if (ref) {
    op.RefIn("data", "T").In("pred", kBool).RefOut("output_false", "T").RefOut("output_true", "T");
  } else {
    op.In("data", "T").In("pred", kBool).Out("output_false", "T").Out("output_true", "T");
  }
  return op.TypeAttr("T")
      .Traits({.is_switch = true, .forwards_ref = ref})
      .Shape(SwitchShape)
      .Kernel(MakeSwitch)
      .Gradient(SwitchGradient)
      .NoExample("one of its outputs is dead; runtime/control_flow_test.cc runs it");
}

OpSchema& AddMerge(OpRegistry& registry, const char* name, const char* doc, bool ref) {
  OpSchema& op = registry.Add(name).Doc(doc);
  if (ref) {
    op.RefInList("inputs", "N", "T").RefOut("output", "T");
  } else {
    op.InList("inputs", "N", "T").Out("output", "T");
  }
  return op.Out("value_index", kInt32)
      .Attr("N", 1)
      .Minimum(1)
      .TypeAttr("T")
      .Traits({.is_merge = true, .forwards_ref = ref})
      .Shape(MergeShape)
      .Kernel(MakeMerge)
      .Gradient(MergeGradient)
      .NoExample("its inputs come alive one at a time; runtime/control_flow_test.cc runs it");
}

OpSchema& AddLoopOp(OpRegistry& registry, const char* name, const char* doc, OpTraits traits,
                    bool ref) {
  OpSchema& op = registry.Add(name).Doc(doc);
  traits.forwards_ref = ref;
  if (ref) {
    op.RefIn("data", "T").RefOut("output", "T");
  } else {
    op.In("data", "T").Out("output", "T");
  }
  return op.TypeAttr("T")
      .Traits(traits)
      .Kernel(MakeForward)
      .Gradient(traits.is_enter ? EnterGradient : LoopGradient)
      .NoExample("it needs a loop; runtime/control_flow_test.cc runs it");
}

void AddEnter(OpRegistry& registry, const char* name, bool ref) {
  AddLoopOp(registry, name,
            "Brings a tensor into the frame of a loop; a constant one into every iteration.",
            {.is_enter = true}, ref)
      .RequiredAttr("frame_name", AttrKind::kString)
      .Attr("is_constant", false)
      .Attr("parallel_iterations", 10)
      .Shape([](InferenceContext& c) {
        if (c.node().attr<bool>("is_constant")) c.set_output(0, c.input(0));
        return absl::OkStatus();
      });
}

}  // namespace

void RegisterControlFlow(OpRegistry& registry) {
  AddSwitch(registry, "Switch",
            "Data to output_true when pred holds, else to output_false; the other is dead.", false);
  AddSwitch(registry, "RefSwitch", "Switch for variables.", true);
  AddMerge(registry, "Merge", "The input that is alive, and its index.", false);
  AddMerge(registry, "RefMerge", "Merge for variables.", true);
  AddEnter(registry, "Enter", false);
  AddEnter(registry, "RefEnter", true);
  for (const bool ref : {false, true}) {
    AddLoopOp(registry, ref ? "RefExit" : "Exit",
              "Takes the value of the last iteration out of the loop.", {.is_exit = true}, ref)
        .Shape(UnchangedShape);
    AddLoopOp(registry, ref ? "RefNextIteration" : "NextIteration",
              "Hands a value to the next iteration.", {.is_next_iteration = true}, ref)
        .Shape(UnchangedShape);
  }
  registry.Add("LoopCond")
      .Doc("The condition of a loop.")
      .In("input", kBool)
      .Out("output", kBool)
      .Traits({.is_loop_cond = true})
      .Shape(UnchangedShape)
      .Kernel(MakeForward)
      .NotDifferentiable("its output is bool")
      .NoExample("it needs a loop; runtime/control_flow_test.cc runs it");
  registry.Add("ControlTrigger")
      .Doc("Does nothing; runs even when a control input is dead.")
      .Traits({.is_control_trigger = true})
      .Shape(NoOutputs)
      .Kernel(MakeForward)
      .NotDifferentiable("it has no inputs")
      .Example({.name = "nothing"});
}

}  // namespace espalier
