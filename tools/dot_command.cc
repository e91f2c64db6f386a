// espalier dot. Tested by commands_test.cc.
#include <map>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "espalier/graph/meta_graph.h"
#include "espalier/graph/proto_file.h"
#include "espalier/graph/status_macros.h"
#include "espalier/tools/command.h"

namespace espalier {
namespace {

std::string Quoted(const std::string& text) {
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}}), "\"");
}

// A name scope: the nodes in it and the scopes in it.
struct NameScope {
  std::map<std::string, std::unique_ptr<NameScope>> scopes;
  std::vector<const Node*> nodes;
};

class DotWriter {
 public:
  // Draws the nodes of `shown`, constants only when asked for.
  DotWriter(const Graph& graph, std::set<const Node*> shown, int depth, bool constants)
      : graph_(graph), shown_(std::move(shown)), depth_(depth), constants_(constants) {}

  std::string Write() {
    NameScope root;
    for (const auto& node : graph_.nodes()) Place(root, *node);
    text_ =
        "digraph graph_def {\n  rankdir=BT; compound=true;\n"
        "  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=Helvetica, "
        "fontsize=11];\n"
        "  edge [fontname=Helvetica, fontsize=9, color=\"#555555\"];\n";
    WriteScope(root, "", 1);
    WriteEdges();
    return text_ + "}\n";
  }

 private:
  // The node's own box, or the deepest scope that is drawn as one box.
  std::string BoxOf(const Node& node) const {
    const std::vector<std::string> parts = absl::StrSplit(node.name(), '/');
    if (static_cast<int>(parts.size()) <= depth_) return node.name();
    return absl::StrJoin(parts.begin(), parts.begin() + depth_, "/");
  }

  bool Hidden(const Node& node) const {
    return !shown_.contains(&node) || (!constants_ && node.traits().is_constant);
  }

  void Place(NameScope& root, const Node& node) {
    if (Hidden(node)) return;
    const std::vector<std::string> parts = absl::StrSplit(node.name(), '/');
    NameScope* at = &root;
    for (size_t i = 0; i + 1 < parts.size() && static_cast<int>(i) < depth_; ++i) {
      std::unique_ptr<NameScope>& child = at->scopes[parts[i]];
      if (!child) child = std::make_unique<NameScope>();
      at = child.get();
    }
    at->nodes.push_back(&node);
  }

  static int Count(const NameScope& scope) {
    int count = static_cast<int>(scope.nodes.size());
    for (const auto& [name, child] : scope.scopes) count += Count(*child);
    return count;
  }

  static std::string Fill(const Node& node) {
    if (node.traits().is_variable) return "#fff2cc";
    if (node.traits().is_placeholder) return "#d5e8d4";
    if (node.traits().is_switch || node.traits().is_merge || node.traits().is_enter ||
        node.traits().is_exit)
      return "#e1d5e7";
    return "white";
  }

  void WriteScope(const NameScope& scope, const std::string& path, int level) {
    const std::string indent(2 * static_cast<size_t>(level), ' ');
    for (const auto& [name, child] : scope.scopes) {
      const std::string inner = path.empty() ? name : absl::StrCat(path, "/", name);
      if (level >= depth_) {
        absl::StrAppend(&text_, indent, Quoted(inner),
                        " [label=", Quoted(absl::StrCat(name, "\n", Count(*child), " nodes")),
                        ", fillcolor=\"#dae8fc\", peripheries=2];\n");
        continue;
      }
      absl::StrAppend(&text_, indent, "subgraph ", Quoted("cluster_" + inner), " {\n", indent,
                      "  label=", Quoted(name),
                      "; style=rounded; color=\"#999999\"; fontname=Helvetica;\n");
      WriteScope(*child, inner, level + 1);
      absl::StrAppend(&text_, indent, "}\n");
    }
    for (const Node* node : scope.nodes) {
      const std::string short_name = node->name().substr(path.empty() ? 0 : path.size() + 1);
      const std::string label =
          short_name == node->op() ? short_name : absl::StrCat(short_name, "\n", node->op());
      absl::StrAppend(&text_, indent, Quoted(node->name()), " [label=", Quoted(label),
                      ", fillcolor=\"", Fill(*node), "\"];\n");
    }
  }

