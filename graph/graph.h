// The graph: nodes, their outputs, and collections.
//
//   Graph graph;                                   // over the built-in ops
//   Scope s = graph.root();
//   Output x = Placeholder(s.Named("x"), kFloat, {-1, 2});
//   Output y = MatMul(s, x, Const(s, Tensor::Of<float>({2, 1}, {1, 2})));
//   graph.status();                                // OK, or the first error that a builder met
//   y.node()->name();                              // "MatMul"
//   y.node()->line().ToString();                   // "my_program.cc:5"
//
// Built by one thread at a time. Sessions only read; nodes never change once they are made (but for
// the back edges of loops) and live as long as the graph, so a Node* stays good. Make no nodes
// while a Session compiles: give a Session its whole graph first, or call Finalize.
#ifndef ESPALIER_GRAPH_GRAPH_H_
#define ESPALIER_GRAPH_GRAPH_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "espalier/graph/attr.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/source_line.h"

namespace espalier {

class ControlFlowContext;  // graph/control_flow_context.h
class Graph;
class Node;
class Scope;

// One output of a node, or nothing. A small value; good as long as its Graph.
class Output {
 public:
  Output() = default;
  Output(const Node* node, int index) : node_(node), index_(index) {}

  const Node* node() const { return node_; }
  int index() const { return index_; }
  // False for an empty Output: what a failed builder returns.
  bool valid() const { return node_ != nullptr; }
  // The element type; a ref type for a variable. kInvalidDType when empty.
  DType dtype() const;
  // What is known at build time; unknown when empty.
  const Shape& shape() const;
  // "name:index".
  std::string name() const;

  friend bool operator==(const Output&, const Output&) = default;
  friend auto operator<=>(const Output&, const Output&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Output& o) {
    return H::combine(std::move(h), o.node_, o.index_);
  }

 private:
  const Node* node_ = nullptr;
  int index_ = 0;
};

// A node as something to run or to wait for. An Output converts to the Operation that makes it.
class Operation {
 public:
  Operation() = default;
  explicit Operation(const Node* node) : node_(node) {}
  Operation(const Output& output) : node_(output.node()) {}  // NOLINT(google-explicit-constructor)

  const Node* node() const { return node_; }
  bool valid() const { return node_ != nullptr; }
  friend bool operator==(const Operation&, const Operation&) = default;

 private:
  const Node* node_ = nullptr;
};

class Node {
 public:
  Node(const Node&) = delete;  // Outputs point at it
  Node& operator=(const Node&) = delete;

  Graph* graph() const { return graph_; }
  // The position in the order of creation (of the file, in an imported graph).
  int id() const { return id_; }
  const std::string& name() const { return name_; }
  const std::string& op() const { return op_; }
  // Null for an op that the registry does not know.
  const OpSchema* schema() const { return schema_; }
  const OpTraits& traits() const;
  const std::string& device() const { return device_; }

  int num_inputs() const { return static_cast<int>(inputs_.size()); }
  const Output& input(int i) const { return inputs_[i]; }
  absl::Span<const Output> inputs() const { return inputs_; }
  // True when input i takes the variable itself rather than its value.
  bool input_is_ref(int i) const { return input_is_ref_[i]; }
  absl::Span<const Node* const> control_inputs() const { return control_inputs_; }

  int num_outputs() const { return static_cast<int>(output_dtypes_.size()); }
  Output output(int i) const { return Output(this, i); }
  DType output_dtype(int i) const { return output_dtypes_[i]; }
  const Shape& output_shape(int i) const { return output_shapes_[i]; }

  const AttrMap& attrs() const { return attrs_; }
  // Null when absent.
  const AttrValue* FindAttr(const std::string& name) const;
  // The value of an attr; T's empty value when it is absent or of another kind.
  template <typename T>
  const T& attr(const std::string& name) const;

  // The branch or loop whose fate the outputs share; null outside.
  ControlFlowContext* context() const { return context_; }
  // The user's line, and inside of a layer the layer's own; unknown in imported graphs.
  const SourceLine& line() const { return line_; }
  const SourceLine& inner_line() const { return inner_line_; }
  // "Conv2D node 'conv2d/Conv2D' (made at mnist.cc:17)": how errors name a node.
  std::string Describe() const;

 private:
  friend class Graph;
  Node() = default;

  Graph* graph_ = nullptr;
  int id_ = 0;
  std::string name_;
  std::string op_;
  const OpSchema* schema_ = nullptr;
  std::string device_;
  std::vector<Output> inputs_;
  std::vector<bool> input_is_ref_;
  std::vector<const Node*> control_inputs_;
  std::vector<DType> output_dtypes_;
  std::vector<Shape> output_shapes_;
  AttrMap attrs_;
  ControlFlowContext* context_ = nullptr;
  SourceLine line_;
  SourceLine inner_line_;
};

// What Graph::AddNode needs. `name` must be free; attrs that follow from the inputs may be left
// out.
struct NodeSpec {
  std::string name;
  std::string op;
  std::vector<Output> inputs;  // an empty Output is a back edge, set later by SetBackEdge
  std::vector<const Node*> control_inputs;
  AttrMap attrs;
  std::string device;
  ControlFlowContext* context = nullptr;
  SourceLine line;
  SourceLine inner_line;
  int unknown_op_outputs = 0;  // for an op without a schema
};

// Keys of collections, with TensorFlow's strings.
inline constexpr char kUpdateOps[] = "update_ops";
inline constexpr char kGlobalVariables[] = "variables";
inline constexpr char kTrainableVariables[] = "trainable_variables";
inline constexpr char kLosses[] = "losses";
inline constexpr char kRegularizationLosses[] = "regularization_losses";

class Graph {
 public:
  Graph() : Graph(BuiltinOps()) {}  // inline: graph/ itself knows no ops
  explicit Graph(const OpRegistry& registry);
  ~Graph();
  Graph(const Graph&) = delete;  // nodes point at it
  Graph& operator=(const Graph&) = delete;

