// Data-flow execution with dead tensors, frames and iterations: TensorFlow 1's dynamic control flow
// (Yu et al. 2018, "Dynamic control flow in large-scale machine learning"). Tested by
// executor_test.cc.
//
// A frame is one run of a loop, an iteration one pass through its body; the Run itself is a frame
// of one iteration. Each iteration has its own values and pending counts. Bookkeeping is under one
// mutex, kernels run outside it.
#include <map>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "espalier/runtime/executor.h"

namespace espalier {
namespace {

struct Frame;

struct Iteration {
  Frame* frame = nullptr;
  int64_t number = 0;
  std::vector<Value> values;     // by slot
  std::vector<int> pending;      // edges still to arrive, by node
  std::vector<int> live_inputs;  // of Merges
  std::vector<int> dead_inputs;  // data or control inputs that came dead
  std::vector<bool> started;
};

struct Frame {
  Frame* parent = nullptr;
  Iteration* parent_iteration = nullptr;
  std::string name;
  std::map<int64_t, std::unique_ptr<Iteration>> iterations;
  int64_t newest = 0;
  int running = 0;  // nodes scheduled in it, and child frames
  int enters_to_come = 0;
  std::vector<std::pair<int, Value>> invariants;  // constant Enters and their values
  std::map<int, bool> exits;                      // Exit nodes seen, and whether one was alive
};

class ControlFlow {
 public:
  ControlFlow(const Plan& plan, absl::Span<Value> slots, const KernelEnvironment& environment,
              WorkQueue& queue, const RunLimits& limits)
      : plan_(plan),
        slots_(slots),
        environment_(environment),
        queue_(queue),
        limits_(limits),
        preset_(plan.num_slots, false) {
    for (int i = 0; i < plan.num_feeds; ++i) preset_[i] = true;
    for (const auto& [slot, value] : plan.presets) preset_[slot] = true;
    for (const PlanNode& node : plan.nodes) {
      if (node.node->traits().is_enter)
        ++enters_of_frame_[node.node->attr<std::string>("frame_name")];
    }
  }

  absl::Status Run() {
    {
      absl::MutexLock lock(&mutex_);
      root_ = NewFrame(nullptr, nullptr, "");
      Iteration* first = NewIteration(*root_, 0);
      for (int i = 0; i < plan_.num_slots; ++i) first->values[i] = slots_[i];
      for (int i = 0; i < static_cast<int>(plan_.nodes.size()); ++i) {
        // Presets and feeds have arrived; a Merge over them alone is ready.
        if (plan_.nodes[i].num_waits == 0) Start(*first, i, false);
      }
    }
    queue_.RunAll();
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(status_);
    Iteration& first = *root_->iterations.at(0);
    for (int i = 0; i < plan_.num_slots; ++i) slots_[i] = first.values[i];
    return absl::OkStatus();
  }

 private:
  Frame* NewFrame(Frame* parent, Iteration* parent_iteration, const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    frames_.push_back(std::make_unique<Frame>());
    Frame* frame = frames_.back().get();
    frame->parent = parent;
    frame->parent_iteration = parent_iteration;
    frame->name = name;
    frame->enters_to_come = parent == nullptr ? 0 : enters_of_frame_[name];
    return frame;
  }

  Iteration* NewIteration(Frame& frame, int64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    auto iteration = std::make_unique<Iteration>();
    iteration->frame = &frame;
    iteration->number = number;
    iteration->values.resize(plan_.num_slots);
    iteration->pending.resize(plan_.nodes.size());
    iteration->live_inputs.resize(plan_.nodes.size());
    iteration->dead_inputs.resize(plan_.nodes.size());
    iteration->started.resize(plan_.nodes.size());
    for (size_t i = 0; i < plan_.nodes.size(); ++i)
      iteration->pending[i] = plan_.nodes[i].num_waits;
    for (const auto& [slot, value] : plan_.presets) iteration->values[slot] = value;
    frame.newest = std::max(frame.newest, number);
    return (frame.iterations[number] = std::move(iteration)).get();
  }

  void Fail(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (status_.ok()) status_ = status;
  }

  void Start(Iteration& iteration, int i, bool dead) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (iteration.started[i]) return;
    iteration.started[i] = true;
    ++iteration.frame->running;
    queue_.Add([this, &iteration, i, dead] { Process(iteration, i, dead); });
  }

  // Runs a node, or passes its deadness on.
  void Process(Iteration& iteration, int i, bool dead) {
    const PlanNode& node = plan_.nodes[i];
    std::vector<Value> inputs;
    {
      absl::MutexLock lock(&mutex_);
      if (!status_.ok()) return;
      if (absl::Now() > limits_.deadline)
        return Fail(absl::DeadlineExceededError("Run: the deadline has passed"));
      for (int slot : node.inputs) inputs.push_back(ValueIn(iteration, slot));
    }
    std::vector<Value> outputs(node.num_outputs);
    absl::Status status;
    if (!dead)
      status = RunNode(node, absl::MakeSpan(inputs), absl::MakeSpan(outputs), environment_);
    inputs.clear();
    absl::MutexLock lock(&mutex_);
    if (!status.ok()) return Fail(status);
    if (!status_.ok()) return;
    Propagate(iteration, i, outputs, dead);
    --iteration.frame->running;
    FinishIfDone(iteration.frame);
  }

  // Feeds are values of the root, known in every frame.
  Value ValueIn(Iteration& iteration, int slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (slot < plan_.num_feeds) return slots_[slot];
    return iteration.values[slot];
  }

