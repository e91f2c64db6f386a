// What a loop costs: an iteration that does next to nothing, and a training step of an LSTM with
// its gradient through time.
//
//   loops [--steps=50 --batch=32 --units=128 --threads=2]
// Prints one JSON line each: milliseconds, the median of the rounds.
#include <algorithm>
#include <chrono>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/strings/str_format.h"
#include "espalier/espalier.h"

ABSL_FLAG(int, iterations, 100000, "of the trivial loop");
ABSL_FLAG(int, steps, 50, "of the LSTM");
ABSL_FLAG(int, batch, 32, "sequences at a time");
ABSL_FLAG(int, units, 128, "of the LSTM and of its input");
ABSL_FLAG(int, threads, 2, "for kernels");
ABSL_FLAG(int, rounds, 11, "of which the median counts");

namespace espalier {
namespace {

using Values = std::vector<Output>;

absl::StatusOr<double> MedianMilliseconds(const Session& session, const std::vector<Feed>& feeds,
                                          const RunRequest& request) {
  std::vector<double> rounds;
  for (int i = 0; i <= absl::GetFlag(FLAGS_rounds); ++i) {
    const auto start = std::chrono::steady_clock::now();
    RETURN_IF_ERROR(session.Run(feeds, request).status());
    const auto time = std::chrono::steady_clock::now() - start;
    if (i > 0) rounds.push_back(std::chrono::duration<double, std::milli>(time).count());
  }
  std::sort(rounds.begin(), rounds.end());
  return rounds[rounds.size() / 2];
}

absl::Status Trivial() {
  Graph graph;
  const Scope s = graph.root();
  const int iterations = absl::GetFlag(FLAGS_iterations);
  const Values last = WhileLoop(
      s, {Const(s, 0)},
      [&](const Scope& b, const Values& v) { return Less(b, v[0], Const(b, iterations)); },
      [](const Scope& b, const Values& v) -> Values { return {b(v[0]) + 1}; });
  Session session(graph);
  ASSIGN_OR_RETURN(const double time, MedianMilliseconds(session, {}, {.fetch = {last[0]}}));
  absl::PrintF("{\"loop\": \"trivial\", \"iterations\": %d, \"ms\": %.1f}\n", iterations, time);
  return absl::OkStatus();
}

absl::Status Lstm() {
  const int64_t steps = absl::GetFlag(FLAGS_steps), batch = absl::GetFlag(FLAGS_batch),
                units = absl::GetFlag(FLAGS_units);
  Graph graph;
  graph.set_seed(1);
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, {steps, batch, units});
  const Output w =
      Variable(s.Named("w"),
               RandomUniform(s,
                             Const(s, Tensor::Of<int32_t>({2}, {static_cast<int32_t>(2 * units),
                                                                static_cast<int32_t>(4 * units)})),
                             kFloat));
  const Output scaled = s(w) * 0.1f - 0.05f;
  const Output zeros =
      Const(s, Tensor::FromVector<float>({batch, units}, std::vector<float>(batch * units)));
  const Values last = WhileLoop(
      s, {Const(s, 0), zeros, zeros},
      [&](const Scope& b, const Values& v) {
        return Less(b, v[0], Const(b, static_cast<int32_t>(steps)));
      },
      [&](const Scope& b, const Values& v) -> Values {
        const Output input = ConcatV2(b, {GatherV2(b, x, v[0], Const(b, 0)), v[1]}, Const(b, 1));
        const Values gates = Split(b, Const(b, 1), MatMul(b, input, scaled), 4);
        const Output cell =
            b(Sigmoid(b, gates[0])) * b(v[2]) + b(Sigmoid(b, gates[1])) * b(Tanh(b, gates[2]));
        return {b(v[0]) + 1, b(Sigmoid(b, gates[3])) * b(Tanh(b, cell)), cell};
      });
  RETURN_IF_ERROR(graph.status());
  const Output loss = ReduceMean(s, Square(s, last[1]));
  const Operation train = train::GradientDescent(0.1).Minimize(s, loss);
  RETURN_IF_ERROR(graph.status());
  Session session(graph, {.threads = absl::GetFlag(FLAGS_threads)});
  RETURN_IF_ERROR(session.Initialize());
  const Tensor input = Tensor::FromVector<float>({steps, batch, units},
                                                 std::vector<float>(steps * batch * units, 0.5f));
  ASSIGN_OR_RETURN(const double time,
                   MedianMilliseconds(session, {{x, input}}, {.target = {train}}));
  ASSIGN_OR_RETURN(const double forward,
                   MedianMilliseconds(session, {{x, input}}, {.fetch = {loss}}));
  absl::PrintF(
      "{\"loop\": \"lstm\", \"steps\": %d, \"batch\": %d, \"units\": %d, \"train_ms\": %.1f, "
      "\"forward_ms\": %.1f}\n",
      steps, batch, units, time, forward);
  return absl::OkStatus();
}

}  // namespace
}  // namespace espalier

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  for (const auto measure : {espalier::Trivial, espalier::Lstm}) {
    if (const absl::Status status = measure(); !status.ok()) {
      absl::FPrintF(stderr, "loops: %s\n", status.ToString());
      return 1;
    }
  }
}
