// espalier specialize. Tested by commands_test.cc.
#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "espalier/graph/meta_graph.h"
#include "espalier/graph/status_macros.h"
#include "espalier/runtime/specialize.h"
#include "espalier/tools/command.h"
#include "espalier/tools/npy.h"
#include "espalier/tools/session_script.h"

namespace espalier {
namespace {

// A scalar of `output`'s type out of "true", "false" or a number; a file's tensor out of "x.npy".
absl::StatusOr<Tensor> ParseValue(const Output& output, const std::string& text) {
  if (text.ends_with(".npy")) return ReadNpy(text);
  const DType dtype = RemoveRef(output.dtype());
  double number = 0;
  const bool boolean = text == "true" || text == "false";
  if (boolean != (dtype == kBool) || (!boolean && !absl::SimpleAtod(text, &number))) {
    return absl::InvalidArgumentError(absl::StrCat("--set: ", output.name(), " is ",
                                                   DTypeName(dtype), ", received '", text, "'"));
  }
  if (boolean) return Tensor(text == "true");
  Tensor value = DispatchType(PlainTypes(), dtype,
                              [&]<typename T>() { return Tensor(static_cast<T>(number)); });
  if (value.valid()) return value;
  return absl::InvalidArgumentError(
      absl::StrCat("--set: give ", output.name(), " of type ", DTypeName(dtype), " as a file"));
}

class SpecializeCommand : public Command {
 public:
  std::string name() const override { return "specialize"; }
  std::string summary() const override {
    return "turns a training graph into the plain graph of its network in use";
  }
  std::string example() const override {
    return "espalier specialize --graph=train.pb --init=init --set is_training:0=false "
           "--fetch logits:0 --output=logits.pb";
  }
  void Declare(CommandLine& line) override {
    line.Flag("graph", "FILE", "a GraphDef or MetaGraphDef, binary or text", &graph_);
    line.Flag("set", "TENSOR=VALUE", "true, false, a number, or a .npy file; may be given again",
              &set_);
    line.Flag("fetch", "TENSOR", "what the plain graph computes; may be given again", &fetches_);
    line.Flag("output", "FILE", "the plain graph (.pbtxt: as text)", &output_);
    line.Flag("init", "OPERATION", "run this one first: it gives the variables their values",
              &init_);
    line.Flag("script", "FILE.json", "a session script to run first, for the same purpose",
              &script_);
  }
  absl::Status CheckUsage() const override {
    RETURN_IF_ERROR(RequireFlag("graph", graph_));
    RETURN_IF_ERROR(RequireFlag("output", output_));
    if (fetches_.empty()) return RequireFlag("fetch", "");
    for (const std::string& text : set_) {
      const size_t equals = text.find('=');
      if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat("--set takes TENSOR=VALUE, not '", text, "'"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Run() override {
    ASSIGN_OR_RETURN(const proto::MetaGraphDef meta, ReadMetaGraph(graph_));
    Graph graph;
    RETURN_IF_ERROR(ImportMetaGraph(meta, graph));
    const Session session(graph);
    if (!init_.empty()) RETURN_IF_ERROR(session.Run({}, {.target = {init_}}).status());
    if (!script_.empty()) {
      ASSIGN_OR_RETURN(const proto::SessionScript script, ReadSessionScript(script_));
      const std::string directory = std::filesystem::path(script_).parent_path().string();
      RETURN_IF_ERROR(
          RunSessionScript(session, script, {.directory = directory.empty() ? "." : directory}));
    }
    SpecializeOptions options;
    for (const std::string& text : set_) {
      const size_t equals = text.find('=');
      ASSIGN_OR_RETURN(const Output output, graph.FindOutput(text.substr(0, equals)));
      ASSIGN_OR_RETURN(Tensor value, ParseValue(output, text.substr(equals + 1)));
      options.set.push_back({output, std::move(value)});
    }
    options.fetch.assign(fetches_.begin(), fetches_.end());
    ASSIGN_OR_RETURN(const proto::GraphDef plain, Specialize(graph, session, options));
    return WriteGraphDef(plain, output_);
  }

 private:
  std::string graph_, output_, init_, script_;
  std::vector<std::string> set_, fetches_;
};

}  // namespace

std::unique_ptr<Command> MakeSpecializeCommand() { return std::make_unique<SpecializeCommand>(); }

}  // namespace espalier
