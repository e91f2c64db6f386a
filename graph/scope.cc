// Tested by graph_test.cc.
#include "espalier/graph/scope.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "espalier/graph/control_flow_context.h"
#include "espalier/graph/status_macros.h"
#include "espalier/graph/while_loop.h"

namespace espalier {

Scope::Scope(Graph* graph) {
  auto properties = std::make_shared<Properties>();
  properties->graph = graph;
  properties_ = std::move(properties);
}

Scope Scope::Named(const std::string& name) const {
  auto child = Copy();
  child->next_name = name;
  return Scope(std::move(child));
}

Scope Scope::WithExactName(const std::string& full_name) const {
  auto child = Copy();
  child->exact_name = full_name;
  return Scope(std::move(child));
}

Scope Scope::NameScope(const std::string& name) const {
  auto child = Copy();
  child->name_prefix = absl::StrCat(graph()->UniqueName(properties_->name_prefix + name), "/");
  child->next_name.clear();
  return Scope(std::move(child));
}

Scope Scope::WithControlDependencies(const std::vector<Operation>& operations) const {
  auto child = Copy();
  for (const Operation& operation : operations) {
    if (operation.valid()) child->control_dependencies.push_back(operation.node());
  }
  return Scope(std::move(child));
}

Scope Scope::WithoutControlDependencies() const {
  auto child = Copy();
  child->control_dependencies.clear();
  return Scope(std::move(child));
}

Scope Scope::WithVariableScope(const std::string& name) const {
  auto child = Copy();
  absl::StrAppend(&child->variable_prefix, name, "/");
  child->name_prefix = absl::StrCat(graph()->UniqueName(properties_->name_prefix + name), "/");
  child->next_name.clear();
  return Scope(std::move(child));
}

Scope Scope::WithReuse(bool reuse) const {
  auto child = Copy();
  child->reuse = reuse;
  return Scope(std::move(child));
}

Scope Scope::ForVariables() const {
  auto child = Copy();
  child->control_dependencies.clear();
  child->context = nullptr;
  child->captures = true;
  return Scope(std::move(child));
}

Scope Scope::WithContext(ControlFlowContext* context) const {
  auto child = Copy();
  child->context = context;
  child->captures = true;
  return Scope(std::move(child));
}

Scope Scope::WithRawContext(ControlFlowContext* context) const {
  auto child = Copy();
  child->context = context;
  child->captures = false;
  return Scope(std::move(child));
}

Scope Scope::WithOrigin(const SourceLine& line, const SourceLine& inner) const {
  auto child = Copy();
  child->origin = line;
  child->inner_origin = inner;
  return Scope(std::move(child));
}

Expression Scope::operator()(const Output& output, SourceLine line) const {
  if (!output.valid() || !captures()) return Expression(*this, output, line);
  absl::StatusOr<Output> captured = CaptureInto(context(), output);
  if (!captured.ok()) {
    graph()->RecordError(captured.status());
    return Expression(*this, Output(), line);
  }
  return Expression(*this, *captured, line);
}

namespace {

// `control`, a node outside of the scope's loop, as one inside that is made after it: control edges
// do not reach into frames, values do.
absl::StatusOr<const Node*> BringIn(const Scope& scope, const Node* control) {
  Output value;
  if (control->num_outputs() > 0) {
    value = control->output(0);
  } else {
    const Scope there = scope.WithoutControlDependencies().WithRawContext(control->context());
    value = ConstScalar(At(there.WithControlDependencies({Operation(control)})), kInt32, 0);
    if (!value.valid()) return scope.graph()->status();
  }
  ASSIGN_OR_RETURN(const Output inside, CaptureInto(scope.context(), value));
  return inside.node();
}

absl::Status AddControls(const Scope& scope, NodeSpec& spec) {
  const WhileContext* loop = InnermostLoop(scope.context());
  const OpSchema* schema = scope.graph()->registry().Find(spec.op);
  const bool outlives_branches = schema != nullptr && schema->traits().is_control_trigger;
  for (const Node* control : scope.control_dependencies()) {
    if (control->graph() != scope.graph()) {
      spec.control_inputs.push_back(control);  // AddNode says so
      continue;
    }
    const bool fits = outlives_branches ? InnermostLoop(control->context()) == loop
                                        : Encloses(control->context(), scope.context());
    if (!fits) {
      return absl::InvalidArgumentError(
          absl::StrCat("its control dependency ", control->Describe(), " was made inside a ",
                       control->context()->AsWhile() != nullptr
                           ? "loop, where it runs once for each iteration"
                           : "branch, and would stop this node whenever the branch is not taken"));
    }
    if (scope.captures() && InnermostLoop(control->context()) != loop) {
      ASSIGN_OR_RETURN(control, BringIn(scope, control));
    }
    spec.control_inputs.push_back(control);
  }
  if (scope.context() == nullptr) return absl::OkStatus();
  // A node that has no data input, or only what a loop finds the same in every iteration, would run
  // although the context does not: the pivot holds it back.
  const bool free = std::all_of(spec.inputs.begin(), spec.inputs.end(), [&](const Output& input) {
    return scope.captures() && IsLoopConstant(*input.node());
  });
  if (free) spec.control_inputs.push_back(scope.context()->pivot().node());
  return absl::OkStatus();
}

}  // namespace

const Node* AddOp(const At& at, const std::string& op, const std::vector<Output>& inputs,
                  AttrMap attrs) {
  const Scope& scope = at.scope();
  Graph* graph = scope.graph();
  NodeSpec spec;
  spec.op = op;
  spec.attrs = std::move(attrs);
  spec.context = scope.context();
  spec.line = scope.origin().known() ? scope.origin() : at.line();
  spec.inner_line = scope.inner_origin().known() ? scope.inner_origin() : at.line();
  const std::string& wanted = scope.next_name().empty() ? op : scope.next_name();
  const auto fail = [&](const absl::Status& status) {
    graph->RecordError(status);
    return nullptr;
  };
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].valid()) continue;
    // An empty input is the trace of an earlier error, or the caller's own.
    return fail(absl::InvalidArgumentError(absl::StrCat(op, " node '", scope.name_prefix(), wanted,
                                                        "' (made at ", spec.line.ToString(),
                                                        "): input ", i, " is an empty Output")));
  }
  spec.inputs = inputs;
  if (scope.captures()) {
    for (Output& input : spec.inputs) {
      if (input.node()->graph() != graph) continue;  // AddNode says so
      absl::StatusOr<Output> captured = CaptureInto(scope.context(), input);
      if (!captured.ok()) {
        return fail(
            absl::Status(captured.status().code(),
                         absl::StrCat(op, " node '", scope.name_prefix(), wanted, "' (made at ",
                                      spec.line.ToString(), "): ", captured.status().message())));
      }
      input = *captured;
    }
  }
  if (absl::Status status = AddControls(scope, spec); !status.ok()) {
    return fail(absl::Status(status.code(),
                             absl::StrCat(op, " node '", scope.name_prefix(), wanted, "' (made at ",
                                          spec.line.ToString(), "): ", status.message())));
  }
  const bool exact = !scope.exact_name().empty() && graph->FindNode(scope.exact_name()) == nullptr;
  spec.name = exact ? scope.exact_name() : graph->UniqueName(scope.name_prefix() + wanted);
  absl::StatusOr<Node*> node = graph->AddNode(std::move(spec));
  if (!node.ok()) return fail(node.status());
  return *node;
}

