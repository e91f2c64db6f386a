// espalier gradients. Tested by the conformance cases.
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/meta_graph.h"
#include "espalier/graph/proto_file.h"
#include "espalier/graph/status_macros.h"
#include "espalier/tools/command.h"

namespace espalier {
namespace {

std::string Quoted(const std::string& text) { return absl::StrCat("\"", text, "\""); }

class GradientsCommand : public Command {
 public:
  std::string name() const override { return "gradients"; }
  std::string summary() const override {
    return "adds the gradient of ys with respect to xs to a graph";
  }
  std::string example() const override {
    return "espalier gradients --graph=g.pb --ys=loss:0 --xs=w:0,b:0 --output=g2.pb "
           "--names_output=names.json";
  }
  void Declare(CommandLine& line) override {
    line.Flag("graph", "FILE", "a GraphDef or MetaGraphDef, binary or text", &graph_);
    line.Flag("ys", "TENSORS", "what to differentiate: the sum of all their elements", &ys_);
    line.Flag("xs", "TENSORS", "with respect to what", &xs_);
    line.Flag("output", "FILE", "the graph with the gradient nodes added (.pbtxt: as text)",
              &output_);
    line.Flag("names_output", "FILE.json", "each x with the name of its gradient, or null",
              &names_output_);
  }
  absl::Status CheckUsage() const override {
    RETURN_IF_ERROR(RequireFlag("graph", graph_));
    RETURN_IF_ERROR(RequireFlag("ys", ys_));
    RETURN_IF_ERROR(RequireFlag("xs", xs_));
    return RequireFlag("output", output_);
  }

  absl::Status Run() override {
    ASSIGN_OR_RETURN(proto::MetaGraphDef meta, ReadMetaGraph(graph_));
    Graph graph;
    RETURN_IF_ERROR(ImportMetaGraph(meta, graph));
    const std::vector<std::string> x_names = absl::StrSplit(xs_, ',');
    ASSIGN_OR_RETURN(std::vector<Output> ys, Find(graph, absl::StrSplit(ys_, ',')));
    ASSIGN_OR_RETURN(std::vector<Output> xs, Find(graph, x_names));
    const std::vector<Output> gradients = Gradients(graph.root(), ys, xs);
    RETURN_IF_ERROR(graph.status());
    ASSIGN_OR_RETURN(proto::GraphDef def, ExportGraphDef(graph));
    RETURN_IF_ERROR(WriteGraphDef(def, output_));
    std::vector<std::string> lines;
    for (size_t i = 0; i < xs.size(); ++i) {
      const std::string name = gradients[i].valid() ? Quoted(gradients[i].name()) : "null";
      lines.push_back(absl::StrCat("  ", Quoted(x_names[i]), ": ", name));
    }
    const std::string json = absl::StrCat("{\n", absl::StrJoin(lines, ",\n"), "\n}\n");
    if (!names_output_.empty()) return WriteFile(names_output_, json);
    std::fputs(json.c_str(), stdout);
    return absl::OkStatus();
  }

 private:
  static absl::StatusOr<std::vector<Output>> Find(const Graph& graph,
                                                  const std::vector<std::string>& names) {
    std::vector<Output> outputs;
    for (const std::string& name : names) {
      ASSIGN_OR_RETURN(Output output, graph.FindOutput(name));
      outputs.push_back(output);
    }
    return outputs;
  }

  std::string graph_, ys_, xs_, output_, names_output_;
};

}  // namespace

std::unique_ptr<Command> MakeGradientsCommand() { return std::make_unique<GradientsCommand>(); }

}  // namespace espalier
