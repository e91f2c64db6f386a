// espalier run. Tested by the conformance cases.
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "espalier/graph/meta_graph.h"
#include "espalier/graph/status_macros.h"
#include "espalier/runtime/session.h"
#include "espalier/tools/command.h"
#include "espalier/tools/npy.h"
#include "espalier/tools/session_script.h"

namespace espalier {
namespace {

constexpr int kPrintedValues = 16;

// "x:0=x.npy" at its last '='; file names may hold none.
absl::StatusOr<std::pair<std::string, std::string>> SplitAssignment(const std::string& text,
                                                                    const char* flag) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, " takes TENSOR=FILE.npy, not '", text, "'"));
  }
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

class RunCommand : public Command {
 public:
  std::string name() const override { return "run"; }
  std::string summary() const override {
    return "runs a graph: a session script, or feeds and fetches";
  }
  std::string example() const override {
    return "espalier run --graph=graph.pb --init=init --feed x:0=x.npy --fetch y:0=y.npy";
  }
  void Declare(CommandLine& line) override {
    line.Flag("graph", "FILE", "a GraphDef or MetaGraphDef, binary or text", &graph_);
    line.Flag("script", "FILE.json", "a session script; its paths are relative to it", &script_);
    line.Flag("feed", "TENSOR=FILE.npy", "a value to feed; may be given again", &feeds_);
    line.Flag("fetch", "TENSOR[=FILE.npy]",
              "a tensor to fetch: printed, or written; may be given again", &fetches_);
    line.Flag("target", "OPERATION", "an operation to run; may be given again", &targets_);
    line.Flag("repeat", "N", "run so many times", &repeat_);
    line.Flag("init", "OPERATION", "run this one first, alone", &init_);
    line.Flag("output_dir", "FOLDER", "a script's fetches go to FOLDER/<step>/<name>.npy",
              &output_dir_);
    line.Flag("threads", "N", "threads to use; 0: one for each core", &threads_);
  }
  absl::Status CheckUsage() const override {
    RETURN_IF_ERROR(RequireFlag("graph", graph_));
    if (!script_.empty() && !(feeds_.empty() && fetches_.empty() && targets_.empty()))
      return absl::InvalidArgumentError("--script excludes --feed, --fetch and --target");
    if (script_.empty() && fetches_.empty() && targets_.empty() && init_.empty())
      return absl::InvalidArgumentError("nothing to run: give --script, --fetch or --target");
    if (threads_ < 0 || repeat_ < 1)
      return absl::InvalidArgumentError("--threads and --repeat take positive numbers");
    for (const std::string& feed : feeds_) RETURN_IF_ERROR(SplitAssignment(feed, "feed").status());
    return absl::OkStatus();
  }

  absl::Status Run() override {
    proto::SessionScript script;
    if (!script_.empty()) {
      ASSIGN_OR_RETURN(script, ReadSessionScript(script_));
    }
    Graph graph;
    if (absl::Status status = Import(graph); !status.ok()) {
      // The graph itself is what a script's last step may expect to be refused.
      if (script.steps().empty() || !IsExpected(*script.steps().rbegin(), status)) return status;
      absl::FPrintF(stderr, "the graph is refused as expected: %s\n", status.ToString());
      return absl::OkStatus();
    }
    const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    const Session session(graph, {.threads = threads_ == 0 ? cores : static_cast<int>(threads_)});
    if (!init_.empty()) {
      RETURN_IF_ERROR(session.Run({}, {.target = {init_}}).status());
    }
    if (script_.empty()) return RunFlags(session);
    const std::string directory = std::filesystem::path(script_).parent_path().string();
    return RunSessionScript(session, script,
                            {.directory = directory.empty() ? "." : directory,
                             .output_dir = output_dir_,
                             .progress = isatty(STDERR_FILENO) != 0});
  }

 private:
  absl::Status Import(Graph& graph) const {
    ASSIGN_OR_RETURN(proto::MetaGraphDef meta, ReadMetaGraph(graph_));
    return ImportMetaGraph(meta, graph);
  }

  absl::Status RunFlags(const Session& session) const {
    std::vector<Feed> feeds;
    for (const std::string& text : feeds_) {
      ASSIGN_OR_RETURN(const auto feed, SplitAssignment(text, "feed"));
      ASSIGN_OR_RETURN(Tensor value, ReadNpy(feed.second));
      feeds.push_back({feed.first, std::move(value)});
    }
    RunRequest request;
    std::vector<std::string> files;
    for (const std::string& fetch : fetches_) {
      const size_t equals = fetch.find('=');
      request.fetch.emplace_back(fetch.substr(0, equals));
      files.push_back(equals == std::string::npos ? "" : fetch.substr(equals + 1));
    }
    request.target.assign(targets_.begin(), targets_.end());
    std::vector<Tensor> fetched;
    for (int64_t i = 0; i < repeat_ && !(fetches_.empty() && targets_.empty()); ++i) {
      ASSIGN_OR_RETURN(fetched, session.Run(feeds, request));
    }
    for (size_t i = 0; i < fetched.size(); ++i) {
      if (files[i].empty()) {
        absl::PrintF("%s = %s\n", fetches_[i], fetched[i].DebugString(kPrintedValues));
      } else {
        RETURN_IF_ERROR(WriteNpy(fetched[i], files[i]));
      }
    }
    return absl::OkStatus();
  }

  std::string graph_, script_, init_, output_dir_;
  std::vector<std::string> feeds_, fetches_, targets_;
  int64_t repeat_ = 1;
  int64_t threads_ = 0;
};

}  // namespace

std::unique_ptr<Command> MakeRunCommand() { return std::make_unique<RunCommand>(); }

}  // namespace espalier
