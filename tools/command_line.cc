// Tested by command_line_test.cc.
#include "espalier/tools/command_line.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
namespace {

constexpr int kHelpColumn = 30;

absl::Status Store(const CommandLine::Variable& variable, const std::string& name,
                   const std::string& value) {
  if (auto* const* text = std::get_if<std::string*>(&variable)) {
    **text = value;
  } else if (auto* const* list = std::get_if<std::vector<std::string>*>(&variable)) {
    (*list)->push_back(value);
  } else if (auto* const* number = std::get_if<int64_t*>(&variable)) {
    if (!absl::SimpleAtoi(value, *number))
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, " takes a number, not '", value, "'"));
  } else if (!absl::SimpleAtob(value, std::get<bool*>(variable))) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", name, " takes true or false, not '", value, "'"));
  }
  return absl::OkStatus();
}

}  // namespace

void CommandLine::Flag(std::string name, std::string value, std::string help, Variable variable) {
  entries_.push_back({std::move(name), std::move(value), std::move(help), variable});
}

CommandLine::Entry* CommandLine::Find(const std::string& name) {
  for (Entry& entry : entries_) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

absl::Status CommandLine::Unknown(const std::string& name) const {
  std::vector<std::string> names;
  for (const Entry& entry : entries_) names.push_back(entry.name);
  const std::string near = NearestName(name, names);
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown flag --", name, near.empty() ? "" : absl::StrCat("; did you mean --", near, "?")));
}

absl::Status CommandLine::Parse(const std::vector<std::string>& arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!argument.starts_with("--")) {
      if (words_ == nullptr)
        return absl::InvalidArgumentError(absl::StrCat("unexpected argument '", argument, "'"));
      words_->push_back(argument);
      continue;
    }
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(2, equals == std::string::npos ? equals : equals - 2);
    const Entry* entry = Find(name);
    if (entry == nullptr && name.starts_with("no") && equals == std::string::npos) {
      entry = Find(name.substr(2));
      if (entry == nullptr || !std::holds_alternative<bool*>(entry->variable)) return Unknown(name);
      *std::get<bool*>(entry->variable) = false;
      continue;
    }
    if (entry == nullptr) return Unknown(name);
    std::string value = "true";
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (!std::holds_alternative<bool*>(entry->variable)) {
      if (i + 1 == arguments.size())
        return absl::InvalidArgumentError(absl::StrCat("--", name, " needs a value"));
      value = arguments[++i];
    }
    RETURN_IF_ERROR(Store(entry->variable, name, value));
  }
  return absl::OkStatus();
}

std::string CommandLine::Help() const {
  std::string text;
  for (const Entry& entry : entries_) {
    const std::string flag =
        absl::StrCat("--", entry.name, entry.value.empty() ? "" : absl::StrCat("=", entry.value));
    absl::StrAppendFormat(&text, "  %-*s %s\n", kHelpColumn, flag, entry.help);
  }
  return text;
}

}  // namespace espalier
