// Tested by gradients_test.cc.
//
// The executor's algorithm run backwards: each node between ys and xs waits until the gradients of
// all its consumers have arrived, then its own gradient function runs. An explicit queue, so a
// chain of 100,000 nodes needs no stack.
#include "espalier/graph/gradients.h"

#include <queue>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "espalier/graph/cond.h"

namespace espalier {
namespace {

// Gradients reach a resource variable through its handle.
bool CarriesGradient(DType type) { return IsDifferentiable(type) || type == kResource; }

bool CutsGradient(const Node& node) {
  return node.schema() != nullptr && !node.schema()->not_differentiable().empty();
}

class Differentiator {
 public:
  Differentiator(const At& at, const std::vector<Output>& ys, const std::vector<Output>& xs,
                 const GradientsOptions& options)
      : graph_(at.scope().graph()),
        scope_(at.Inside().NameScope("gradients")),
        ys_(ys),
        xs_(xs),
        options_(options),
        stops_(options.stop_gradients.begin(), options.stop_gradients.end()),
        x_set_(xs.begin(), xs.end()) {}

  std::vector<Output> Run() {
    if (!graph_->status().ok()) return std::vector<Output>(xs_.size());
    if (absl::Status status = Check(); !status.ok()) return Fail(status);
    MarkBetween();
    CountPending();
    Seed();
    while (!ready_.empty()) {
      const Node* node = ready_.front();
      ready_.pop();
      if (absl::Status status = Differentiate(*node); !status.ok()) return Fail(status);
    }
    std::vector<Output> gradients;
    for (const Output& x : xs_) gradients.push_back(Total(x));
    if (!graph_->status().ok()) return std::vector<Output>(xs_.size());
    return gradients;
  }

 private:
  std::vector<Output> Fail(const absl::Status& status) {
    graph_->RecordError(status);
    return std::vector<Output>(xs_.size());
  }

  absl::Status Check() const {
    for (const std::vector<Output>* list : {&ys_, &xs_}) {
      for (const Output& output : *list) {
        if (!output.valid())
          return absl::InvalidArgumentError("Gradients: an x or y is an empty Output");
        if (output.node()->graph() != graph_) {
          return absl::InvalidArgumentError(
              absl::StrCat("Gradients: ", output.name(), " belongs to another graph"));
        }
      }
    }
    for (const Output& y : ys_) {
      if (!IsDifferentiable(y.dtype())) {
        return absl::InvalidArgumentError(absl::StrCat("Gradients: y must be floating, received ",
                                                       y.name(), " of type ",
                                                       DTypeName(y.dtype())));
      }
    }
    if (!options_.grad_ys.empty() && options_.grad_ys.size() != ys_.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("Gradients: grad_ys must have one entry for each of the ", ys_.size(),
                       " ys, received ", options_.grad_ys.size()));
    }
    for (size_t i = 0; i < options_.grad_ys.size(); ++i) {
      const Output& given = options_.grad_ys[i];
      if (!given.valid()) continue;
      if (RemoveRef(given.dtype()) != RemoveRef(ys_[i].dtype()) ||
          !Shape::Compatible(given.shape(), ys_[i].shape())) {
        return absl::InvalidArgumentError(absl::StrCat(
            "Gradients: grad_ys[", i, "] must be ", DTypeName(RemoveRef(ys_[i].dtype())),
            ys_[i].shape().ToString(), " like ", ys_[i].name(), ", received ",
            DTypeName(given.dtype()), given.shape().ToString()));
      }
    }
    return absl::OkStatus();
  }

  // between_: nodes that some y depends on and that depend on some x, along edges that carry a
  // gradient.
  void MarkBetween() {
    std::vector<const Node*> backward;
    absl::flat_hash_set<const Node*> reached;
    for (const Output& y : ys_) {
      if (reached.insert(y.node()).second) backward.push_back(y.node());
    }
    for (size_t i = 0; i < backward.size(); ++i) {
      if (CutsGradient(*backward[i])) continue;
      for (const Output& input : backward[i]->inputs()) {
        if (!CarriesGradient(input.dtype()) || stops_.contains(input)) continue;
        if (reached.insert(input.node()).second) backward.push_back(input.node());
      }
    }
    // Consumers among the reached nodes, to walk forward from the xs.
    absl::flat_hash_map<const Node*, std::vector<std::pair<const Node*, int>>> consumers;
    for (const Node* node : backward) {
      for (int i = 0; i < node->num_inputs(); ++i) {
        consumers[node->input(i).node()].push_back({node, node->input(i).index()});
      }
    }
    std::vector<const Node*> forward;
    const auto step = [&](const Output& from) {
      if (stops_.contains(from) || !CarriesGradient(from.dtype())) return;
      const auto it = consumers.find(from.node());
      if (it == consumers.end()) return;
      for (const auto& [consumer, index] : it->second) {
        if (index != from.index() || CutsGradient(*consumer)) continue;
        if (between_.insert(consumer).second) forward.push_back(consumer);
      }
    };
    for (const Output& x : x_set_) step(x);
    for (size_t i = 0; i < forward.size(); ++i) {
      for (int o = 0; o < forward[i]->num_outputs(); ++o) step(forward[i]->output(o));
    }
  }

