// Tested by graph_def_test.cc.
#include "espalier/graph/proto_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "espalier/graph/status_macros.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/wire_format_lite.h"

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

int64_t CountWithin(absl::string_view bytes, absl::Span<const int> path) {
  using google::protobuf::internal::WireFormatLite;
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                                            static_cast<int>(bytes.size()));
  int64_t count = 0;
  while (const uint32_t tag = in.ReadTag()) {
    uint32_t size = 0;
    if (WireFormatLite::GetTagFieldNumber(tag) != path[0] ||
        WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      if (!WireFormatLite::SkipField(&in, tag)) break;
      continue;
    }
    const int start = (in.ReadVarint32(&size), in.CurrentPosition());
    if (size > bytes.size() - start) break;
    count += path.size() == 1 ? 1 : CountWithin(bytes.substr(start, size), path.subspan(1));
    if (!in.Skip(static_cast<int>(size))) break;
  }
  return count;
}

}  // namespace

// Read piece by piece into memory of our own: the file may be a pipe, or change meanwhile.
absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  struct stat about;
  if (file == nullptr || fstat(fileno(file.get()), &about) != 0)
    return absl::NotFoundError(absl::StrCat("cannot open ", path));
  if (S_ISDIR(about.st_mode))
    return absl::InvalidArgumentError(absl::StrCat(path, " is a directory"));
  const auto over = [&](int64_t size, const char* least) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, " has ", least, size, " bytes, the limit is ", max_bytes));
  };
  if (about.st_size > max_bytes) return over(about.st_size, "");
  std::string bytes;
  while (true) {
    const size_t before = bytes.size();
    bytes.resize(std::max<size_t>(2 * before, static_cast<size_t>(about.st_size) + 1));
    const size_t got = std::fread(bytes.data() + before, 1, bytes.size() - before, file.get());
    const bool all = before + got < bytes.size();
    bytes.resize(before + got);
    if (std::ferror(file.get()) != 0)
      return absl::DataLossError(absl::StrCat("cannot read ", path));
    if (static_cast<int64_t>(bytes.size()) > max_bytes)
      return over(static_cast<int64_t>(bytes.size()), "at least ");
    if (all) return bytes;
  }
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

int64_t CountFields(const std::string& bytes, absl::Span<const int> path) {
  // Text has no fields, and CodedInputStream no more than an int's worth of bytes.
  if (LooksLikeText(bytes) || bytes.size() > std::numeric_limits<int>::max()) return 0;
  return CountWithin(bytes, path);
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
