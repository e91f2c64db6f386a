// espalier summarize. Tested by commands_test.cc.
#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "espalier/graph/meta_graph.h"
#include "espalier/graph/status_macros.h"
#include "espalier/tools/command.h"

namespace espalier {
namespace {

std::string Typed(DType dtype, const Shape& shape) {
  return absl::StrCat(DTypeName(RemoveRef(dtype)), shape.ToString());
}

// 1234567 as "1,234,567".
std::string Grouped(int64_t number) {
  if (number < 1000) return absl::StrCat(number);
  return absl::StrCat(Grouped(number / 1000), ",", absl::Dec(number % 1000, absl::kZeroPad3));
}

// Multiply-adds of a product or convolution when the shapes are known but for the batch, which
// counts as one example; else -1. Each element of the output takes as many as the filter (or the
// row) has elements for one output channel.
int64_t MultiplyAdds(const Node& node) {
  if (node.num_inputs() < 2 || node.num_outputs() < 1) return 0;
  const Shape& x = node.input(0).shape();
  const Shape& w = node.input(1).shape();
  Shape y = node.output_shape(0);
  if (y.rank() > 0 && y.dim(0) < 0) y.set_dim(0, 1);
  int64_t terms = 0;
  if (node.op().starts_with("BatchMatMul") || node.op() == "MatMul") {
    if (x.rank() < 2) return -1;
    const char* transposed = node.op() == "MatMul" ? "transpose_a" : "adj_x";
    terms = x.dim(x.rank() - (node.attr<bool>(transposed) ? 2 : 1));
  } else if (node.op() == "Conv2D" || node.op() == "DepthwiseConv2dNative") {
    if (!w.IsFullyKnown()) return -1;
    terms = w.dim(0) * w.dim(1) * (node.op() == "Conv2D" ? w.dim(2) : 1);
  } else {
    return 0;
  }
  return terms < 0 || !y.IsFullyKnown() ? -1 : terms * y.num_elements();
}

class Report {
 public:
  Report(const proto::MetaGraphDef& meta, const Graph& graph) : meta_(meta), graph_(graph) {}

  void Print() {
    Overview();
    InputsAndOutputs();
    Variables();
    ControlFlow();
    Collections();
    Signatures();
    Ops();
    Hints();
  }

 private:
  void Overview() const {
    int64_t edges = 0, control = 0;
    for (const auto& node : graph_.nodes()) {
      edges += node->num_inputs();
      control += static_cast<int64_t>(node->control_inputs().size());
    }
    const proto::VersionDef& versions = meta_.graph_def().versions();
    absl::PrintF("%s nodes, %s edges, %s control edges; producer version %d\n",
                 Grouped(graph_.num_nodes()), Grouped(edges), Grouped(control),
                 versions.producer());
    if (const int functions = meta_.graph_def().library().function_size(); functions > 0)
      absl::PrintF("%d functions in the library\n", functions);
  }

  void InputsAndOutputs() const {
    std::set<const Node*> used;
    for (const auto& node : graph_.nodes()) {
      for (const Output& input : node->inputs()) used.insert(input.node());
      for (const Node* source : node->control_inputs()) used.insert(source);
    }
    absl::PrintF("\nInputs\n");
    for (const auto& node : graph_.nodes()) {
      if (node->traits().is_placeholder)
        absl::PrintF("  %-40s %s\n", node->name(),
                     Typed(node->output_dtype(0), node->output_shape(0)));
    }
    Outputs(used);
  }