  void WriteEdges() {
    std::set<std::string> drawn;  // one edge between two boxes, not one for each pair of nodes
    for (const auto& node : graph_.nodes()) {
      if (Hidden(*node)) continue;
      const std::string to = BoxOf(*node);
      const auto edge = [&](const Node& source, const std::string& style) {
        const std::string from = BoxOf(source);
        if (Hidden(source) || from == to) return;
        const std::string line = absl::StrCat("  ", Quoted(from), " -> ", Quoted(to), style, ";\n");
        if (drawn.insert(line).second) text_ += line;
      };
      for (const Output& input : node->inputs()) {
        if (!input.valid()) continue;
        const std::string label = input.shape().has_rank() ? input.shape().ToString() : "?";
        edge(*input.node(), absl::StrCat(" [label=", Quoted(label), "]"));
      }
      for (const Node* source : node->control_inputs())
        edge(*source, " [style=dashed, arrowhead=open]");
    }
  }

  const Graph& graph_;
  const std::set<const Node*> shown_;
  const int depth_;
  const bool constants_;
  std::string text_;
};

class DotCommand : public Command {
 public:
  std::string name() const override { return "dot"; }
  std::string summary() const override {
    return "draws a graph for Graphviz: scopes as boxes, shapes on edges";
  }
  std::string example() const override {
    return "espalier dot --graph=graph.pb --depth=1 | dot -Tsvg -o graph.svg";
  }
  void Declare(CommandLine& line) override {
    line.Flag("graph", "FILE", "a GraphDef or MetaGraphDef, binary or text", &graph_);
    line.Flag("output", "FILE", "where to write; standard output when left out", &output_);
    line.Flag("depth", "N", "name scopes nested deeper than this are one box each", &depth_);
    line.Flag("constants", "", "draw constants too", &constants_);
    line.Flag("fetch", "TENSORS", "draw only what these need", &fetch_);
  }
  absl::Status CheckUsage() const override {
    if (depth_ < 1) return absl::InvalidArgumentError("--depth must be at least 1");
    return RequireFlag("graph", graph_);
  }

  absl::Status Run() override {
    ASSIGN_OR_RETURN(const proto::MetaGraphDef meta, ReadMetaGraph(graph_));
    Graph graph;
    RETURN_IF_ERROR(ImportMetaGraph(meta, graph));
    ASSIGN_OR_RETURN(std::set<const Node*> shown, Shown(graph));
    const std::string text =
        DotWriter(graph, std::move(shown), static_cast<int>(depth_), constants_).Write();
    if (!output_.empty()) return WriteFile(output_, text);
    std::fputs(text.c_str(), stdout);
    return absl::OkStatus();
  }

 private:
  // All nodes, or those that the fetches depend on.
  absl::StatusOr<std::set<const Node*>> Shown(const Graph& graph) const {
    std::set<const Node*> shown;
    std::vector<const Node*> queue;
    const auto add = [&](const Node* node) {
      if (node != nullptr && shown.insert(node).second) queue.push_back(node);
    };
    if (fetch_.empty()) {
      for (const auto& node : graph.nodes()) add(node.get());
      return shown;
    }
    const std::vector<std::string> fetches = absl::StrSplit(fetch_, ',');
    for (const std::string& fetch : fetches) {
      const std::string name = fetch.substr(0, fetch.rfind(':'));
      if (graph.FindNode(name) == nullptr)
        return absl::NotFoundError(absl::StrCat("the graph has no node '", name, "'"));
      add(graph.FindNode(name));
    }
    for (size_t i = 0; i < queue.size(); ++i) {
      for (const Output& input : queue[i]->inputs()) add(input.node());
      for (const Node* source : queue[i]->control_inputs()) add(source);
    }
    return shown;
  }

  std::string graph_, output_, fetch_;
  int64_t depth_ = 2;
  bool constants_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeDotCommand() { return std::make_unique<DotCommand>(); }

}  // namespace espalier
