// Tested by gradients_test.cc.
#include "espalier/graph/gradients.h"

#include "absl/strings/str_cat.h"
#include "espalier/graph/differentiator.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
namespace {

absl::Status Check(const Graph* graph, const std::vector<Output>& ys, const std::vector<Output>& xs,
                   const GradientsOptions& options) {
  for (const std::vector<Output>* list : {&ys, &xs}) {
    for (const Output& output : *list) {
      if (!output.valid())
        return absl::InvalidArgumentError("Gradients: an x or y is an empty Output");
      if (output.node()->graph() != graph) {
        return absl::InvalidArgumentError(
            absl::StrCat("Gradients: ", output.name(), " belongs to another graph"));
      }
    }
  }
  for (const Output& y : ys) {
    if (!IsDifferentiable(y.dtype())) {
      return absl::InvalidArgumentError(absl::StrCat("Gradients: y must be floating, received ",
                                                     y.name(), " of type ", DTypeName(y.dtype())));
    }
  }
  if (!options.grad_ys.empty() && options.grad_ys.size() != ys.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("Gradients: grad_ys must have one entry for each of the ", ys.size(),
                     " ys, received ", options.grad_ys.size()));
  }
  for (size_t i = 0; i < options.grad_ys.size(); ++i) {
    const Output& given = options.grad_ys[i];
    if (!given.valid()) continue;
    if (RemoveRef(given.dtype()) != RemoveRef(ys[i].dtype()) ||
        !Shape::Compatible(given.shape(), ys[i].shape())) {
      return absl::InvalidArgumentError(
          absl::StrCat("Gradients: grad_ys[", i, "] must be ", DTypeName(RemoveRef(ys[i].dtype())),
                       ys[i].shape().ToString(), " like ", ys[i].name(), ", received ",
                       DTypeName(given.dtype()), given.shape().ToString()));
    }
  }
  return absl::OkStatus();
}

// Gradients lead out of no loop: ys stand in one, and every x in it or around it.
absl::Status CheckLoops(const std::vector<Output>& ys, const std::vector<Output>& xs) {
  if (ys.empty()) return absl::OkStatus();
  const WhileContext* loop = InnermostLoop(ys[0].node()->context());
  for (const Output& y : ys) {
    if (InnermostLoop(y.node()->context()) != loop) {
      return absl::InvalidArgumentError(
          absl::StrCat("Gradients: ", ys[0].name(), " and ", y.name(), " are of different loops"));
    }
  }
  for (const Output& x : xs) {
    if (!Encloses(InnermostLoop(x.node()->context()), loop)) {
      return absl::InvalidArgumentError(
          absl::StrCat("Gradients: x ", x.name(), " is of a loop that ", ys[0].name(),
                       " is outside of: it has another value in every iteration"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool CutsGradient(const Node& node) {
  return node.schema() != nullptr && !node.schema()->not_differentiable().empty();
}

std::vector<Output> Gradients(const At& at, const std::vector<Output>& ys,
                              const std::vector<Output>& xs, const GradientsOptions& options) {
  Graph* graph = at.scope().graph();
  const auto build = [&]() -> absl::StatusOr<std::vector<Output>> {
    RETURN_IF_ERROR(graph->status());
    RETURN_IF_ERROR(Check(graph, ys, xs, options));
    RETURN_IF_ERROR(CheckLoops(ys, xs));
    LoopStructures loops(*graph);
    ContextMirrors mirrors;
    DifferentiationState state = {at.Inside().NameScope("gradients"), loops, mirrors};
    const absl::flat_hash_set<Output> stops(options.stop_gradients.begin(),
                                            options.stop_gradients.end());
    ASSIGN_OR_RETURN(std::vector<Output> gradients,
                     Differentiator(state, ys, options.grad_ys, xs, stops).Run());
    RETURN_IF_ERROR(graph->status());
    return gradients;
  };
  absl::StatusOr<std::vector<Output>> gradients = build();
  if (gradients.ok()) return *std::move(gradients);
  graph->RecordError(gradients.status());
  return std::vector<Output>(xs.size());
}

std::string ExplainNoGradient(const Output& y, const Output& x) {
  // Walk back from y; remember where a path that reaches x was cut.
  std::vector<const Node*> queue = {y.node()};
  absl::flat_hash_set<const Node*> reached = {y.node()};
  std::string cut;
  for (size_t i = 0; i < queue.size(); ++i) {
    if (cut.empty() && CutsGradient(*queue[i])) {
      cut = absl::StrCat(queue[i]->Describe(),
                         " is not differentiable: ", queue[i]->schema()->not_differentiable());
    }
    for (const Output& input : queue[i]->inputs()) {
      if (reached.insert(input.node()).second) queue.push_back(input.node());
    }
  }
  if (!reached.contains(x.node())) return absl::StrCat(y.name(), " does not depend on ", x.name());
  return absl::StrCat("the path from ", y.name(), " to ", x.name(), " is cut",
                      cut.empty() ? " where its type is not floating" : ": " + cut);
}

Output GradientContext::dy(int i) const {
  if (output_gradients_[i].valid()) return output_gradients_[i];
  return Op("ZerosLike", {y(i)});
}

Output GradientContext::Op(const char* op, const std::vector<Output>& inputs, AttrMap attrs) const {
  return AddOpOutput(At(scope_, node_.line()), op, inputs, std::move(attrs));
}

const Node* GradientContext::OpNode(const char* op, const std::vector<Output>& inputs,
                                    AttrMap attrs) const {
  return AddOp(At(scope_, node_.line()), op, inputs, std::move(attrs));
}

Output GradientContext::ShapeOf(const Output& tensor, DType type) const {
  // In a loop the forward iteration keeps its shape, rather than the whole tensor for it.
  const Node& home = *tensor.node();
  const Scope& place = scope_.context() == home.context() || IsLoopConstant(home)
                           ? scope_
                           : scope_.WithContext(home.context());
  return AddOpOutput(At(place, node_.line()), "Shape", {tensor}, {{"out_type", type}});
}

absl::StatusOr<ControlFlowContext*> GradientContext::PlaceOf(ControlFlowContext* forward) const {
  return mirrors_ == nullptr ? forward : mirrors_->Of(forward);
}

Output GradientContext::Scalar(const Output& like, double value) const {
  return ConstScalar(At(scope_, node_.line()), like.dtype(), value);
}

Output GradientContext::Int32s(const std::vector<int32_t>& values) const {
  return Const(At(scope_, node_.line()),
               Tensor::FromVector<int32_t>({static_cast<int64_t>(values.size())}, values));
}

Output SumToShapeOf(const GradientContext& g, const Output& gradient, const Output& input,
                    const Output& other) {
  const Shape& a = input.shape();
  const Shape& b = other.shape();
  if (a.IsFullyKnown() && a == b) return gradient;
  const Output shape = g.ShapeOf(input);
  const Node* axes = g.OpNode("BroadcastGradientArgs", {shape, g.ShapeOf(other)});
  if (axes == nullptr) return Output();
  const Output sum = g.Op("Sum", {gradient, axes->output(0)}, {{"keep_dims", false}});
  return g.Op("Reshape", {sum, shape});
}

}  // namespace espalier
