// Data-flow execution with dead tensors, frames and iterations: TensorFlow 1's dynamic control flow
// (Yu et al. 2018, "Dynamic control flow in large-scale machine learning"). Tested by
// control_flow_test.cc and loops_test.cc.
//
// A frame is one run of a loop, an iteration one pass through its body; the Run itself is a frame
// of one iteration. Each iteration has its own values and pending counts, no larger than its frame,
// and goes when nothing in it is left to run. Bookkeeping is under one mutex, kernels run outside
// it. Without a queue of its own a Run needs no closures: nodes wait in a list.
#include <deque>
#include <memory>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "espalier/runtime/executor.h"

namespace espalier {
namespace {

struct Frame;

// What has arrived at a node in one iteration.
struct NodeState {
  int pending = 0;      // edges still to come
  int live_inputs = 0;  // of a Merge
  int dead_inputs = 0;  // data or control inputs that came dead
  bool started = false;
};

struct Iteration {
  Frame* frame = nullptr;
  int64_t number = 0;
  int outstanding = 0;            // nodes that wait or run, and loops within
  std::vector<Value> values;      // by local slot
  std::vector<NodeState> states;  // by local node
  std::vector<Frame*> children;   // the loops that run in it
};

// A value that a loop is given from outside or from one iteration to the next.
struct Arrival {
  int node = 0;
  Value value;  // not present when dead
};

struct Frame {
  int plan = 0;
  Iteration* parent = nullptr;
  std::deque<std::unique_ptr<Iteration>> iterations;  // those that run; the oldest first
  int enters_to_come = 0;
  std::vector<Arrival> constants;           // of the constant Enters, for later iterations
  std::vector<Arrival> deferred;            // for the next iteration, when there are too many
  std::vector<std::pair<int, bool>> exits;  // Exits that have run, and whether one was alive
};

// Holds the mutex when other threads may want it.
class ABSL_SCOPED_LOCKABLE Lock {
 public:
  Lock(absl::Mutex* mutex, bool shared) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex)
      : mutex_(shared ? mutex : nullptr) {
    if (mutex_ != nullptr) mutex_->Lock();
  }
  ~Lock() ABSL_UNLOCK_FUNCTION() {
    if (mutex_ != nullptr) mutex_->Unlock();
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  absl::Mutex* mutex_;
};

class ControlFlow {
 public:
  ControlFlow(const Plan& plan, absl::Span<Value> slots, const KernelEnvironment& environment,
              WorkQueue* queue, const RunLimits& limits)
      : plan_(plan),
        slots_(slots),
        environment_(environment),
        queue_(queue),
        limits_(limits),
        timed_(limits.deadline != absl::InfiniteFuture()),
        states_(plan.frames.size()),
        spare_frames_(plan.frames.size()),
        spare_iterations_(plan.frames.size()) {
    for (size_t f = 0; f < plan.frames.size(); ++f) {
      for (const int i : plan.frames[f].nodes) states_[f].push_back({plan.nodes[i].num_waits});
    }
  }

  absl::Status Run() {
    {
      Lock lock(&mutex_, queue_ != nullptr);
      root_ = NewFrame(0, nullptr);
      Iteration& first = NewIteration(*root_, 0);
      ++first.outstanding;  // the Run's values stay
      for (const int i : plan_.frames[0].nodes) {
        // Presets and feeds have arrived; a Merge over them alone is ready.
        if (plan_.nodes[i].num_waits == 0) Start(first, i, false);
      }
    }
    if (queue_ != nullptr) {
      queue_->RunAll();
    } else {
      while (!ready_.empty()) {
        const Ready next = ready_.front();
        ready_.pop_front();
        Process(*next.iteration, next.node, next.dead);
      }
    }
    Lock lock(&mutex_, queue_ != nullptr);
    RETURN_IF_ERROR(status_);
    Iteration& first = *root_->iterations.front();
    for (const PlanFetch& fetch : plan_.fetches) {
      const int local = plan_.slot_local[fetch.slot];
      if (local >= 0) slots_[fetch.slot] = first.values[local];
    }
    return absl::OkStatus();
  }

 private:
  struct Ready {
    Iteration* iteration;
    int node;
    bool dead;
  };

