// How the cost of a graph grows with its size: building, differentiating, reading it back from its
// file's bytes, first run and second run of a chain.
//
//   graph_scale
// Prints one JSON line for each size. The times should grow by ten when the size does.
#include <chrono>

#include "absl/strings/str_format.h"
#include "espalier/espalier.h"

namespace espalier {
namespace {

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

absl::Status Measure(int size) {
  Graph graph;
  const Scope s = graph.root();
  Clock::time_point start = Clock::now();
  const Output x = Placeholder(s, kFloat, Shape());
  Output y = x;
  for (int i = 0; i < size; ++i) y = Tanh(s, y);
  const double build = MillisecondsSince(start);
  start = Clock::now();
  const Output dy = Gradients(s, {y}, {x})[0];
  const double gradients = MillisecondsSince(start);
  RETURN_IF_ERROR(graph.status());
  ASSIGN_OR_RETURN(const proto::GraphDef def, ExportGraphDef(graph));
  const std::string bytes = def.SerializeAsString();
  start = Clock::now();
  ASSIGN_OR_RETURN(const proto::GraphDef parsed, ParseGraphDef(bytes, "the graph"));
  Graph copy;
  RETURN_IF_ERROR(ImportGraphDef(parsed, copy));
  const double import = MillisecondsSince(start);
  Session session(graph);
  double runs[2];
  for (double& run : runs) {
    start = Clock::now();
    RETURN_IF_ERROR(session.Run({{x, 0.5f}}, {.fetch = {y, dy}}).status());
    run = MillisecondsSince(start);
  }
  absl::PrintF(
      "{\"nodes\": %d, \"build_ms\": %.1f, \"gradients_ms\": %.1f, \"import_ms\": %.1f, "
      "\"first_run_ms\": %.1f, \"second_run_ms\": %.1f}\n",
      graph.num_nodes(), build, gradients, import, runs[0], runs[1]);
  return absl::OkStatus();
}

}  // namespace
}  // namespace espalier

int main() {
  for (const int size : {1000, 10000, 100000}) {
    if (const absl::Status status = espalier::Measure(size); !status.ok()) {
      absl::FPrintF(stderr, "graph_scale: %s\n", status.ToString());
      return 1;
    }
  }
  return 0;
}
