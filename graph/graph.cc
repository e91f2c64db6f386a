// Tested by graph_test.cc.
#include "espalier/graph/graph.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "espalier/graph/control_flow_context.h"
#include "espalier/graph/node_builder.h"
#include "espalier/graph/scope.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
namespace {

constexpr int kProducerVersion = 1882;  // that of TensorFlow 2.21's graphs: our rules are the same
constexpr int64_t kMaxSeed = 2147483647;
constexpr int64_t kDefaultGraphSeed = 87654321;

// TensorFlow's unique_name: a repeated name costs constant time, not a search from 1.
std::string MakeUnique(const std::string& name, absl::flat_hash_map<std::string, int>& in_use) {
  const std::string base = absl::AsciiStrToLower(name);
  int i = in_use[base]++;
  if (i == 0) return name;
  std::string key;
  do {
    key = absl::StrCat(base, "_", i++);
  } while (in_use.contains(key));
  in_use[base] = i;
  in_use[key] = 1;
  return absl::StrCat(name, "_", i - 1);
}

}  // namespace

DType Output::dtype() const {
  return valid() && index_ >= 0 ? node_->output_dtype(index_) : kInvalidDType;
}

const Shape& Output::shape() const {
  static const Shape unknown = Shape::Unknown();
  return valid() && index_ >= 0 ? node_->output_shape(index_) : unknown;
}

std::string Output::name() const {
  return valid() ? absl::StrCat(node_->name(), ":", index_) : "<empty output>";
}

const OpTraits& Node::traits() const {
  static const OpTraits none;
  return schema_ == nullptr ? none : schema_->traits();
}

const AttrValue* Node::FindAttr(const std::string& name) const {
  const auto it = attrs_.find(name);
  return it == attrs_.end() ? nullptr : &it->second;
}

std::string Node::Describe() const {
  std::string text = absl::StrCat(op_, " node '", absl::CHexEscape(name_.substr(0, 256)), "'");
  if (line_.known()) {
    absl::StrAppend(&text, " (made at ", line_.ToString());
    if (inner_line_.known() && !(inner_line_ == line_))
      absl::StrAppend(&text, ", in ", inner_line_.ToString());
    text += ")";
  }
  return text;
}

Graph::Graph(const OpRegistry& registry) : registry_(&registry) {
  versions_.set_producer(kProducerVersion);
  versions_.set_min_consumer(0);
}

Graph::~Graph() = default;

Scope Graph::root() { return Scope(this); }

void Graph::RecordError(const absl::Status& status) {
  if (status_.ok()) status_ = status;
}

absl::StatusOr<Node*> Graph::AddNode(NodeSpec spec) {
  const auto error = [&](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat(DescribeSpec(spec), ": ", what));
  };
  if (finalized_) {
    return absl::FailedPreconditionError(
        absl::StrCat(DescribeSpec(spec), ": the graph is finalized"));
  }
  if (!IsValidNodeName(spec.name)) return error("the name contains invalid characters");
  if (nodes_by_name_.contains(spec.name)) return error("the node name is not unique in the graph");
  for (const Output& input : spec.inputs) {
    if (!input.valid()) continue;
    if (input.node()->graph() != this)
      return error(absl::StrCat("input ", input.name(), " belongs to another graph"));
    if (input.index() < 0 || input.index() >= std::max(input.node()->num_outputs(), 0)) {
      return error(absl::StrCat("input ", input.name(),
                                " does not exist: ", input.node()->Describe(), " has ",
                                input.node()->num_outputs(), " outputs"));
    }
  }
  for (const Node* control : spec.control_inputs) {
    if (control->graph() != this)
      return error(absl::StrCat("control input '", control->name(), "' belongs to another graph"));
  }

  const OpSchema* schema = registry_->Find(spec.op);
  ResolvedSignature signature;
  if (schema != nullptr) {
    ASSIGN_OR_RETURN(signature, ResolveSignature(*schema, spec));
  } else {
    if (spec.line.known()) {
      const std::string near = registry_->Suggest(spec.op);
      return absl::NotFoundError(
          absl::StrCat(DescribeSpec(spec), ": unknown op",
                       near.empty() ? "" : absl::StrCat("; did you mean ", near, "?")));
    }
    // Imported: kept whole; only a plan that needs it is refused.
    signature.attrs = spec.attrs;
    signature.input_is_ref.assign(spec.inputs.size(), false);
    signature.output_dtypes.assign(spec.unknown_op_outputs, kInvalidDType);
  }

  std::unique_ptr<Node> node(new Node());
  node->graph_ = this;
  node->id_ = num_nodes();
  node->name_ = std::move(spec.name);
  node->op_ = std::move(spec.op);
  node->schema_ = schema;
  node->device_ = std::move(spec.device);
  node->inputs_ = std::move(spec.inputs);
  node->input_is_ref_ = std::move(signature.input_is_ref);
  node->control_inputs_ = std::move(spec.control_inputs);
  std::sort(node->control_inputs_.begin(), node->control_inputs_.end(),
            [](const Node* a, const Node* b) { return a->id() < b->id(); });
  node->control_inputs_.erase(
      std::unique(node->control_inputs_.begin(), node->control_inputs_.end()),
      node->control_inputs_.end());
  node->output_dtypes_ = std::move(signature.output_dtypes);
  node->output_shapes_.assign(node->output_dtypes_.size(), Shape::Unknown());
  node->attrs_ = std::move(signature.attrs);
  node->context_ = spec.context;
  node->line_ = spec.line;
  node->inner_line_ = spec.inner_line;

  if (schema != nullptr) {
    InferenceContext inference(*node);
    if (absl::Status status = schema->shape_function()(inference); !status.ok()) {
      return absl::Status(status.code(), absl::StrCat(node->Describe(), ": ", status.message()));
    }
    node->output_shapes_ = inference.outputs();
  }
  Node* added = node.get();
  nodes_by_name_[added->name_] = added;
  names_in_use_.try_emplace(absl::AsciiStrToLower(added->name_), 1);
  nodes_.push_back(std::move(node));
  return added;
}

