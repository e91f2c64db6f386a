// The notebook's training step and inference, timed. Prints one JSON line.
//
//   notebook_step --network=layers --steps=100 --threads=2
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/strings/str_format.h"
#include "espalier/examples/mnist/network.h"

ABSL_FLAG(std::string, network, "layers", "plain, layers or low_level");
ABSL_FLAG(int, steps, 100, "timed training steps");
ABSL_FLAG(int, threads, 2, "threads");

namespace espalier::mnist {
namespace {

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Images without structure: the time does not depend on the values.
train::Batch RandomBatch(int64_t count) {
  std::vector<float> pixels(count * 784);
  std::vector<float> labels(count * 10, 0.0f);
  uint32_t state = 12345;
  for (float& pixel : pixels) {
    state = state * 1664525 + 1013904223;
    pixel = static_cast<float>(state >> 8) / static_cast<float>(1 << 24);
  }
  for (int64_t i = 0; i < count; ++i) labels[i * 10 + i % 10] = 1.0f;
  return {Tensor::FromVector<float>({count, 28, 28, 1}, pixels),
          Tensor::FromVector<float>({count, 10}, labels)};
}

struct Timing {
  double median;
  double min;
};

template <typename F>
absl::StatusOr<Timing> Time(int repetitions, F&& run) {
  std::vector<double> times;
  for (int i = 0; i < repetitions; ++i) {
    const Clock::time_point start = Clock::now();
    RETURN_IF_ERROR(run());
    times.push_back(MillisecondsSince(start));
  }
  std::sort(times.begin(), times.end());
  return Timing{times[times.size() / 2], times[0]};
}

absl::Status Main() {
  const std::string name = absl::GetFlag(FLAGS_network);
  const train::Batch batch = RandomBatch(64);
  const Clock::time_point start = Clock::now();
  Graph graph;
  graph.set_seed(1);
  const Scope s = graph.root();
  ASSIGN_OR_RETURN(const Network network, BuildNetwork(name, s, 0.002));
  Session session(graph, {.threads = absl::GetFlag(FLAGS_threads)});
  RETURN_IF_ERROR(session.Initialize());
  const auto feeds = [&](const train::Batch& b, bool training) {
    std::vector<Feed> feeds = {{network.x, b.images}, {network.y, b.labels}};
    if (network.is_training.valid()) feeds.push_back({network.is_training, training});
    return feeds;
  };
  const auto step = [&] {
    return session.Run(feeds(batch, true), {.target = {network.train}}).status();
  };
  RETURN_IF_ERROR(step());
  const double first = MillisecondsSince(start);
  ASSIGN_OR_RETURN(const Timing train, Time(absl::GetFlag(FLAGS_steps), step));
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const train::Batch many = RandomBatch(5000);
  const train::Batch one = RandomBatch(1);
  const auto infer = [&](const train::Batch& b) {
    return [&] { return session.Run(feeds(b, false), {.fetch = {network.accuracy}}).status(); };
  };
  ASSIGN_OR_RETURN(const Timing infer_5000, Time(5, infer(many)));
  ASSIGN_OR_RETURN(const Timing infer_1, Time(100, infer(one)));
  absl::PrintF(
      "{\"network\": \"%s\", \"threads\": %d, \"train_step_ms\": {\"median\": %.2f, \"min\": "
      "%.2f}, "
      "\"infer_5000_ms\": %.1f, \"infer_1_ms\": %.3f, \"max_rss_mb\": %d, "
      "\"start_to_first_step_ms\": %.1f}\n",
      name, absl::GetFlag(FLAGS_threads), train.median, train.min, infer_5000.min, infer_1.median,
      usage.ru_maxrss / 1024, first);
  return absl::OkStatus();
}

}  // namespace
}  // namespace espalier::mnist

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = espalier::mnist::Main();
  if (!status.ok()) absl::FPrintF(stderr, "notebook_step: %s\n", status.ToString());
  return status.ok() ? 0 : 1;
}