  Frame* NewFrame(int plan, Iteration* parent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<Frame*>& spare = spare_frames_[plan];
    if (spare.empty()) {
      frames_.push_back(std::make_unique<Frame>());
      spare.push_back(frames_.back().get());
    }
    Frame* frame = spare.back();
    spare.pop_back();
    frame->plan = plan;
    frame->parent = parent;
    frame->enters_to_come = plan_.frames[plan].num_enters;
    return frame;
  }

  Iteration& NewIteration(Frame& frame, int64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    auto& spare = spare_iterations_[frame.plan];
    if (spare.empty()) spare.push_back(std::make_unique<Iteration>());
    std::unique_ptr<Iteration> iteration = std::move(spare.back());
    spare.pop_back();
    iteration->frame = &frame;
    iteration->number = number;
    iteration->values.resize(plan_.frames[frame.plan].num_slots);
    iteration->states = states_[frame.plan];
    frame.iterations.push_back(std::move(iteration));
    Iteration& added = *frame.iterations.back();
    for (const Arrival& constant : frame.constants) Deliver(added, constant);
    return added;
  }

  void Fail(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (status_.ok()) status_ = status;
  }

  NodeState& StateOf(Iteration& iteration, int i) const {
    return iteration.states[plan_.nodes[i].local];
  }

  void Start(Iteration& iteration, int i, bool dead) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    NodeState& state = StateOf(iteration, i);
    if (state.started) return;
    state.started = true;
    ++iteration.outstanding;
    if (queue_ != nullptr) {
      queue_->Add([this, &iteration, i, dead] { Process(iteration, i, dead); });
    } else {
      ready_.push_back({&iteration, i, dead});
    }
  }

  // Runs a node, or passes its deadness on.
  void Process(Iteration& iteration, int i, bool dead) {
    const PlanNode& node = plan_.nodes[i];
    absl::InlinedVector<Value, 4> inputs;
    absl::InlinedVector<Value, 2> outputs(node.num_outputs);
    absl::Status status;
    if (timed_ && absl::Now() > limits_.deadline)
      status = absl::DeadlineExceededError("Run: the deadline has passed");
    {
      Lock lock(&mutex_, queue_ != nullptr);
      if (!status.ok()) Fail(status);
      if (!status_.ok()) return;
      if (!dead) {
        for (const int slot : node.inputs) inputs.push_back(Take(iteration, slot));
      }
    }
    if (!dead && !Forward(node, absl::MakeSpan(inputs), absl::MakeSpan(outputs)))
      status = RunNode(node, absl::MakeSpan(inputs), absl::MakeSpan(outputs), environment_);
    inputs.clear();
    Lock lock(&mutex_, queue_ != nullptr);
    if (!status.ok()) Fail(status);
    if (!status_.ok()) return;
    Propagate(iteration, i, absl::MakeSpan(outputs), dead);
    --iteration.outstanding;
    CleanUp(*iteration.frame);
  }

  // What passes one value on needs no kernel, unless it reads a variable. False for other nodes.
  bool Forward(const PlanNode& node, absl::Span<Value> inputs, absl::Span<Value> outputs) const {
    const OpTraits& traits = node.node->traits();
    int live = 0;
    if (traits.is_merge) {
      while (live < static_cast<int>(inputs.size()) && !inputs[live].present()) ++live;
      if (live == static_cast<int>(inputs.size())) return false;
      if (plan_.slot_uses[node.first_output + 1] > 0)
        outputs[1].tensor = Tensor(static_cast<int32_t>(live));
    } else if (!traits.is_enter && !traits.is_exit && !traits.is_next_iteration &&
               !traits.is_loop_cond) {
      return false;
    }
    if (inputs[live].variable != nullptr) return false;
    outputs[0] = std::move(inputs[live]);
    return true;
  }

  // Feeds and presets are values of the Run, known in every frame. A value with a single reader is
  // moved to it, which may then work in place.
  Value Take(Iteration& iteration, int slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const int local = plan_.slot_local[slot];
    if (local < 0) return slots_[slot];
    if (plan_.slot_uses[slot] == 1) return std::move(iteration.values[local]);
    return iteration.values[local];
  }

