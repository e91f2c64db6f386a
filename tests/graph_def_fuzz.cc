// libFuzzer target: any bytes as a GraphDef are parsed, imported and run, and end in a Status.
//
//   scripts/fuzz.sh 600
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/clock.h"
#include "espalier/espalier.h"
#include "google/protobuf/stubs/logging.h"

namespace espalier {
namespace {

void ImportAndRun(const std::string& bytes) {
  const auto def = ParseGraphDef(bytes, "input");
  if (!def.ok()) return;
  Graph graph;
  if (!ImportGraphDef(*def, graph, {.max_nodes = 1000}).ok()) return;
  ExportGraphDef(graph).IgnoreError();
  SessionOptions options;
  options.budget = {.max_tensor_bytes = 1 << 22, .max_live_bytes = 1 << 24};
  options.limits.max_loop_iterations = 20;
  Session session(graph, options);
  for (const auto& node : graph.nodes()) {
    RunRequest request;
    request.target.push_back(Operation(node.get()));
    session.Run({}, request).IgnoreError();
  }
}

}  // namespace
}  // namespace espalier

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const google::protobuf::LogSilencer silence;  // it would report every bad byte
  espalier::ImportAndRun(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
