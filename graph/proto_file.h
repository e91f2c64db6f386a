// Whole files and messages, binary or text.
//
//   ASSIGN_OR_RETURN(std::string bytes, ReadFile("graph.pbtxt", /*max_bytes=*/1 << 30));
//   proto::GraphDef def;
//   RETURN_IF_ERROR(ParseMessage(bytes, "graph.pbtxt", &def));   // binary or text, told by content
//   RETURN_IF_ERROR(WriteMessage(def, "copy.pb"));               // "….pbtxt" and "….txt": text
#ifndef ESPALIER_GRAPH_PROTO_FILE_H_
#define ESPALIER_GRAPH_PROTO_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "google/protobuf/message.h"

namespace espalier {

// NOT_FOUND for a file that cannot be opened, RESOURCE_EXHAUSTED over `max_bytes`.
absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes);
// Written beside and renamed, so that a reader never sees half a file. UNAVAILABLE when that fails.
absl::Status WriteFile(const std::string& path, const std::string& bytes);

// How many messages (or strings) of the field that `path` leads to are in a binary message, counted
// without making any: a few bytes can ask for millions. What does not parse is not counted, nor is
// text.
int64_t CountFields(const std::string& bytes, absl::Span<const int> path);

// INVALID_ARGUMENT, with line and column for text, when the bytes are no such message; `what` names
// them.
absl::Status ParseMessage(const std::string& bytes, const std::string& what,
                          google::protobuf::Message* message);
absl::Status WriteMessage(const google::protobuf::Message& message, const std::string& path);

}  // namespace espalier

#endif  // ESPALIER_GRAPH_PROTO_FILE_H_
