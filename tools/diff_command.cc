// espalier diff. Tested by commands_test.cc.
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "espalier/graph/graph_def.h"
#include "espalier/graph/meta_graph.h"
#include "espalier/graph/status_macros.h"
#include "espalier/tools/command.h"

namespace espalier {
namespace {

// An attribute as text for a person: a tensor by its type and first values.
std::string AttrText(const proto::AttrValue& value) {
  const absl::StatusOr<AttrValue> attr = AttrFromProto(value, AttrKind::kNone);
  return attr.ok() ? attr->ToString() : value.ShortDebugString();
}

class DiffCommand : public Command {
 public:
  std::string name() const override { return "diff"; }
  std::string summary() const override { return "shows in what two graphs differ, node by node"; }
  std::string example() const override { return "espalier diff before.pb after.pb"; }
  void Declare(CommandLine& line) override {
    line.Flag("hints", "", "compare attributes that start with '_' too", &hints_);
    line.Words(&files_);
  }
  absl::Status CheckUsage() const override {
    return files_.size() == 2 ? absl::OkStatus()
                              : absl::InvalidArgumentError("two graph files are needed");
  }

  absl::Status Run() override {
    ASSIGN_OR_RETURN(proto::MetaGraphDef before, ReadMetaGraph(files_[0]));
    ASSIGN_OR_RETURN(proto::MetaGraphDef after, ReadMetaGraph(files_[1]));
    const auto a = ByName(before.graph_def());
    const auto b = ByName(after.graph_def());
    int differences = 0;
    for (const auto& [name, node] : a) {
      const auto other = b.find(name);
      if (other == b.end()) {
        absl::PrintF("- %s %s\n", node->op(), name);
        ++differences;
      } else {
        differences += Compare(*node, *other->second);
      }
    }
    for (const auto& [name, node] : b) {
      if (a.contains(name)) continue;
      absl::PrintF("+ %s %s\n", node->op(), name);
      ++differences;
    }
    if (differences == 0) {
      absl::PrintF("The graphs are equal: %d nodes.\n", a.size());
      return absl::OkStatus();
    }
    return absl::AbortedError(absl::StrCat("the graphs differ in ", differences, " nodes"));
  }

 private:
  using Nodes = std::map<std::string, const proto::NodeDef*>;

  static Nodes ByName(const proto::GraphDef& def) {
    Nodes nodes;
    for (const proto::NodeDef& node : def.node()) nodes[node.name()] = &node;
    return nodes;
  }

  // 1 and the differences printed, or 0.
  int Compare(const proto::NodeDef& a, const proto::NodeDef& b) const {
    std::vector<std::string> lines;
    const auto compare = [&](const std::string& what, const std::string& x, const std::string& y) {
      if (x != y) lines.push_back(absl::StrCat("    ", what, ": ", x, " -> ", y));
    };
    compare("op", a.op(), b.op());
    compare("device", a.device(), b.device());
    compare("inputs", absl::StrJoin(a.input(), ", "), absl::StrJoin(b.input(), ", "));
    std::set<std::string> keys;
    for (const proto::NodeDef* node : {&a, &b}) {
      for (const auto& [key, value] : node->attr()) {
        if (hints_ || !key.starts_with("_")) keys.insert(key);
      }
    }
    for (const std::string& key : keys) {
      const bool in_a = a.attr().contains(key);
      const bool in_b = b.attr().contains(key);
      if (in_a && in_b &&
          a.attr().at(key).SerializeAsString() == b.attr().at(key).SerializeAsString())
        continue;
      compare(key, in_a ? AttrText(a.attr().at(key)) : "(none)",
              in_b ? AttrText(b.attr().at(key)) : "(none)");
    }
    if (lines.empty()) return 0;
    absl::PrintF("  %s %s\n%s\n", a.op(), a.name(), absl::StrJoin(lines, "\n"));
    return 1;
  }

  std::vector<std::string> files_;
  bool hints_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeDiffCommand() { return std::make_unique<DiffCommand>(); }

}  // namespace espalier