  // How many uses of each node's outputs, by nodes between, will send a gradient.
  void CountPending() {
    for (const Node* node : between_) {
      pending_.try_emplace(node, 0);
      for (const Output& input : node->inputs()) ++pending_[input.node()];
    }
  }

  void Seed() {
    absl::flat_hash_set<const Node*> y_nodes;
    for (size_t i = 0; i < ys_.size(); ++i) {
      const Output& y = ys_[i];
      const bool given = !options_.grad_ys.empty() && options_.grad_ys[i].valid();
      const Scope in_branch =
          scope_.WithContext(y.node()->context()).Named("grad_ys_" + std::to_string(i));
      arrived_[y].push_back(given ? options_.grad_ys[i]
                                  : AddOpOutput(At(in_branch), "OnesLike", {y}));
      y_nodes.insert(y.node());
    }
    for (const Output& y : ys_) {
      const auto pending = pending_.find(y.node());
      if (between_.contains(y.node()) && pending->second == 0 && y_nodes.erase(y.node()) > 0) {
        ready_.push(y.node());
      }
    }
  }

  // The sum of what has arrived at `output`; kept, so that it is built once.
  Output Total(const Output& output) {
    const auto it = arrived_.find(output);
    if (it == arrived_.end()) return Output();
    std::vector<Output>& parts = it->second;
    if (parts.size() > 1) {
      const Scope in_branch = ScopeFor(*output.node()).WithContext(output.node()->context());
      parts = {AddOpOutput(At(in_branch), "AddN", parts)};
    }
    return parts[0];
  }

  // Where the gradient nodes of `node` go: its branch, its line.
  Scope ScopeFor(const Node& node) const {
    return scope_.WithOrigin(node.line().known() ? node.line() : scope_.origin(),
                             node.inner_line());
  }

  absl::Status Differentiate(const Node& node) {
    std::vector<Output> output_gradients;
    bool any = false;
    for (int i = 0; i < node.num_outputs(); ++i) {
      output_gradients.push_back(stops_.contains(node.output(i)) ? Output()
                                                                 : Total(node.output(i)));
      any = any || output_gradients.back().valid();
    }
    std::vector<Output> input_gradients(node.num_inputs());
    if (any) {
      const OpSchema* schema = node.schema();
      if (schema == nullptr || schema->gradient() == nullptr) {
        if (schema == nullptr || !CutsGradient(node)) {
          return absl::UnimplementedError(
              absl::StrCat(node.Describe(), ": no gradient is known",
                           schema == nullptr ? " (unknown op)"
                                             : absl::StrCat(": ", schema->gradient_missing())));
        }
      } else {
        const Scope scope =
            ScopeFor(node).WithContext(node.context()).NameScope(node.name() + "_grad");
        input_gradients =
            schema->gradient()(GradientContext(scope, node, std::move(output_gradients)));
        if (!graph_->status().ok()) return graph_->status();
        input_gradients.resize(node.num_inputs());
      }
    }
    for (int i = 0; i < node.num_inputs(); ++i) {
      const Output& input = node.input(i);
      if (input_gradients[i].valid() && CarriesGradient(input.dtype())) {
        arrived_[input].push_back(input_gradients[i]);
      }
      if (--pending_[input.node()] == 0 && between_.contains(input.node()))
        ready_.push(input.node());
    }
    return absl::OkStatus();
  }

  Graph* graph_;
  Scope scope_;
  const std::vector<Output>& ys_;
  const std::vector<Output>& xs_;
  const GradientsOptions& options_;
  absl::flat_hash_set<Output> stops_;
  absl::flat_hash_set<Output> x_set_;
  absl::flat_hash_set<const Node*> between_;
  absl::flat_hash_map<const Node*, int> pending_;
  absl::flat_hash_map<Output, std::vector<Output>> arrived_;
  std::queue<const Node*> ready_;
};

}  // namespace

std::vector<Output> Gradients(const At& at, const std::vector<Output>& ys,
                              const std::vector<Output>& xs, const GradientsOptions& options) {
  return Differentiator(at, ys, xs, options).Run();
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
  const Output shape = g.Op("Shape", {input});
  const Node* axes = g.OpNode("BroadcastGradientArgs", {shape, g.Op("Shape", {other})});
  if (axes == nullptr) return Output();
  const Output sum = g.Op("Sum", {gradient, axes->output(0)}, {{"keep_dims", false}});
  return g.Op("Reshape", {sum, shape});
}

}  // namespace espalier
