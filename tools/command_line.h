// The flags of a subcommand.
//
//   std::string graph;
//   std::vector<std::string> feeds;
//   CommandLine line;
//   line.Flag("graph", "FILE", "the graph", &graph);
//   line.Flag("feed", "TENSOR=FILE.npy", "a value; may be given again", &feeds);
//   RETURN_IF_ERROR(line.Parse({"--graph=g.pb", "--feed", "x:0=x.npy"}));
//
// "--name=value" and "--name value" alike; a bool is "--name", "--name=true" or "--noname". Parse
// gives INVALID_ARGUMENT with "did you mean" for an unknown flag. The variables must outlive the
// CommandLine.
#ifndef ESPALIER_TOOLS_COMMAND_LINE_H_
#define ESPALIER_TOOLS_COMMAND_LINE_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"

namespace espalier {

class CommandLine {
 public:
  using Variable = std::variant<std::string*, int64_t*, bool*, std::vector<std::string>*>;

  void Flag(std::string name, std::string value, std::string help, Variable variable);
  // Words that are no flags go here; without it they are an error.
  void Words(std::vector<std::string>* words) { words_ = words; }

  absl::Status Parse(const std::vector<std::string>& arguments);
  // A line for each flag.
  std::string Help() const;

 private:
  struct Entry {
    std::string name;
    std::string value;
    std::string help;
    Variable variable;
  };
  Entry* Find(const std::string& name);
  absl::Status Unknown(const std::string& name) const;

  std::vector<Entry> entries_;
  std::vector<std::string>* words_ = nullptr;
};

}  // namespace espalier

#endif  // ESPALIER_TOOLS_COMMAND_LINE_H_
