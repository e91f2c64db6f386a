// Tested by session_test.cc.
#include "espalier/runtime/session.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

namespace espalier {
namespace {

constexpr size_t kMaxDecidedPlans = 8;

absl::Status CheckFeed(const Output& output, const Tensor& value) {
  const auto error = [&](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat("feed of ", output.name(), ": ", what,
                                                   "; it is output ", output.index(), " of ",
                                                   output.node()->Describe()));
  };
  if (!value.valid()) return error("the tensor is empty");
  if (IsRef(output.dtype()))
    return error("a variable cannot be fed; feed what reads it, or assign it");
  if (output.dtype() != kInvalidDType && value.dtype() != output.dtype()) {
    return error(absl::StrCat("expected ", DTypeName(output.dtype()), ", received ",
                              DTypeName(value.dtype())));
  }
  if (!Shape::Compatible(output.shape(), value.shape())) {
    return error(absl::StrCat("expected shape ", output.shape().ToString(), ", received ",
                              value.shape().ToString()));
  }
  return absl::OkStatus();
}

std::pair<std::vector<Endpoint>, std::vector<Tensor>> Split(const std::vector<Feed>& feeds) {
  std::pair<std::vector<Endpoint>, std::vector<Tensor>> split;
  for (const Feed& feed : feeds) {
    split.first.push_back(feed.endpoint);
    split.second.push_back(feed.value);
  }
  return split;
}

// The variables that `node` reads, directly or through other nodes.
std::vector<const Node*> VariablesBefore(const Node* node) {
  std::vector<const Node*> queue = {node};
  absl::flat_hash_set<const Node*> seen = {node};
  std::vector<const Node*> variables;
  for (size_t i = 0; i < queue.size(); ++i) {
    if (queue[i]->traits().is_variable) variables.push_back(queue[i]);
    for (const Output& input : queue[i]->inputs()) {
      if (input.valid() && seen.insert(input.node()).second) queue.push_back(input.node());
    }
  }
  return variables;
}

}  // namespace

absl::StatusOr<Output> Endpoint::Resolve(const Graph& graph) const {
  if (const auto* name = std::get_if<std::string>(&where_)) return graph.FindOutput(*name);
  const Output output = std::get<Output>(where_);
  if (!output.valid()) return absl::InvalidArgumentError("Run: an empty Output is fed or fetched");
  if (output.node()->graph() != &graph) {
    return absl::InvalidArgumentError(absl::StrCat(
        "Run: ", output.name(), " of ", output.node()->Describe(), " belongs to another graph"));
  }
  if (output.index() < 0 || output.index() >= output.node()->num_outputs()) {
    return absl::NotFoundError(absl::StrCat("there is no output ", output.index(), ": ",
                                            output.node()->Describe(), " has ",
                                            output.node()->num_outputs(), " outputs"));
  }
  return output;
}

absl::StatusOr<Operation> Target::Resolve(const Graph& graph) const {
  if (const auto* name = std::get_if<std::string>(&where_)) return graph.FindOperation(*name);
  const Operation operation = std::get<Operation>(where_);
  if (!operation.valid()) return absl::InvalidArgumentError("Run: an empty Operation is a target");
  if (operation.node()->graph() != &graph) {
    return absl::InvalidArgumentError(
        absl::StrCat("Run: ", operation.node()->Describe(), " belongs to another graph"));
  }
  return operation;
}

// All plans of one signature: one for each combination of fed scalar bools, up to a few, then the
// general one.
struct Session::Compiled {
  RunSignature signature;
  int node_limit = 0;
  std::vector<int> bool_feeds;
  absl::Mutex mutex;
  std::map<std::vector<bool>, std::shared_ptr<const Plan>> decided ABSL_GUARDED_BY(mutex);
  std::shared_ptr<const Plan> general ABSL_GUARDED_BY(mutex);
};

struct Session::State {
  std::unique_ptr<ThreadPool> own_pool;
  ThreadPool* pool = nullptr;
  std::shared_ptr<RecyclingAllocator> allocator;
  KernelEnvironment environment;
  VariableStore variables;
  KernelCache kernels;
  absl::Mutex mutex;
  int node_limit ABSL_GUARDED_BY(mutex) = -1;
  absl::flat_hash_map<RunSignature, std::shared_ptr<Compiled>> compiled ABSL_GUARDED_BY(mutex);
};