  void Propagate(Iteration& iteration, int i, absl::Span<Value> outputs, bool dead)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const OpTraits& traits = plan_.nodes[i].node->traits();
    Frame& frame = *iteration.frame;
    if (traits.is_enter) {
      Enter(iteration, {i, dead ? Value() : std::move(outputs[0])});
    } else if (traits.is_exit) {
      Leave(frame, i, !dead);
      if (!dead) Deliver(*frame.parent, i, outputs, false);
    } else if (traits.is_next_iteration) {
      // A dead one: the loop ends here.
      if (!dead) GoOn(iteration, {i, std::move(outputs[0])});
    } else {
      Deliver(iteration, i, outputs, dead);
    }
  }

  // An Exit runs in every iteration, and is alive in at most one.
  static void Leave(Frame& frame, int exit, bool alive) {
    for (auto& [node, lived] : frame.exits) {
      if (node != exit) continue;
      lived = lived || alive;
      return;
    }
    frame.exits.push_back({exit, alive});
  }

  void Enter(Iteration& iteration, Arrival arrival) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const PlanNode& node = plan_.nodes[arrival.node];
    const int plan = node.outputs_frame;
    Frame* child = nullptr;
    for (Frame* running : iteration.children) {
      if (running->plan == plan) child = running;
    }
    if (child == nullptr) {
      child = NewFrame(plan, &iteration);
      iteration.children.push_back(child);
      ++iteration.outstanding;  // it is not done before its loops are
      NewIteration(*child, 0);
    }
    --child->enters_to_come;
    if (node.node->attr<bool>("is_constant")) {
      for (const auto& running : child->iterations) Deliver(*running, arrival);
      child->constants.push_back(std::move(arrival));
    } else {
      Deliver(*child->iterations.front(), arrival);  // 0: it stays until all Enters have come
    }
    CleanUp(*child);
  }

  // A value for the iteration after this one, which may have to wait for the oldest to end.
  void GoOn(Iteration& iteration, Arrival arrival) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Frame& frame = *iteration.frame;
    const int64_t number = iteration.number + 1;
    if (number > limits_.max_loop_iterations) {
      return Fail(absl::ResourceExhaustedError(
          absl::StrCat(plan_.nodes[arrival.node].node->Describe(), ": the loop has run ",
                       limits_.max_loop_iterations, " iterations")));
    }
    const int64_t oldest = frame.iterations.front()->number;
    const auto running = static_cast<int64_t>(frame.iterations.size());
    if (number < oldest + running) {
      Deliver(*frame.iterations[number - oldest], arrival);
    } else if (running < plan_.frames[frame.plan].parallel_iterations) {
      Deliver(NewIteration(frame, number), arrival);
    } else {
      frame.deferred.push_back(std::move(arrival));
    }
  }

  void Deliver(Iteration& iteration, const Arrival& arrival) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Value value = arrival.value;
    const bool dead = !value.present();
    Deliver(iteration, arrival.node, absl::MakeSpan(&value, 1), dead);
  }

  // The outputs of node i arrive at its consumers in `iteration`.
  void Deliver(Iteration& iteration, int i, absl::Span<Value> outputs, bool dead)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const PlanNode& node = plan_.nodes[i];
    absl::InlinedVector<bool, 2> alive(node.num_outputs, false);
    for (int o = 0; o < node.num_outputs; ++o) {
      const int slot = node.first_output + o;
      alive[o] = !dead && outputs[o].present();
      if (alive[o] && plan_.slot_uses[slot] > 0)
        iteration.values[plan_.slot_local[slot]] = std::move(outputs[o]);
    }
    for (const auto& [consumer, output] : node.consumers) {
      if (plan_.nodes[consumer].node->traits().is_merge) {
        ArriveAtMerge(iteration, consumer, alive[output], node.node->traits().is_enter);
      } else {
        Arrive(iteration, consumer, alive[output]);
      }
    }
    for (const int consumer : node.control_consumers) {
      const OpTraits& traits = plan_.nodes[consumer].node->traits();
      if (traits.is_merge) {
        ArriveAtMerge(iteration, consumer, {}, false);
      } else {
        Arrive(iteration, consumer, !dead || traits.is_control_trigger);
      }
    }
    ArriveInOrder(iteration, node.order_consumers);
  }

  void ArriveInOrder(Iteration& iteration, const std::vector<int>& consumers)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const int consumer : consumers) {
      if (plan_.nodes[consumer].node->traits().is_merge) {
        ArriveAtMerge(iteration, consumer, {}, false);
      } else {
        Arrive(iteration, consumer, true);
      }
    }
  }

  void Arrive(Iteration& iteration, int i, bool alive) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    NodeState& state = StateOf(iteration, i);
    if (!alive) ++state.dead_inputs;
    if (--state.pending == 0) Start(iteration, i, state.dead_inputs > 0);
  }

  // A Merge runs when one live input has come, or all came dead (a dead Enter is enough: the loop
  // is not entered), and nothing that it waits for besides is missing. `alive` is empty for an edge
  // that carries no data.
  void ArriveAtMerge(Iteration& iteration, int i, std::optional<bool> alive, bool from_enter)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const PlanNode& node = plan_.nodes[i];
    NodeState& state = StateOf(iteration, i);
    --state.pending;
    if (alive) ++(*alive ? state.live_inputs : state.dead_inputs);
    const int data_arrived = state.live_inputs + state.dead_inputs;
    const int others_missing = state.pending - (node.data_waits - data_arrived);
    if (others_missing > 0) return;
    const bool some_preset = node.data_waits < static_cast<int>(node.inputs.size());
    if (state.live_inputs > 0 || some_preset) {
      Start(iteration, i, false);
    } else if (state.dead_inputs == node.data_waits || from_enter) {
      Start(iteration, i, true);
    }
  }

  // Lets go of iterations that have nothing left to run, oldest first, and of the loop after the
  // last: then its parent learns of the Exits that were never alive.
  void CleanUp(Frame& frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    while (frame.enters_to_come == 0 && !frame.iterations.empty() &&
           frame.iterations.front()->outstanding == 0) {
      std::unique_ptr<Iteration> done = std::move(frame.iterations.front());
      frame.iterations.pop_front();
      const int64_t next = done->number + 1 + static_cast<int64_t>(frame.iterations.size());
      for (Value& value : done->values) value = Value();
      spare_iterations_[frame.plan].push_back(std::move(done));
      if (frame.deferred.empty()) continue;
      std::vector<Arrival> arrivals = std::move(frame.deferred);
      frame.deferred.clear();
      Iteration& iteration = NewIteration(frame, next);
      for (const Arrival& arrival : arrivals) Deliver(iteration, arrival);
    }
    if (frame.enters_to_come == 0 && frame.iterations.empty()) Finish(frame);
  }

  void Finish(Frame& frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Iteration& parent = *frame.parent;
    std::erase(parent.children, &frame);
    Value none;
    for (const auto& [exit, alive] : frame.exits) {
      if (!alive) Deliver(parent, exit, absl::MakeSpan(&none, 1), true);
    }
    ArriveInOrder(parent, plan_.frames[frame.plan].order_consumers);
    frame.exits.clear();
    frame.constants.clear();
    spare_frames_[frame.plan].push_back(&frame);
    --parent.outstanding;
    CleanUp(*parent.frame);
  }

  const Plan& plan_;
  absl::Span<Value> slots_;
  const KernelEnvironment& environment_;
  WorkQueue* const queue_;  // null: the calling thread alone, which takes from ready_
  const RunLimits& limits_;
  const bool timed_;
  std::vector<std::vector<NodeState>> states_;  // of a new iteration, by frame of the plan
  std::deque<Ready> ready_;
  absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  Frame* root_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::vector<std::unique_ptr<Frame>> frames_ ABSL_GUARDED_BY(mutex_);
  // To be used again, by frame of the plan.
  std::vector<std::vector<Frame*>> spare_frames_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::vector<std::unique_ptr<Iteration>>> spare_iterations_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::Status ExecuteControlFlow(const Plan& plan, absl::Span<Value> slots,
                                const KernelEnvironment& environment, WorkQueue* queue,
                                const RunLimits& limits) {
  return ControlFlow(plan, slots, environment, queue, limits).Run();
}

}  // namespace espalier
