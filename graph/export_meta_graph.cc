// Tested by export_meta_graph_test.cc.
#include "espalier/graph/export_meta_graph.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "espalier/graph/cond.h"
#include "espalier/graph/graph_def.h"
#include "espalier/graph/proto_file.h"
#include "espalier/graph/status_macros.h"
#include "espalier/graph/while_loop.h"
#include "espalier/proto/control_flow.pb.h"

namespace espalier {
namespace {

// The nodes of each context, and the contexts in each.
struct Contents {
  std::vector<const Node*> nodes;
  std::vector<ControlFlowContext*> children;
};

class ContextExporter {
 public:
  explicit ContextExporter(const Graph& graph) {
    for (const auto& node : graph.nodes()) {
      if (node->context() == nullptr) continue;
      Know(node->context());
      contents_[node->context()].nodes.push_back(node.get());
    }
    for (const auto& node : graph.nodes()) {
      if (!node->traits().is_exit) continue;
      exits_[InnermostLoop(node->input(0).node()->context())].push_back(node->name());
    }
  }

  // Those that no other encloses.
  const std::vector<ControlFlowContext*>& roots() const { return roots_; }

  proto::ControlFlowContextDef Def(ControlFlowContext* context) {
    proto::ControlFlowContextDef def;
    if (CondContext* cond = context->AsCond()) {
      *def.mutable_cond_ctxt() = CondDef(*cond);
    } else {
      *def.mutable_while_ctxt() = WhileDef(*context->AsWhile());
    }
    return def;
  }

 private:
  void Know(ControlFlowContext* context) {
    if (!known_.insert(context).second) return;
    if (context->parent() == nullptr) {
      roots_.push_back(context);
    } else {
      Know(context->parent());
      contents_[context->parent()].children.push_back(context);
    }
  }

  // The scope that a name stands in.
  static std::string ScopeOf(const std::string& name) {
    const size_t slash = name.rfind('/');
    return slash == std::string::npos ? name : name.substr(0, slash + 1);
  }

  proto::CondContextDef CondDef(CondContext& cond) {
    proto::CondContextDef def;
    const std::string pivot = cond.pivot().valid() ? cond.pivot().name() : "";
    def.set_context_name(absl::StrCat(ScopeOf(cond.pred().name()), "cond_text_", cond.branch()));
    def.set_pred_name(cond.pred().name());
    def.set_pivot_name(pivot);
    def.set_branch(cond.branch());
    *def.mutable_values_def() = Values(cond);
    // TensorFlow counts the predicate and the pivot among the values.
    for (const std::string& name : {cond.pred().name(), pivot}) {
      (*def.mutable_values_def()->mutable_external_values())[name] = name;
      def.mutable_values_def()->add_values(name);
    }
    for (ControlFlowContext* child : contents_[&cond].children)
      *def.add_nested_contexts() = Def(child);
    return def;
  }

  proto::WhileContextDef WhileDef(WhileContext& loop) {
    proto::WhileContextDef def;
    def.set_context_name(loop.frame_name());
    def.set_parallel_iterations(static_cast<int32_t>(loop.parallel_iterations()));
    def.set_back_prop(true);
    for (const Node* node : contents_[&loop].nodes) {
      if (node->traits().is_loop_cond) def.set_pivot_name(node->output(0).name());
      const bool variable = node->traits().is_merge && node->input(0).node()->traits().is_enter;
      if (variable && def.pivot_for_pred_name().empty())
        def.set_pivot_for_pred_name(node->output(0).name());
      if (node->traits().is_enter) def.add_loop_enter_names(node->output(0).name());
    }
    if (loop.pivot().valid()) def.set_pivot_for_body_name(loop.pivot().name());
    for (const std::string& exit : exits_[&loop]) def.add_loop_exit_names(exit + ":0");
    *def.mutable_values_def() = Values(loop);
    for (ControlFlowContext* child : contents_[&loop].children)
      *def.add_nested_contexts() = Def(child);
    return def;
  }

