// Session scripts: steps that run in order in one session (proto/session_script.proto, as JSON).
//
//   ASSIGN_OR_RETURN(proto::SessionScript script, ReadSessionScript("s.json"));
//   RETURN_IF_ERROR(RunSessionScript(session, script, {.directory = ".", .output_dir = "out"}));
//
// The first step that fails ends the run: a Run that fails, a fetch that is not what `expect` says,
// or a step that should have failed and did not. What earlier steps fetched stays written.
#ifndef ESPALIER_TOOLS_SESSION_SCRIPT_H_
#define ESPALIER_TOOLS_SESSION_SCRIPT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "espalier/proto/session_script.pb.h"
#include "espalier/runtime/session.h"

namespace espalier {

struct ScriptOptions {
  std::string directory;   // where the script's .npy files are
  std::string output_dir;  // fetches go to <output_dir>/<step>/<name>.npy; empty: nowhere
  bool progress = false;   // a line on standard error while it runs
};

absl::StatusOr<proto::SessionScript> ReadSessionScript(const std::string& path);
absl::StatusOr<proto::SessionScript> ParseSessionScript(const std::string& json,
                                                        const std::string& what);

absl::Status RunSessionScript(const Session& session, const proto::SessionScript& script,
                              const ScriptOptions& options);

// True when the step asks for this failure.
bool IsExpected(const proto::SessionStep& step, const absl::Status& status);

// "y:0" as a file: "y_0.npy"; '/' too becomes '_'.
std::string FetchFileName(const std::string& fetch);

}  // namespace espalier

#endif  // ESPALIER_TOOLS_SESSION_SCRIPT_H_