  const OpRegistry& registry() const { return *registry_; }
  // The scope to start from: no name, no dependencies, no branch.
  Scope root();

  // OK, or the first error of a builder. Session, Gradients and export return it.
  const absl::Status& status() const { return status_; }
  void RecordError(const absl::Status& status);

  // Checks and adds a node; the graph is unchanged on error. Errors: INVALID_ARGUMENT (op, node,
  // what was expected and what came), FAILED_PRECONDITION after Finalize. An unknown op is kept
  // when `unknown_op_outputs` is given.
  absl::StatusOr<Node*> AddNode(NodeSpec spec);
  // Connects the back edge of a loop: input `index` of a Merge.
  absl::Status SetBackEdge(Node* merge, int index, const Output& value);
  // Tells what shape inference cannot know. INVALID_ARGUMENT when it contradicts what is known.
  absl::Status SetShape(const Output& output, const Shape& shape);
  // From now on every AddNode fails; Sessions go on.
  void Finalize() { finalized_ = true; }
  bool finalized() const { return finalized_; }

  const std::vector<std::unique_ptr<Node>>& nodes() const { return nodes_; }
  int num_nodes() const { return static_cast<int>(nodes_.size()); }
  // Null when there is none.
  const Node* FindNode(const std::string& name) const;
  // NOT_FOUND with "did you mean" for an unknown name ("x" means "x:0").
  absl::StatusOr<Output> FindOutput(const std::string& name) const;
  absl::StatusOr<Operation> FindOperation(const std::string& name) const;

  // A name not used yet, by TensorFlow's rule ("add", "add_1", …; case does not distinguish).
  std::string UniqueName(const std::string& name);

  // The same for the names of variable scopes, which are counted apart from those of nodes.
  std::string UniqueVariableScope(const std::string& name);

  // An Operation in a collection is an Output of index -1 there.
  void AddToCollection(const std::string& key, const Output& item);
  void AddToCollection(const std::string& key, const Operation& item);
  std::vector<Operation> collection(const std::string& key) const;
  std::vector<Output> collection_outputs(const std::string& key) const;
  std::vector<std::string> collection_keys() const;

  // The seed that random ops of this graph derive theirs from; unset: their own seeds or true
  // randomness.
  void set_seed(int64_t seed) { seed_ = seed; }
  // TensorFlow 2.21's rule for the attrs (seed, seed2) of a random op; `op_seed` -1 means none.
  std::pair<int64_t, int64_t> NextSeeds(int64_t op_seed);

  // Variables by full name, for get_variable's sharing; the initial value's Assign by variable.
  std::map<std::string, Output>& variables_by_name() { return variables_by_name_; }
  absl::flat_hash_map<const Node*, const Node*>& initializers() { return initializers_; }
  const absl::flat_hash_map<const Node*, const Node*>& initializers() const {
    return initializers_;
  }

  // Keeps a context of control flow; its nodes point at it.
  template <typename Context>
  Context* AddContext(std::unique_ptr<Context> context) {
    Context* added = context.get();
    contexts_.push_back(std::move(context));
    return added;
  }

  proto::VersionDef& versions() { return versions_; }
  const proto::VersionDef& versions() const { return versions_; }
  // Kept from an imported graph and written back.
  proto::FunctionDefLibrary& library() { return library_; }
  const proto::FunctionDefLibrary& library() const { return library_; }

 private:
  std::vector<std::string> NodeNames() const;

  const OpRegistry* registry_;
  absl::Status status_;
  bool finalized_ = false;
  std::vector<std::unique_ptr<Node>> nodes_;
  absl::flat_hash_map<std::string, Node*> nodes_by_name_;
  absl::flat_hash_map<std::string, int> names_in_use_;
  absl::flat_hash_map<std::string, int> variable_scopes_in_use_;
  std::map<std::string, std::vector<Output>> collections_;
  std::map<std::string, Output> variables_by_name_;
  absl::flat_hash_map<const Node*, const Node*> initializers_;
  std::vector<std::unique_ptr<ControlFlowContext>> contexts_;
  std::optional<int64_t> seed_;
  int64_t seeded_ops_ = 0;
  proto::VersionDef versions_;
  proto::FunctionDefLibrary library_;
};

template <typename T>
const T& Node::attr(const std::string& name) const {
  static const T empty{};
  const AttrValue* value = FindAttr(name);
  const T* typed =
      value == nullptr ? nullptr : std::get_if<T>(static_cast<const AttrVariant*>(value));
  return typed == nullptr ? empty : *typed;
}

}  // namespace espalier

#endif  // ESPALIER_GRAPH_GRAPH_H_