  // What nothing consumes, top level first: a training graph leaves many ends within its scopes.
  void Outputs(const std::set<const Node*>& used) const {
    constexpr size_t kShown = 12;
    std::vector<const Node*> outputs;
    int initial_values = 0;
    for (const auto& node : graph_.nodes()) {
      if (used.contains(node.get()) || node->traits().is_variable || node->traits().is_constant)
        continue;
      if (node->traits().initializes) {
        ++initial_values;
      } else {
        outputs.push_back(node.get());
      }
    }
    std::stable_partition(outputs.begin(), outputs.end(), [](const Node* node) {
      return node->name().find('/') == std::string::npos;
    });
    absl::PrintF("\nOutputs (nothing consumes them)\n");
    std::map<std::string, int> hidden;
    for (size_t i = 0; i < outputs.size(); ++i) {
      const Node& node = *outputs[i];
      if (i >= kShown) {
        const size_t slash = node.name().find('/');
        ++hidden[slash == std::string::npos ? "" : node.name().substr(0, slash + 1)];
        continue;
      }
      const std::string type = node.num_outputs() == 0
                                   ? "(operation)"
                                   : Typed(node.output_dtype(0), node.output_shape(0));
      absl::PrintF("  %-40s %s  %s\n", node.name(), type, node.op());
    }
    if (outputs.size() > kShown) {
      std::vector<std::pair<int, std::string>> scopes;
      for (const auto& [scope, count] : hidden) scopes.emplace_back(-count, scope);
      std::sort(scopes.begin(), scopes.end());
      std::string where;
      for (size_t i = 0; i < scopes.size() && i < 3; ++i) {
        const std::string& scope = scopes[i].second;
        absl::StrAppend(&where, i > 0 ? ", " : "", -scopes[i].first,
                        scope.empty() ? " at the top" : absl::StrCat(" in ", scope));
      }
      absl::PrintF("  and %d more: %s%s\n", outputs.size() - kShown, where,
                   scopes.size() > 3 ? ", …" : "");
    }
    if (initial_values > 0) absl::PrintF("  and %d initial values of variables\n", initial_values);
  }

  void Variables() const {
    int64_t elements = 0, bytes = 0, count = 0, trainable_elements = 0;
    std::set<const Node*> trainable;
    for (const Output& item : graph_.collection_outputs(kTrainableVariables))
      trainable.insert(item.node());
    std::vector<std::string> lines;
    for (const auto& node : graph_.nodes()) {
      if (!node->traits().is_variable) continue;
      ++count;
      const AttrValue* shape_attr = node->FindAttr("shape");
      const Shape* declared = shape_attr == nullptr ? nullptr : std::get_if<Shape>(shape_attr);
      const Shape shape = declared == nullptr ? node->output_shape(0) : *declared;
      const DType dtype = node->attr<DType>("dtype");
      const int64_t size = shape.IsFullyKnown() ? shape.num_elements() : 0;
      elements += size;
      bytes += size * static_cast<int64_t>(DTypeSize(dtype));
      if (trainable.contains(node.get())) trainable_elements += size;
      lines.push_back(absl::StrFormat("  %-40s %-20s %12s bytes%s", node->name(),
                                      Typed(dtype, shape),
                                      Grouped(size * static_cast<int64_t>(DTypeSize(dtype))),
                                      trainable.contains(node.get()) ? "  trainable" : ""));
    }
    absl::PrintF("\nVariables: %d, %s parameters, %s bytes", count, Grouped(elements),
                 Grouped(bytes));
    if (!trainable.empty()) absl::PrintF("; trainable: %s parameters", Grouped(trainable_elements));
    absl::PrintF("\n%s%s", absl::StrJoin(lines, "\n"), lines.empty() ? "" : "\n");
  }

  void ControlFlow() const {
    int switches = 0, merges = 0;
    std::map<std::string, int> frames;
    for (const auto& node : graph_.nodes()) {
      switches += node->traits().is_switch ? 1 : 0;
      merges += node->traits().is_merge ? 1 : 0;
      if (node->traits().is_enter) ++frames[node->attr<std::string>("frame_name")];
    }
    if (switches + merges == 0 && frames.empty()) return;
    absl::PrintF("\nControl flow: %d switches, %d merges, %d loops\n", switches, merges,
                 frames.size());
    for (const auto& [name, enters] : frames)
      absl::PrintF("  loop '%s': %d values enter\n", name, enters);
  }

  void Collections() const {
    if (meta_.collection_def().empty()) return;
    absl::PrintF("\nCollections\n");
    std::map<std::string, const proto::CollectionDef*> sorted;
    for (const auto& [key, collection] : meta_.collection_def()) sorted[key] = &collection;
    for (const auto& [key, c] : sorted) {
      const int size = c->node_list().value_size() + c->bytes_list().value_size() +
                       c->int64_list().value_size() + c->float_list().value_size() +
                       c->any_list().value_size();
      absl::PrintF("  %-40s %d\n", key, size);
    }
  }