absl::Status Graph::SetBackEdge(Node* merge, int index, const Output& value) {
  if (index < 0 || index >= merge->num_inputs() || merge->inputs_[index].valid()) {
    return absl::InvalidArgumentError(
        absl::StrCat(merge->Describe(), ": no open back edge at input ", index));
  }
  if (!value.valid() || RemoveRef(value.dtype()) != RemoveRef(merge->output_dtype(0))) {
    return absl::InvalidArgumentError(absl::StrCat(
        merge->Describe(), ": the back edge must be ", DTypeName(merge->output_dtype(0)),
        ", received ", value.name(), " of type ", DTypeName(value.dtype())));
  }
  merge->inputs_[index] = value;
  return absl::OkStatus();
}

absl::Status Graph::SetShape(const Output& output, const Shape& shape) {
  Node& node = *nodes_[output.node()->id()];
  absl::StatusOr<Shape> merged = Shape::Merge(node.output_shapes_[output.index()], shape);
  if (!merged.ok()) {
    return absl::Status(merged.status().code(),
                        absl::StrCat(node.Describe(), ": ", merged.status().message()));
  }
  node.output_shapes_[output.index()] = *std::move(merged);
  return absl::OkStatus();
}

const Node* Graph::FindNode(const std::string& name) const {
  const auto it = nodes_by_name_.find(name);
  return it == nodes_by_name_.end() ? nullptr : it->second;
}

std::vector<std::string> Graph::NodeNames() const {
  std::vector<std::string> names;
  names.reserve(nodes_.size());
  for (const auto& node : nodes_) names.push_back(node->name());
  return names;
}

absl::StatusOr<Operation> Graph::FindOperation(const std::string& name) const {
  if (const Node* node = FindNode(name)) return Operation(node);
  const std::string near = NearestName(name, NodeNames());
  return absl::NotFoundError(
      absl::StrCat("the graph has no node '", absl::CHexEscape(name.substr(0, 256)), "'",
                   near.empty() ? "" : absl::StrCat("; did you mean '", near, "'?")));
}

absl::StatusOr<Output> Graph::FindOutput(const std::string& name) const {
  const size_t colon = name.rfind(':');
  int index = 0;
  if (colon != std::string::npos && !absl::SimpleAtoi(name.substr(colon + 1), &index)) {
    return absl::InvalidArgumentError(absl::StrCat("'", absl::CHexEscape(name.substr(0, 256)),
                                                   "' is no tensor name: expected 'node:index'"));
  }
  ASSIGN_OR_RETURN(Operation operation, FindOperation(name.substr(0, colon)));
  const Node* node = operation.node();
  if (node->schema() == nullptr && index >= node->num_outputs()) {
    return absl::NotFoundError(
        absl::StrCat(node->Describe(), ": the op ", node->op(), " is not known"));
  }
  if (index < 0 || index >= node->num_outputs()) {
    return absl::NotFoundError(absl::StrCat("there is no output ", index, ": ", node->Describe(),
                                            " has ", node->num_outputs(), " outputs"));
  }
  return node->output(index);
}

std::string Graph::UniqueName(const std::string& name) { return MakeUnique(name, names_in_use_); }

std::string Graph::UniqueVariableScope(const std::string& name) {
  return MakeUnique(name, variable_scopes_in_use_);
}

void Graph::AddToCollection(const std::string& key, const Output& item) {
  collections_[key].push_back(item);
}

void Graph::AddToCollection(const std::string& key, const Operation& item) {
  collections_[key].push_back(Output(item.node(), -1));
}

std::vector<Operation> Graph::collection(const std::string& key) const {
  std::vector<Operation> operations;
  for (const Output& item : collection_outputs(key)) operations.push_back(item);
  return operations;
}

std::vector<Output> Graph::collection_outputs(const std::string& key) const {
  const auto it = collections_.find(key);
  return it == collections_.end() ? std::vector<Output>() : it->second;
}

std::vector<std::string> Graph::collection_keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, items] : collections_) keys.push_back(key);
  return keys;
}

std::pair<int64_t, int64_t> Graph::NextSeeds(int64_t op_seed) {
  // tf.random.get_seed of TensorFlow 2.21 in graph mode: an op without a seed of its own takes the
  // number of such ops made before it.
  const auto truncate = [](int64_t seed) { return ((seed % kMaxSeed) + kMaxSeed) % kMaxSeed; };
  if (!seed_ && op_seed < 0) return {0, 0};
  const int64_t first = seed_ ? truncate(*seed_) : kDefaultGraphSeed;
  const int64_t second = truncate(op_seed >= 0 ? op_seed : seeded_ops_++);
  if (first == 0 && second == 0) return {0, kMaxSeed};
  return {first, second};
}

}  // namespace espalier
