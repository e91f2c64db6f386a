// A scope: where in the graph, and under which conditions, the next nodes are made.
//
//   Scope s = graph.root();
//   Output x = Placeholder(s.Named("x"), kFloat, {-1});            // node "x"
//   Scope block = s.NameScope("block");                            // nodes "block/…"
//   Output y = Relu(block, x);                                     // node "block/Relu"
//   Output z = Identity(s.WithControlDependencies({update}), y);   // runs after `update`
//   Output mean = block(a) * 0.99f + block(b) * 0.01f;             // expressions have a scope and
//   a line
//
// An immutable property bag: With… makes a child, the parent stays as it was, and there is no
// current graph. Scopes are cheap to copy and refer to their Graph, which must outlive them. As
// thread-safe as the Graph: one builder at a time. Builders never fail on the spot: an error goes
// to Graph::status() (the first one wins) and the builder returns an empty Output, which later
// builders pass on silently.
#ifndef ESPALIER_GRAPH_SCOPE_H_
#define ESPALIER_GRAPH_SCOPE_H_

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "espalier/graph/graph.h"

namespace espalier {

class Expression;

class Scope {
 public:
  explicit Scope(Graph* graph);

  Graph* graph() const { return properties_->graph; }

  // The next node (or layer) is called `name`.
  Scope Named(const std::string& name) const;
  // The next node has exactly this full name, which a name scope may have reserved already.
  Scope WithExactName(const std::string& full_name) const;
  // Nodes stand under a unique "name/".
  Scope NameScope(const std::string& name) const;
  // Nodes run after these, in addition to what this scope already asks for.
  Scope WithControlDependencies(const std::vector<Operation>& operations) const;
  Scope WithoutControlDependencies() const;
  // Variables stand under "name/" (see variable_scope.h); so do their nodes.
  Scope WithVariableScope(const std::string& name) const;
  // get_variable returns what exists (true) or makes what is new (false, the default).
  Scope WithReuse(bool reuse) const;
  // Where variables are made: outside every dependency, branch and loop, at their absolute names.
  Scope ForVariables() const;

  // --- For layers and builders of control flow.
  Scope WithContext(ControlFlowContext* context) const;
  // As WithContext, but inputs are taken as they are: no capture. For gradients of control flow.
  Scope WithRawContext(ControlFlowContext* context) const;
  // Nodes keep `line` as the user's line; the builders' own lines become inner lines.
  Scope WithOrigin(const SourceLine& line, const SourceLine& inner = {}) const;

  const std::string& name_prefix() const { return properties_->name_prefix; }
  const std::string& next_name() const { return properties_->next_name; }
  const std::string& exact_name() const { return properties_->exact_name; }
  const std::string& variable_prefix() const { return properties_->variable_prefix; }
  bool reuse() const { return properties_->reuse; }
  const std::vector<const Node*>& control_dependencies() const {
    return properties_->control_dependencies;
  }
  ControlFlowContext* context() const { return properties_->context; }
  bool captures() const { return properties_->captures; }
  const SourceLine& origin() const { return properties_->origin; }
  const SourceLine& inner_origin() const { return properties_->inner_origin; }

  // `output` as an operand of +, -, *, /, in this scope.
  Expression operator()(const Output& output, SourceLine line = SourceLine::Current()) const;

 private:
  struct Properties {
    Graph* graph = nullptr;
    std::string name_prefix;  // "" or "a/b/"
    std::string next_name;
    std::string exact_name;
    std::string variable_prefix;
    bool reuse = false;
    std::vector<const Node*> control_dependencies;
    ControlFlowContext* context = nullptr;
    bool captures = true;
    SourceLine origin;
    SourceLine inner_origin;
  };
  explicit Scope(std::shared_ptr<const Properties> properties)
      : properties_(std::move(properties)) {}
  std::shared_ptr<Properties> Copy() const { return std::make_shared<Properties>(*properties_); }

  std::shared_ptr<const Properties> properties_;
};

// The scope parameter of every builder: a Scope and the line of the call.
class At {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor)
  At(const Scope& scope, const char* file = __builtin_FILE(), int line = __builtin_LINE())
      : scope_(scope), line_{file, line} {}
  At(const Scope& scope, SourceLine line) : scope_(scope), line_(line) {}

  const Scope& scope() const { return scope_; }
  const SourceLine& line() const { return line_; }
  // The scope for the inside of a layer: its nodes carry the layer's caller as their line.
  Scope Inside() const { return scope_.origin().known() ? scope_ : scope_.WithOrigin(line_); }

 private:
  Scope scope_;
  SourceLine line_;
};

// Adds a node of any op: the call that all builders end in. Attrs that follow from the inputs may
// be left out. Returns null after recording the error.
const Node* AddOp(const At& at, const std::string& op, const std::vector<Output>& inputs,
                  AttrMap attrs = {});
// Its output 0, or an empty Output.
Output AddOpOutput(const At& at, const std::string& op, const std::vector<Output>& inputs,
                   AttrMap attrs = {});

// A constant.
Output Const(const At& at, const Tensor& value);
// A scalar of type `dtype` (its base type for a ref).
Output ConstScalar(const At& at, DType dtype, double value);

// An Output with a scope and a line, so that operators know where to put their nodes. `Output *
// Output` does not compile.
class Expression {
 public:
  Expression(Scope scope, Output output, SourceLine line)
      : scope_(std::move(scope)), output_(output), line_(line) {}
  operator Output() const { return output_; }  // NOLINT(google-explicit-constructor)
  const Output& output() const { return output_; }

  friend Expression operator+(const Expression& a, const Expression& b) {
    return a.Binary("AddV2", b.output_);
  }
  friend Expression operator-(const Expression& a, const Expression& b) {
    return a.Binary("Sub", b.output_);
  }
  friend Expression operator*(const Expression& a, const Expression& b) {
    return a.Binary("Mul", b.output_);
  }
  friend Expression operator/(const Expression& a, const Expression& b) {
    return a.Binary("RealDiv", b.output_);
  }
  friend Expression operator+(const Expression& a, double b) {
    return a.Binary("AddV2", a.Scalar(b));
  }
  friend Expression operator-(const Expression& a, double b) {
    return a.Binary("Sub", a.Scalar(b));
  }
  friend Expression operator*(const Expression& a, double b) {
    return a.Binary("Mul", a.Scalar(b));
  }
  friend Expression operator/(const Expression& a, double b) {
    return a.Binary("RealDiv", a.Scalar(b));
  }
  friend Expression operator+(double a, const Expression& b) {
    return b.From(a).Binary("AddV2", b.output_);
  }
  friend Expression operator-(double a, const Expression& b) {
    return b.From(a).Binary("Sub", b.output_);
  }
  friend Expression operator*(double a, const Expression& b) {
    return b.From(a).Binary("Mul", b.output_);
  }
  friend Expression operator/(double a, const Expression& b) {
    return b.From(a).Binary("RealDiv", b.output_);
  }
  friend Expression operator-(const Expression& a);

 private:
  Expression Binary(const char* op, const Output& other) const;
  Output Scalar(double value) const {
    return ConstScalar(At(scope_, line_), output_.dtype(), value);
  }
  Expression From(double value) const { return Expression(scope_, Scalar(value), line_); }

  Scope scope_;
  Output output_;
  SourceLine line_;
};

}  // namespace espalier

#endif  // ESPALIER_GRAPH_SCOPE_H_
