// espalier convert. Tested by commands_test.cc.
#include "absl/strings/str_cat.h"
#include "espalier/graph/meta_graph.h"
#include "espalier/graph/proto_file.h"
#include "espalier/graph/status_macros.h"
#include "espalier/tools/command.h"

namespace espalier {
namespace {

class ConvertCommand : public Command {
 public:
  std::string name() const override { return "convert"; }
  std::string summary() const override { return "writes a graph in another form"; }
  std::string example() const override {
    return "espalier convert --graph=model.meta --graph_only --output=graph.pbtxt";
  }
  void Declare(CommandLine& line) override {
    line.Flag("graph", "FILE", "a GraphDef or MetaGraphDef, binary or text", &graph_);
    line.Flag("output", "FILE", "binary; as text when it ends in .pbtxt or .txt", &output_);
    line.Flag("graph_only", "", "of a MetaGraphDef, the GraphDef alone", &graph_only_);
    line.Flag("strip_hints", "", "leave out attributes that start with '_'", &strip_hints_);
  }
  absl::Status CheckUsage() const override {
    RETURN_IF_ERROR(RequireFlag("graph", graph_));
    return RequireFlag("output", output_);
  }

  absl::Status Run() override {
    ASSIGN_OR_RETURN(proto::MetaGraphDef meta, ReadMetaGraph(graph_));
    if (strip_hints_) {
      for (proto::NodeDef& node : *meta.mutable_graph_def()->mutable_node()) {
        auto& attrs = *node.mutable_attr();
        for (auto attr = attrs.begin(); attr != attrs.end();)
          attr = attr->first.starts_with("_") ? attrs.erase(attr) : std::next(attr);
      }
    }
    const bool plain = graph_only_ || (!meta.has_meta_info_def() && meta.collection_def().empty() &&
                                       meta.signature_def().empty() && !meta.has_saver_def());
    return plain ? WriteMessage(meta.graph_def(), output_) : WriteMessage(meta, output_);
  }

 private:
  std::string graph_, output_;
  bool graph_only_ = false;
  bool strip_hints_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeConvertCommand() { return std::make_unique<ConvertCommand>(); }

}  // namespace espalier
