// Tested by graph_def_test.cc.
#include "espalier/graph/proto_file.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "espalier/graph/status_macros.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"

namespace espalier {
namespace {

constexpr int kTextNestingLimit = 100;
constexpr size_t kLookedAtBytes = 4096;

// Binary messages hold control characters from the start (the tag of a node's op is one), text has
// none but white space. The first bytes alone do not tell: a GraphDef starts with a newline.
bool LooksLikeText(const std::string& bytes) {
  const std::string head = bytes.substr(0, kLookedAtBytes);
  return !head.empty() && std::none_of(head.begin(), head.end(), [](unsigned char c) {
    return absl::ascii_iscntrl(c) && !absl::ascii_isspace(c);
  });
}

class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (text.empty())
      text = absl::StrCat("line ", line + 1, ", column ", column + 1, ": ", message);
  }
  std::string text;
};

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot open ", path));
  const int64_t size = file.tellg();
  if (size < 0) return absl::InvalidArgumentError(absl::StrCat("cannot read ", path));
  if (size > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, " has ", size, " bytes, the limit is ", max_bytes));
  }
  std::string bytes(size, '\0');
  file.seekg(0);
  if (size > 0 && !file.read(bytes.data(), size))
    return absl::DataLossError(absl::StrCat("cannot read ", path));
  return bytes;
}

absl::Status WriteFile(const std::string& path, const std::string& bytes) {
  const std::string temporary = absl::StrCat(path, ".tmp", getpid());
  std::ofstream file(temporary, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file || std::rename(temporary.c_str(), path.c_str()) != 0) {
    std::remove(temporary.c_str());
    return absl::UnavailableError(absl::StrCat("cannot write ", path));
  }
  return absl::OkStatus();
}

absl::Status ParseMessage(const std::string& bytes, const std::string& what,
                          google::protobuf::Message* message) {
  const std::string& kind = message->GetDescriptor()->name();
  if (!LooksLikeText(bytes)) {
    if (message->ParseFromString(bytes)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(what, " is no ", kind, ": the bytes do not parse"));
  }
  google::protobuf::TextFormat::Parser parser;
  FirstError error;
  parser.RecordErrorsTo(&error);
  parser.SetRecursionLimit(kTextNestingLimit);
  if (parser.ParseFromString(bytes, message)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " is no ", kind, " in text form: ", error.text));
}

absl::Status WriteMessage(const google::protobuf::Message& message, const std::string& path) {
  std::string bytes;
  if (path.ends_with(".pbtxt") || path.ends_with(".txt")) {
    google::protobuf::TextFormat::PrintToString(message, &bytes);
  } else if (!message.SerializeToString(&bytes)) {
    return absl::ResourceExhaustedError("the graph is over protobuf's limit of 2 GiB");
  }
  return WriteFile(path, bytes);
}

}  // namespace espalier