  // All tensors of the context, and what comes in through its border.
  proto::ValuesDef Values(ControlFlowContext& context) {
    proto::ValuesDef def;
    std::set<std::string> values;
    for (const Node* node : contents_[&context].nodes) {
      for (int o = 0; o < node->num_outputs(); ++o) values.insert(node->output(o).name());
      const bool border = (node->traits().is_switch && context.AsCond() != nullptr &&
                           node->input(0).node()->context() != &context) ||
                          IsLoopConstant(*node);
      if (!border) continue;
      const int side = context.AsCond() != nullptr ? context.AsCond()->branch() : 0;
      const std::string outside = node->input(0).name();
      (*def.mutable_external_values())[outside] = node->output(side).name();
      values.insert(outside);
    }
    for (const std::string& value : values) def.add_values(value);
    return def;
  }

  std::map<ControlFlowContext*, Contents> contents_;
  std::map<WhileContext*, std::vector<std::string>> exits_;
  std::set<ControlFlowContext*> known_;
  std::vector<ControlFlowContext*> roots_;
};

absl::StatusOr<std::string> VariableBytes(const Graph& graph, const std::string& key,
                                          const Output& variable, std::set<std::string>& added,
                                          proto::GraphDef& def) {
  const auto initializer = graph.initializers().find(variable.node());
  if (initializer == graph.initializers().end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "collection '", key, "': ", variable.node()->Describe(), " has no initialiser"));
  }
  const std::string& name = variable.node()->name();
  const bool resource = variable.dtype() == kResource;
  const std::string read = name + (resource ? "/Read/ReadVariableOp" : "/read");
  if (graph.FindNode(read) == nullptr && added.insert(read).second) {
    proto::NodeDef* node = def.add_node();
    node->set_name(read);
    node->set_op(resource ? "ReadVariableOp" : "Identity");
    node->add_input(name);
    const DType dtype =
        resource ? variable.node()->attr<DType>("dtype") : RemoveRef(variable.dtype());
    (*node->mutable_attr())[resource ? "dtype" : "T"].set_type(static_cast<proto::DataType>(dtype));
  }
  proto::VariableDef out;
  out.set_variable_name(variable.name());
  out.set_initializer_name(initializer->second->name());
  out.set_snapshot_name(read + ":0");
  out.set_is_resource(resource);
  out.set_initial_value_name(initializer->second->input(1).name());
  const std::vector<Output> trainable = graph.collection_outputs(kTrainableVariables);
  out.set_trainable(std::find(trainable.begin(), trainable.end(), variable) != trainable.end());
  return out.SerializeAsString();
}

}  // namespace

absl::StatusOr<proto::MetaGraphDef> ExportMetaGraph(const Graph& graph) {
  proto::MetaGraphDef meta;
  ASSIGN_OR_RETURN(*meta.mutable_graph_def(), ExportGraphDef(graph));
  std::set<std::string> reads;  // added to what the graph has
  for (const std::string& key : graph.collection_keys()) {
    proto::CollectionDef& collection = (*meta.mutable_collection_def())[key];
    for (const Output& item : graph.collection_outputs(key)) {
      if (key.ends_with("variables") && item.index() >= 0) {
        ASSIGN_OR_RETURN(*collection.mutable_bytes_list()->add_value(),
                         VariableBytes(graph, key, item, reads, *meta.mutable_graph_def()));
      } else {
        collection.mutable_node_list()->add_value(item.index() < 0 ? item.node()->name()
                                                                   : item.name());
      }
    }
  }
  ContextExporter contexts(graph);
  for (ControlFlowContext* root : contexts.roots()) {
    const char* key = root->AsCond() != nullptr ? "cond_context" : "while_context";
    const proto::ControlFlowContextDef def = contexts.Def(root);
    // At the top the context stands by itself.
    (*meta.mutable_collection_def())[key].mutable_bytes_list()->add_value(
        def.has_cond_ctxt() ? def.cond_ctxt().SerializeAsString()
                            : def.while_ctxt().SerializeAsString());
  }
  return meta;
}

absl::Status WriteMetaGraph(const proto::MetaGraphDef& meta, const std::string& path) {
  return WriteMessage(meta, path);
}

}  // namespace espalier
