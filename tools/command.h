// A subcommand of `espalier`.
//
//   absl::Status SummarizeCommand::Run() { … }
//
// main (espalier.cc) makes the commands, shows their help, and turns their Status into an exit
// code: 0, 1 for a failure (its code's name and message on standard error), 2 for wrong usage.
#ifndef ESPALIER_TOOLS_COMMAND_H_
#define ESPALIER_TOOLS_COMMAND_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "espalier/tools/command_line.h"

namespace espalier {

class Command {
 public:
  virtual ~Command() = default;
  virtual std::string name() const = 0;
  // One line for the list of commands.
  virtual std::string summary() const = 0;
  // A command line that works, for the help.
  virtual std::string example() const = 0;
  virtual void Declare(CommandLine& line) = 0;
  // What is wrong with the flags, before anything is done; OK when nothing is.
  virtual absl::Status CheckUsage() const { return absl::OkStatus(); }
  virtual absl::Status Run() = 0;
};

std::unique_ptr<Command> MakeRunCommand();
std::unique_ptr<Command> MakeSummarizeCommand();
std::unique_ptr<Command> MakeGradientsCommand();
std::unique_ptr<Command> MakeSpecializeCommand();
std::unique_ptr<Command> MakeConvertCommand();
std::unique_ptr<Command> MakeDiffCommand();
std::unique_ptr<Command> MakeDotCommand();

// INVALID_ARGUMENT "--name is missing" when `value` is empty.
absl::Status RequireFlag(const std::string& name, const std::string& value);

}  // namespace espalier

#endif  // ESPALIER_TOOLS_COMMAND_H_