Session::Session(const Graph& graph, SessionOptions options)
    : graph_(graph), options_(std::move(options)), state_(std::make_unique<State>()) {
  if (options_.pool == nullptr && options_.threads > 1) {
    state_->own_pool = std::make_unique<ThreadPool>(options_.threads);
  }
  state_->pool = options_.pool == nullptr ? state_->own_pool.get() : options_.pool;
  state_->allocator = std::make_shared<RecyclingAllocator>(options_.budget);
  state_->environment = {.pool = state_->pool, .allocator = state_->allocator};
}

Session::~Session() = default;

absl::Status Session::TakeGraph() const {
  absl::MutexLock lock(&state_->mutex);
  if (state_->node_limit >= 0) return absl::OkStatus();
  RETURN_IF_ERROR(graph_.status());
  state_->node_limit = graph_.num_nodes();
  return absl::OkStatus();
}

absl::Status Session::Extend() {
  absl::MutexLock lock(&state_->mutex);
  RETURN_IF_ERROR(graph_.status());
  state_->node_limit = graph_.num_nodes();
  return absl::OkStatus();
}

absl::StatusOr<RunSignature> Session::Resolve(const std::vector<Endpoint>& feeds,
                                              const RunRequest& request) const {
  RETURN_IF_ERROR(TakeGraph());
  RunSignature signature;
  for (const Endpoint& feed : feeds) {
    ASSIGN_OR_RETURN(Output output, feed.Resolve(graph_));
    signature.feeds.push_back(output);
  }
  for (const Endpoint& fetch : request.fetch) {
    ASSIGN_OR_RETURN(Output output, fetch.Resolve(graph_));
    signature.fetches.push_back(output);
  }
  for (const Target& target : request.target) {
    ASSIGN_OR_RETURN(Operation operation, target.Resolve(graph_));
    signature.targets.push_back(operation.node());
  }
  return signature;
}

std::shared_ptr<Session::Compiled> Session::FindCompiled(const RunSignature& signature) const {
  absl::MutexLock lock(&state_->mutex);
  std::shared_ptr<Compiled>& compiled = state_->compiled[signature];
  if (!compiled || compiled->node_limit != state_->node_limit) {
    compiled = std::make_shared<Compiled>();
    compiled->signature = signature;
    compiled->node_limit = state_->node_limit;
    for (size_t i = 0; i < signature.feeds.size(); ++i) {
      if (signature.feeds[i].dtype() == kBool) compiled->bool_feeds.push_back(static_cast<int>(i));
    }
  }
  return compiled;
}

absl::StatusOr<std::shared_ptr<const Plan>> Session::PlanFor(Compiled& compiled,
                                                             absl::Span<const Tensor> feeds) const {
  std::vector<bool> key;
  std::map<int, Tensor> known;
  for (int i : compiled.bool_feeds) {
    if (feeds[i].rank() != 0) continue;
    known[i] = feeds[i];
    key.push_back(feeds[i].scalar<bool>());
  }
  absl::MutexLock lock(&compiled.mutex);
  const auto it = compiled.decided.find(key);
  if (it != compiled.decided.end()) return it->second;
  const bool general = compiled.decided.size() >= kMaxDecidedPlans;
  if (general && compiled.general) return compiled.general;
  for (const Output& feed : compiled.signature.feeds) {
    if (feed.node()->id() < compiled.node_limit) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("feed of ", feed.name(), ": ", feed.node()->Describe(),
                     " was made after the session took its graph; Session::Extend takes it in"));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Plan> plan,
                   CompilePlan(compiled.signature, compiled.node_limit,
                               general ? std::map<int, Tensor>() : known, state_->variables,
                               state_->kernels, options_.compile));
  std::shared_ptr<const Plan>& slot = general ? compiled.general : compiled.decided[key];
  slot = std::move(plan);
  return slot;
}

