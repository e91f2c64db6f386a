// Runs a graph, and holds its variables.
//
//   Session session(graph, {.threads = 2});
//   RETURN_IF_ERROR(session.Initialize());  // the initial values of all variables
//   ASSIGN_OR_RETURN(std::vector<Tensor> out,
//                    session.Run({{x, images}, {is_training, true}},
//                                {.fetch = {loss}, .target = {train}}));
//   ASSIGN_OR_RETURN(Callable step, session.MakeCallable({x, is_training}, {.target = {train}}));
//   RETURN_IF_ERROR(step.Run({images, true}).status());          // no look-up by signature
//
// Run is const and may be called from many threads; what runs share is the variables, whose single
// reads and writes are atomic. A session works on the graph as it was at its first Run; a node made
// later is an error that names its line until Extend takes it in. Everything is freed with the
// session; the Graph must outlive it. By default a session uses the calling thread alone.
#ifndef ESPALIER_RUNTIME_SESSION_H_
#define ESPALIER_RUNTIME_SESSION_H_

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "espalier/graph/graph.h"
#include "espalier/graph/scope.h"
#include "espalier/runtime/executor.h"
#include "espalier/runtime/plan.h"

namespace espalier {

struct SessionOptions {
  // --- Affect performance only: the values are the same bit for bit.
  int threads = 1;             // threads for kernels, the caller included
  ThreadPool* pool = nullptr;  // the caller's own pool instead; must outlive the session
  // Nodes run as their inputs arrive, on the queue that this makes for each Run; unset: one after
  // the other.
  std::function<std::unique_ptr<WorkQueue>()> work_queue;
  CompileOptions compile;
  // --- Affect behaviour.
  MemoryBudget budget;  // RESOURCE_EXHAUSTED above it
  RunLimits limits;
};

// A tensor of the graph, by handle or by name ("x:0", or "x" for output 0).
class Endpoint {
 public:
  Endpoint(const Output& output) : where_(output) {}         // NOLINT(google-explicit-constructor)
  Endpoint(const Expression& e) : where_(e.output()) {}      // NOLINT(google-explicit-constructor)
  Endpoint(std::string name) : where_(std::move(name)) {}    // NOLINT(google-explicit-constructor)
  Endpoint(const char* name) : where_(std::string(name)) {}  // NOLINT(google-explicit-constructor)
  absl::StatusOr<Output> Resolve(const Graph& graph) const;

 private:
  std::variant<Output, std::string> where_;
};

// A node to run, by handle or by name.
class Target {
 public:
  Target(const Operation& operation) : where_(operation) {}  // NOLINT(google-explicit-constructor)
  // NOLINTNEXTLINE(google-explicit-constructor)
  Target(const Output& output) : where_(Operation(output)) {}
  Target(std::string name) : where_(std::move(name)) {}    // NOLINT(google-explicit-constructor)
  Target(const char* name) : where_(std::string(name)) {}  // NOLINT(google-explicit-constructor)
  absl::StatusOr<Operation> Resolve(const Graph& graph) const;

 private:
  std::variant<Operation, std::string> where_;
};

struct Feed {
  Endpoint endpoint;
  Tensor value;
};

struct RunRequest {
  std::vector<Endpoint> fetch = {};
  std::vector<Target> target = {};
};

class Callable;

class Session {
 public:
  explicit Session(const Graph& graph, SessionOptions options = {});
  ~Session();
  Session(const Session&) = delete;  // holds variables
  Session& operator=(const Session&) = delete;

  // Runs the initial value of every variable, those first that others are computed from.
  absl::Status Initialize();
  // Names of the variables that have no value.
  std::vector<std::string> ReportUninitializedVariables() const;

  // The fetched tensors in the order asked for. A tensor both fed and fetched gives the fed value;
  // a fetched variable is read after all writes. Errors: NOT_FOUND for an unknown name (with "did
  // you mean"), INVALID_ARGUMENT for feeds that do not fit or are given twice, FAILED_PRECONDITION
  // for a variable without a value, and what kernels return.
  absl::StatusOr<std::vector<Tensor>> Run(const std::vector<Feed>& feeds,
                                          const RunRequest& request) const;

  // A Run whose feeds, fetches and targets are fixed.
  absl::StatusOr<Callable> MakeCallable(const std::vector<Endpoint>& feeds,
                                        const RunRequest& request) const;

  // Takes in the nodes made since the first Run. All or nothing: the graph's error when it has one.
  absl::Status Extend();

  // What a variable of the graph holds, by its node. FAILED_PRECONDITION when it has no value.
  absl::StatusOr<Tensor> VariableValue(const Node& variable) const;

  // The plan that such a Run uses, as text: one line a node.
  absl::StatusOr<std::string> DescribePlan(const std::vector<Feed>& feeds,
                                           const RunRequest& request) const;

  // Bytes in tensors now, and at most so far.
  int64_t live_bytes() const;
  int64_t peak_bytes() const;

 private:
  friend class Callable;
  struct Compiled;  // all plans of one signature

  absl::Status TakeGraph() const;
  absl::StatusOr<RunSignature> Resolve(const std::vector<Endpoint>& feeds,
                                       const RunRequest& request) const;
  std::shared_ptr<Compiled> FindCompiled(const RunSignature& signature) const;
  absl::StatusOr<std::shared_ptr<const Plan>> PlanFor(Compiled& compiled,
                                                      absl::Span<const Tensor> feeds) const;
  absl::StatusOr<std::vector<Tensor>> RunCompiled(Compiled& compiled,
                                                  absl::Span<const Tensor> feeds) const;

  struct State;
  const Graph& graph_;
  const SessionOptions options_;
  std::unique_ptr<State> state_;
};

// Holds on to a compiled Run; must not outlive its Session. As thread-safe as Run.
class Callable {
 public:
  absl::StatusOr<std::vector<Tensor>> Run(absl::Span<const Tensor> feeds) const;
  absl::StatusOr<std::vector<Tensor>> Run(std::initializer_list<Tensor> feeds) const {
    return Run(absl::MakeConstSpan(feeds.begin(), feeds.size()));
  }

 private:
  friend class Session;
  Callable(const Session* session, std::shared_ptr<Session::Compiled> compiled)
      : session_(session), compiled_(std::move(compiled)) {}
  const Session* session_;
  std::shared_ptr<Session::Compiled> compiled_;
};

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_SESSION_H_