Output AddOpOutput(const At& at, const std::string& op, const std::vector<Output>& inputs,
                   AttrMap attrs) {
  const Node* node = AddOp(at, op, inputs, std::move(attrs));
  return node == nullptr || node->num_outputs() == 0 ? Output() : node->output(0);
}

Output Const(const At& at, const Tensor& value) {
  if (!value.valid()) {
    at.scope().graph()->RecordError(
        absl::InvalidArgumentError(absl::StrCat("Const (made at ", at.line().ToString(),
                                                "): the tensor is empty, or has another number of "
                                                "values than its shape asks for")));
    return Output();
  }
  return AddOpOutput(at, "Const", {}, {{"value", value}, {"dtype", value.dtype()}});
}

Output ConstScalar(const At& at, DType dtype, double value) {
  const Tensor scalar = DispatchType(PlainTypes(), RemoveRef(dtype),
                                     [&]<typename T>() { return Tensor(static_cast<T>(value)); });
  if (!scalar.valid()) return Output();  // the operand is empty or of a type without numbers
  const Scope named = at.scope().next_name().empty() ? at.scope() : at.scope().Named("");
  return Const(At(named, at.line()), scalar);
}

Expression Expression::Binary(const char* op, const Output& other) const {
  return Expression(scope_, AddOpOutput(At(scope_, line_), op, {output_, other}), line_);
}

Expression operator-(const Expression& a) {
  return Expression(a.scope_, AddOpOutput(At(a.scope_, a.line_), "Neg", {a.output_}), a.line_);
}

}  // namespace espalier