absl::StatusOr<std::vector<Tensor>> Session::RunCompiled(Compiled& compiled,
                                                         absl::Span<const Tensor> feeds) const {
  if (feeds.size() != compiled.signature.feeds.size()) {
    return absl::InvalidArgumentError(absl::StrCat("expected ", compiled.signature.feeds.size(),
                                                   " feeds, received ", feeds.size()));
  }
  for (size_t i = 0; i < feeds.size(); ++i)
    RETURN_IF_ERROR(CheckFeed(compiled.signature.feeds[i], feeds[i]));
  ASSIGN_OR_RETURN(std::shared_ptr<const Plan> plan, PlanFor(compiled, feeds));
  std::unique_ptr<WorkQueue> queue = options_.work_queue ? options_.work_queue() : nullptr;
  return Execute(*plan, feeds, state_->environment, queue.get(), options_.limits);
}

absl::StatusOr<std::vector<Tensor>> Session::Run(const std::vector<Feed>& feeds,
                                                 const RunRequest& request) const {
  const auto [endpoints, values] = Split(feeds);
  ASSIGN_OR_RETURN(Callable callable, MakeCallable(endpoints, request));
  return callable.Run(values);
}

absl::StatusOr<Tensor> Session::VariableValue(const Node& variable) const {
  const std::shared_ptr<VariableSlot> slot = state_->variables.Find(VariableKey(variable));
  if (slot != nullptr && slot->initialized()) return slot->Read();
  return absl::FailedPreconditionError(
      absl::StrCat(variable.Describe(), ": the variable is uninitialized"));
}

absl::StatusOr<Callable> Session::MakeCallable(const std::vector<Endpoint>& feeds,
                                               const RunRequest& request) const {
  ASSIGN_OR_RETURN(RunSignature signature, Resolve(feeds, request));
  absl::flat_hash_set<Output> fed;
  for (const Output& feed : signature.feeds) {
    if (!fed.insert(feed).second) {
      return absl::InvalidArgumentError(absl::StrCat(feed.name(), " is fed more than once"));
    }
  }
  return Callable(this, FindCompiled(signature));
}

absl::StatusOr<std::vector<Tensor>> Callable::Run(absl::Span<const Tensor> feeds) const {
  return session_->RunCompiled(*compiled_, feeds);
}

absl::StatusOr<std::string> Session::DescribePlan(const std::vector<Feed>& feeds,
                                                  const RunRequest& request) const {
  const auto [endpoints, values] = Split(feeds);
  ASSIGN_OR_RETURN(Callable callable, MakeCallable(endpoints, request));
  ASSIGN_OR_RETURN(std::shared_ptr<const Plan> plan, PlanFor(*callable.compiled_, values));
  return plan->debug_string;
}

absl::Status Session::Initialize() {
  RETURN_IF_ERROR(TakeGraph());
  // Variables whose initial values read no variable that is still waiting go first.
  std::map<int, std::pair<const Node*, std::vector<const Node*>>> waiting;  // by id of the variable
  for (const auto& [variable, assign] : graph_.initializers()) {
    waiting[variable->id()] = {assign, VariablesBefore(assign->input(1).node())};
  }
  while (!waiting.empty()) {
    RunRequest wave;
    std::vector<int> done;
    for (const auto& [id, initializer] : waiting) {
      const bool ready = std::none_of(initializer.second.begin(), initializer.second.end(),
                                      [&](const Node* v) { return waiting.contains(v->id()); });
      if (!ready) continue;
      wave.target.push_back(Operation(initializer.first));
      done.push_back(id);
    }
    if (done.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the initial values of ", waiting.size(), " variables depend on each other, among them ",
          waiting.begin()->second.first->input(0).name()));
    }
    RETURN_IF_ERROR(Run({}, wave).status());
    for (int id : done) waiting.erase(id);
  }
  return absl::OkStatus();
}

std::vector<std::string> Session::ReportUninitializedVariables() const {
  std::vector<std::string> names;
  for (const Output& variable : graph_.collection_outputs(kGlobalVariables)) {
    if (!variable.valid()) continue;
    const Node& node = *variable.node();
    const auto& shared = node.attr<std::string>("shared_name");
    const std::string key = absl::StrCat(node.attr<std::string>("container"), "\n",
                                         shared.empty() ? node.name() : shared);
    const std::shared_ptr<VariableSlot> slot = state_->variables.Find(key);
    if (slot == nullptr || !slot->initialized()) names.push_back(node.name());
  }
  return names;
}

int64_t Session::live_bytes() const { return state_->allocator->live_bytes(); }
int64_t Session::peak_bytes() const { return state_->allocator->peak_bytes(); }

}  // namespace espalier
