// The `espalier` command: TensorFlow's graphs, run and looked at.
//
//   espalier run --graph=graph.pb --feed x:0=x.npy --fetch y:0
//   espalier --help
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "espalier/graph/op_registry.h"
#include "espalier/tools/command.h"

namespace espalier {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

std::vector<std::unique_ptr<Command>> AllCommands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(MakeRunCommand());
  commands.push_back(MakeSummarizeCommand());
  commands.push_back(MakeGradientsCommand());
  commands.push_back(MakeSpecializeCommand());
  commands.push_back(MakeConvertCommand());
  commands.push_back(MakeDiffCommand());
  commands.push_back(MakeDotCommand());
  return commands;
}

std::string Overview(const std::vector<std::unique_ptr<Command>>& commands) {
  std::string text = "espalier: TensorFlow's graphs, run and looked at.\n\n";
  for (const auto& command : commands)
    absl::StrAppendFormat(&text, "  espalier %-11s %s\n", command->name(), command->summary());
  return text +
         "\nespalier COMMAND --help tells more. Exit codes: 0, 1 a failure, 2 wrong usage.\n";
}

int Usage(const std::string& message) {
  std::fprintf(stderr, "espalier: %s\n", message.c_str());
  return kWrongUsage;
}

int Main(const std::vector<std::string>& arguments) {
  const auto commands = AllCommands();
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "help") {
    std::fputs(Overview(commands).c_str(), arguments.empty() ? stderr : stdout);
    return arguments.empty() ? kWrongUsage : 0;
  }
  std::vector<std::string> names;
  for (const auto& command : commands) {
    names.push_back(command->name());
    if (command->name() != arguments[0]) continue;
    CommandLine line;
    bool help = false;
    command->Declare(line);
    line.Flag("help", "", "this text", &help);
    const absl::Status usage = line.Parse({arguments.begin() + 1, arguments.end()});
    if (help) {
      absl::PrintF("espalier %s: %s\n\n%s\nFor example:\n  %s\n", command->name(),
                   command->summary(), line.Help(), command->example());
      return 0;
    }
    for (const absl::Status& status : {usage, usage.ok() ? command->CheckUsage() : usage}) {
      if (!status.ok())
        return Usage(absl::StrCat(status.message(), " (espalier ", command->name(), " --help)"));
    }
    absl::Status status = command->Run();
    // What was printed must have arrived: the output may be closed, or a full disk.
    if (status.ok() && (std::fflush(stdout) != 0 || std::ferror(stdout) != 0))
      status = absl::UnavailableError("cannot write to standard output");
    if (status.ok()) return 0;
    absl::FPrintF(stderr, "%s\n", status.ToString());
    return kFailed;
  }
  const std::string near = NearestName(arguments[0], names);
  return Usage(absl::StrCat("unknown command '", arguments[0], "'",
                            near.empty() ? "" : absl::StrCat("; did you mean '", near, "'?"),
                            " (espalier --help)"));
}

}  // namespace

absl::Status RequireFlag(const std::string& name, const std::string& value) {
  return value.empty() ? absl::InvalidArgumentError(absl::StrCat("--", name, " is missing"))
                       : absl::OkStatus();
}

}  // namespace espalier

int main(int argc, char** argv) {
  return espalier::Main(std::vector<std::string>(argv + 1, argv + argc));
}
