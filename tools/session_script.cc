// Tested by session_script_test.cc.
#include "espalier/tools/session_script.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "espalier/graph/proto_file.h"
#include "espalier/graph/status_macros.h"
#include "espalier/tools/compare.h"
#include "espalier/tools/npy.h"
#include "google/protobuf/util/json_util.h"

namespace espalier {
namespace {

constexpr int64_t kMaxScriptBytes = int64_t{256} << 20;

absl::Status Annotate(const absl::Status& status, const std::string& prefix) {
  return absl::Status(status.code(), absl::StrCat(prefix, ": ", status.message()));
}

absl::Status MakeDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("cannot make the folder ", path, ": ", error.message()));
}

// One step with its files read.
class Step {
 public:
  Step(const proto::SessionStep& step, const ScriptOptions& options)
      : step_(step), options_(options) {}

  absl::Status Run(const Session& session, int index) {
    std::vector<Feed> feeds;
    // A map's order is that of its hash; feeds in the order of their names fail alike everywhere.
    for (const auto& [name, file] : std::map(step_.feed().begin(), step_.feed().end())) {
      ASSIGN_OR_RETURN(Tensor value, ReadNpy(PathOf(file)));
      feeds.push_back({name, std::move(value)});
    }
    RunRequest request;
    request.fetch.assign(step_.fetch().begin(), step_.fetch().end());
    request.target.assign(step_.target().begin(), step_.target().end());
    std::vector<Tensor> fetched;
    const int repeat = step_.has_repeat() ? step_.repeat() : 1;
    for (int i = 0; i < repeat; ++i) {
      ASSIGN_OR_RETURN(fetched, session.Run(feeds, request));
      if (options_.progress && repeat > 1)
        std::fprintf(stderr, "\r\033[Kstep %d: run %d of %d", index, i + 1, repeat);
    }
    RETURN_IF_ERROR(Write(index, fetched));
    return Compare(fetched);
  }

 private:
  std::string PathOf(const std::string& file) const {
    return (std::filesystem::path(options_.directory) / file).string();
  }

  absl::Status Write(int index, const std::vector<Tensor>& fetched) const {
    if (options_.output_dir.empty() || fetched.empty()) return absl::OkStatus();
    const std::string folder = absl::StrCat(options_.output_dir, "/", index);
    RETURN_IF_ERROR(MakeDirectory(folder));
    for (int i = 0; i < step_.fetch_size(); ++i) {
      RETURN_IF_ERROR(
          WriteNpy(fetched[i], absl::StrCat(folder, "/", FetchFileName(step_.fetch(i)))));
    }
    return absl::OkStatus();
  }

  absl::Status Compare(const std::vector<Tensor>& fetched) const {
    const Tolerance defaults;
    const Tolerance tolerance = {.rtol = step_.has_rtol() ? step_.rtol() : defaults.rtol,
                                 .atol = step_.has_atol() ? step_.atol() : defaults.atol};
    for (const auto& [name, file] : std::map(step_.expect().begin(), step_.expect().end())) {
      const auto at = std::find(step_.fetch().begin(), step_.fetch().end(), name);
      if (at == step_.fetch().end()) {
        return absl::InvalidArgumentError(
            absl::StrCat("'expect' names ", name, ", which the step does not fetch"));
      }
      ASSIGN_OR_RETURN(Tensor want, ReadNpy(PathOf(file)));
      const Tensor& got = fetched[at - step_.fetch().begin()];
      if (const absl::Status status = CompareTensors(got, want, tolerance); !status.ok())
        return Annotate(status, absl::StrCat(name, " is not ", file));
    }
    return absl::OkStatus();
  }

  const proto::SessionStep& step_;
  const ScriptOptions& options_;
};

}  // namespace

std::string FetchFileName(const std::string& fetch) {
  return absl::StrReplaceAll(fetch, {{":", "_"}, {"/", "_"}}) + ".npy";
}

bool IsExpected(const proto::SessionStep& step, const absl::Status& status) {
  if (status.ok() || step.expect_error().empty()) return false;
  const std::string code = absl::StatusCodeToString(status.code());
  return code == step.expect_error() ||
         std::find(step.or_error().begin(), step.or_error().end(), code) != step.or_error().end();
}

absl::StatusOr<proto::SessionScript> ParseSessionScript(const std::string& json,
                                                        const std::string& what) {
  proto::SessionScript script;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &script);
  if (status.ok()) return script;
  return absl::InvalidArgumentError(
      absl::StrCat(what, " is no session script: ", std::string(status.message())));
}

absl::StatusOr<proto::SessionScript> ReadSessionScript(const std::string& path) {
  ASSIGN_OR_RETURN(std::string json, ReadFile(path, kMaxScriptBytes));
  return ParseSessionScript(json, path);
}

absl::Status RunSessionScript(const Session& session, const proto::SessionScript& script,
                              const ScriptOptions& options) {
  for (int i = 0; i < script.steps_size(); ++i) {
    const proto::SessionStep& step = script.steps(i);
    if (options.progress) std::fprintf(stderr, "\r\033[Kstep %d of %d", i + 1, script.steps_size());
    const absl::Status status = Step(step, options).Run(session, i);
    if (options.progress) std::fprintf(stderr, "\r\033[K");
    if (IsExpected(step, status)) {
      std::fprintf(stderr, "step %d failed as expected: %s\n", i, status.ToString().c_str());
      continue;
    }
    if (!status.ok()) return Annotate(status, absl::StrCat("step ", i));
    if (!step.expect_error().empty())
      return absl::AbortedError(absl::StrCat("step ", i, " should have failed and did not"));
  }
  return absl::OkStatus();
}

}  // namespace espalier