  void Propagate(Iteration& iteration, int i, const std::vector<Value>& outputs, bool dead)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const PlanNode& node = plan_.nodes[i];
    const OpTraits& traits = node.node->traits();
    Frame& frame = *iteration.frame;
    if (traits.is_enter) {
      Frame* child = FindChild(iteration, node.node->attr<std::string>("frame_name"));
      --child->enters_to_come;
      if (node.node->attr<bool>("is_constant")) {
        child->invariants.push_back({i, dead ? Value() : outputs[0]});
        for (auto& [number, later] : child->iterations) Deliver(*later, i, outputs, dead);
      } else {
        Deliver(*child->iterations.at(0), i, outputs, dead);
      }
      FinishIfDone(child);
      return;
    }
    if (traits.is_exit) {
      frame.exits[i] = frame.exits[i] || !dead;
      if (!dead && frame.parent_iteration != nullptr)
        Deliver(*frame.parent_iteration, i, outputs, false);
      return;
    }
    if (traits.is_next_iteration) {
      if (dead) return;  // the loop ends here
      const int64_t number = iteration.number + 1;
      if (number > limits_.max_loop_iterations) {
        return Fail(
            absl::ResourceExhaustedError(absl::StrCat(node.node->Describe(), ": the loop has run ",
                                                      limits_.max_loop_iterations, " iterations")));
      }
      const auto it = frame.iterations.find(number);
      Iteration* next = it == frame.iterations.end() ? nullptr : it->second.get();
      if (next == nullptr) {
        next = NewIteration(frame, number);
        for (const auto& [enter, value] : frame.invariants)
          Deliver(*next, enter, {value}, !value.present());
      }
      Deliver(*next, i, outputs, false);
      return;
    }
    Deliver(iteration, i, outputs, dead);
  }

  Frame* FindChild(Iteration& iteration, const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Frame*& child = children_[{&iteration, name}];
    if (child == nullptr) {
      child = NewFrame(iteration.frame, &iteration, name);
      NewIteration(*child, 0);
      ++iteration.frame->running;  // the parent is not done before its child is
    }
    return child;
  }

  // The outputs of node i arrive at its consumers in `iteration`.
  void Deliver(Iteration& iteration, int i, const std::vector<Value>& outputs, bool dead)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const PlanNode& node = plan_.nodes[i];
    for (int o = 0; o < node.num_outputs; ++o) {
      iteration.values[node.first_output + o] = dead ? Value() : outputs[o];
    }
    for (const auto& [consumer, output] : node.consumers) {
      const bool alive = !dead && outputs[output].present();
      if (plan_.nodes[consumer].node->traits().is_merge) {
        ArriveAtMerge(iteration, consumer, alive, node.node->traits().is_enter);
      } else {
        Arrive(iteration, consumer, alive);
      }
    }
    for (int consumer : node.control_consumers) {
      const OpTraits& traits = plan_.nodes[consumer].node->traits();
      if (traits.is_merge) {
        ArriveAtMerge(iteration, consumer, {}, false);
      } else {
        Arrive(iteration, consumer, !dead || traits.is_control_trigger);
      }
    }
    for (int consumer : node.order_consumers) {
      if (plan_.nodes[consumer].node->traits().is_merge) {
        ArriveAtMerge(iteration, consumer, {}, false);
      } else {
        Arrive(iteration, consumer, true);
      }
    }
  }

  void Arrive(Iteration& iteration, int i, bool alive) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!alive) ++iteration.dead_inputs[i];
    if (--iteration.pending[i] == 0) Start(iteration, i, iteration.dead_inputs[i] > 0);
  }

  // A Merge runs when one live input has come, or all came dead (a dead Enter is enough: the loop
  // is not entered), and nothing that it waits for besides is missing. `alive` is empty for an edge
  // that carries no data.
  void ArriveAtMerge(Iteration& iteration, int i, std::optional<bool> alive, bool from_enter)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const PlanNode& node = plan_.nodes[i];
    --iteration.pending[i];
    int data_edges = 0;
    for (int slot : node.inputs) data_edges += preset_[slot] ? 0 : 1;
    const int data_arrived = iteration.live_inputs[i] + iteration.dead_inputs[i] + (alive ? 1 : 0);
    if (alive) ++(*alive ? iteration.live_inputs[i] : iteration.dead_inputs[i]);
    const int others_missing = iteration.pending[i] - (data_edges - data_arrived);
    if (others_missing > 0) return;
    const bool some_preset = data_edges < static_cast<int>(node.inputs.size());
    if (iteration.live_inputs[i] > 0 || some_preset) {
      Start(iteration, i, false);
    } else if (iteration.dead_inputs[i] == data_edges || from_enter) {
      Start(iteration, i, true);
    }
  }

  // A loop that has nothing left to run tells its parent of the Exits that were never alive.
  void FinishIfDone(Frame* frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (frame->parent == nullptr || frame->running > 0 || frame->enters_to_come > 0) return;
    Frame* parent = frame->parent;
    for (const auto& [exit, alive] : frame->exits) {
      if (!alive) Deliver(*frame->parent_iteration, exit, {Value()}, true);
    }
    children_.erase({frame->parent_iteration, frame->name});
    frame->iterations.clear();
    --parent->running;
    FinishIfDone(parent);
  }

  const Plan& plan_;
  absl::Span<Value> slots_;
  const KernelEnvironment& environment_;
  WorkQueue& queue_;
  const RunLimits& limits_;
  std::vector<bool> preset_;  // feeds and presets: there before the first node runs
  std::map<std::string, int> enters_of_frame_;
  absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  Frame* root_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::vector<std::unique_ptr<Frame>> frames_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<Iteration*, std::string>, Frame*> children_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::Status ExecuteControlFlow(const Plan& plan, absl::Span<Value> slots,
                                const KernelEnvironment& environment, WorkQueue& queue,
                                const RunLimits& limits) {
  return ControlFlow(plan, slots, environment, queue, limits).Run();
}

}  // namespace espalier