  void Signatures() const {
    std::map<std::string, const proto::SignatureDef*> sorted;
    for (const auto& [key, signature] : meta_.signature_def()) sorted[key] = &signature;
    for (const auto& [key, signature] : sorted) {
      absl::PrintF("\nSignature '%s' (%s)\n", key, signature->method_name());
      for (const auto& [name, info] :
           std::map(signature->inputs().begin(), signature->inputs().end()))
        absl::PrintF("  in   %-20s %s\n", name, info.name());
      for (const auto& [name, info] :
           std::map(signature->outputs().begin(), signature->outputs().end()))
        absl::PrintF("  out  %-20s %s\n", name, info.name());
    }
  }

  void Ops() const {
    std::map<std::string, int> counts;
    std::set<std::string> unknown;
    int64_t multiply_adds = 0, unsized = 0;
    for (const auto& node : graph_.nodes()) {
      ++counts[node->op()];
      if (node->schema() == nullptr) unknown.insert(node->op());
      const int64_t work = MultiplyAdds(*node);
      multiply_adds += std::max<int64_t>(work, 0);
      unsized += work < 0 ? 1 : 0;
    }
    std::vector<std::pair<std::string, int>> sorted(counts.begin(), counts.end());
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    absl::PrintF("\nOps: %d kinds\n", sorted.size());
    for (const auto& [op, count] : sorted)
      absl::PrintF("  %6d  %s%s\n", count, op, unknown.contains(op) ? "  (unknown here)" : "");
    absl::PrintF(
        "\nMultiply-adds in products and convolutions, forward and backward, an unknown batch as "
        "1: %s",
        Grouped(multiply_adds));
    if (unsized > 0) absl::PrintF(", and %d nodes whose shapes are not known", unsized);
    absl::PrintF("\n");
    if (!unknown.empty())
      absl::PrintF("\nUnknown ops, kept but not runnable: %s\n", absl::StrJoin(unknown, ", "));
  }

  // Stored shapes that contradict what is inferred here: reported, never trusted.
  void Hints() const {
    std::vector<std::string> lines;
    for (const auto& node : graph_.nodes()) {
      const auto* stored = std::get_if<std::vector<Shape>>(
          static_cast<const AttrVariant*>(node->FindAttr("_output_shapes")));
      if (stored == nullptr) continue;
      for (int i = 0; i < node->num_outputs() && i < static_cast<int>(stored->size()); ++i) {
        if (Shape::Compatible((*stored)[i], node->output_shape(i))) continue;
        lines.push_back(absl::StrFormat("  %s: stored %s, inferred %s", node->output(i).name(),
                                        (*stored)[i].ToString(), node->output_shape(i).ToString()));
      }
    }
    if (!lines.empty())
      absl::PrintF("\nStored _output_shapes that are wrong\n%s\n", absl::StrJoin(lines, "\n"));
  }

  const proto::MetaGraphDef& meta_;
  const Graph& graph_;
};

class SummarizeCommand : public Command {
 public:
  std::string name() const override { return "summarize"; }
  std::string summary() const override {
    return "inputs, outputs, variables, ops, collections of a graph";
  }
  std::string example() const override { return "espalier summarize --graph=model.meta"; }
  void Declare(CommandLine& line) override {
    line.Flag("graph", "FILE", "a GraphDef or MetaGraphDef, binary or text", &graph_);
  }
  absl::Status CheckUsage() const override { return RequireFlag("graph", graph_); }

  absl::Status Run() override {
    ASSIGN_OR_RETURN(proto::MetaGraphDef meta, ReadMetaGraph(graph_));
    Graph graph;
    RETURN_IF_ERROR(ImportMetaGraph(meta, graph));
    Report(meta, graph).Print();
    return absl::OkStatus();
  }

 private:
  std::string graph_;
};

}  // namespace

std::unique_ptr<Command> MakeSummarizeCommand() { return std::make_unique<SummarizeCommand>(); }

}  // namespace espalier
