// What a kernel sees while it runs.
//
//   absl::StatusOr<KernelFunction> MakeSquare(const Node& node) {
//     return KernelFunction([](KernelContext& context) -> absl::Status {
//       ASSIGN_OR_RETURN(Tensor y, context.ForwardOrAllocate(0, context.input(0).shape()));
//       ...
//       context.set_output(0, std::move(y));
//       return absl::OkStatus();
//     });
//   }
//
// A KernelContext belongs to one execution of one node. Inputs are values: nothing that happens
// later changes them. The error that a kernel returns is completed with the node's name and source
// line.
#ifndef ESPALIER_RUNTIME_KERNEL_H_
#define ESPALIER_RUNTIME_KERNEL_H_

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "espalier/graph/graph.h"
#include "espalier/graph/status_macros.h"
#include "espalier/graph/tensor.h"
#include "espalier/runtime/thread_pool.h"
#include "espalier/runtime/variable_store.h"

namespace espalier {

// Something that lives within one Run and goes with the edges that carry its handle: a stack, a
// tensor array. Its class says what is thread-safe.
class RunObject {
 public:
  RunObject() = default;
  virtual ~RunObject() = default;
  RunObject(const RunObject&) = delete;  // has an identity
  RunObject& operator=(const RunObject&) = delete;
};

// What travels along an edge: a tensor, the variable itself, or a handle (a tensor) with its
// object.
struct Value {
  Tensor tensor;
  std::shared_ptr<VariableSlot> variable;
  std::shared_ptr<RunObject> object = nullptr;
  bool present() const { return tensor.valid() || variable != nullptr; }
};

// What kernels share within a session.
struct KernelEnvironment {
  ThreadPool* pool = nullptr;            // null: the calling thread alone
  std::shared_ptr<Allocator> allocator;  // null: the heap
};

class KernelContext {
 public:
  KernelContext(const Node& node, absl::Span<Value> inputs, absl::Span<Value> outputs,
                const KernelEnvironment& environment)
      : node_(node), inputs_(inputs), outputs_(outputs), environment_(environment) {}

  const Node& node() const { return node_; }
  int num_inputs() const { return static_cast<int>(inputs_.size()); }
  int num_outputs() const { return static_cast<int>(outputs_.size()); }
  // False for the side of a Merge that is not alive.
  bool has_input(int i) const { return inputs_[i].present(); }
  const Tensor& input(int i) const { return inputs_[i].tensor; }
  // The variable of a ref input.
  const std::shared_ptr<VariableSlot>& variable(int i) const { return inputs_[i].variable; }
  const std::shared_ptr<Allocator>& allocator() const { return environment_.allocator; }

  void set_output(int i, Tensor tensor) { outputs_[i].tensor = std::move(tensor); }
  void set_output_variable(int i, std::shared_ptr<VariableSlot> variable) {
    outputs_[i].variable = std::move(variable);
  }
  // The object behind the handle of input i; null when there is none, or one of another class.
  template <typename T>
  std::shared_ptr<T> object(int i) const {
    return std::dynamic_pointer_cast<T>(inputs_[i].object);
  }
  // Output i becomes a handle of `object`.
  void set_output_object(int i, std::shared_ptr<RunObject> object) {
    outputs_[i].tensor = Tensor(ResourceHandle{.container = "", .name = node_.name()});
    outputs_[i].object = std::move(object);
  }
  // What stands at input i, with the object behind a handle.
  const Value& input_value(int i) const { return inputs_[i]; }
  void set_output_value(int i, Value value) { outputs_[i] = std::move(value); }
  // Passes value, variable or object of input i on.
  void ForwardValue(int input, int output) { outputs_[output] = inputs_[input]; }

  absl::StatusOr<Tensor> Allocate(DType dtype, const Shape& shape) const {
    return Tensor::Allocate(dtype, shape, environment_.allocator);
  }
  // Input i's own buffer when nobody else holds it, the dtype is `dtype` and the shape fits. Only
  // for kernels that read element k of that input before they write element k.
  std::optional<Tensor> TryForward(int i, const Shape& shape, DType dtype) const {
    const Tensor& candidate = inputs_[i].tensor;
    if (candidate.dtype() == dtype && candidate.shape() == shape && candidate.unique())
      return candidate;
    return std::nullopt;
  }
  absl::StatusOr<Tensor> ForwardOrAllocate(int i, const Shape& shape, DType dtype) const {
    if (std::optional<Tensor> forwarded = TryForward(i, shape, dtype)) return *std::move(forwarded);
    return Allocate(dtype, shape);
  }
  absl::StatusOr<Tensor> ForwardOrAllocate(int i, const Shape& shape) const {
    return ForwardOrAllocate(i, shape, inputs_[i].tensor.dtype());
  }

  // Calls body(begin, end) for consecutive ranges that cover [0, total), cut every `block` items:
  // by shape, never by the number of threads.
  template <typename Body>
  void ParallelFor(int64_t total, int64_t block, Body&& body) const {
    block = std::max<int64_t>(block, 1);
    const int64_t count = (total + block - 1) / block;
    const auto run = [&](int64_t i) { body(i * block, std::min(total, (i + 1) * block)); };
    if (environment_.pool != nullptr && count > 1) {
      environment_.pool->ParallelFor(count, run);
    } else {
      for (int64_t i = 0; i < count; ++i) run(i);
    }
  }

 private:
  const Node& node_;
  absl::Span<Value> inputs_;
  absl::Span<Value> outputs_;
  const KernelEnvironment& environment_;
};

// Elements of a cheap elementwise loop that are worth a block of their own.
inline constexpr int64_t kElementwiseBlock = 16384;

// `status` with the node in front.
inline absl::Status AtNode(const absl::Status& status, const Node& node) {
  return absl::Status(status.code(), node.Describe() + ": " + std::string(status.message()));
}

// An INVALID_ARGUMENT unless `ok`.
inline absl::Status Require(bool ok, absl::string_view message) {
  return ok ? absl::OkStatus() : absl::InvalidArgumentError(message);
}

// Integers of an int32 or int64 tensor: shapes, axes, permutations. INVALID_ARGUMENT for other
// types or a rank over 1.
absl::StatusOr<std::vector<int64_t>> IntegerVector(const Tensor& tensor, absl::string_view what);
// The shape that an int32 or int64 vector holds; dimensions must not be negative.
absl::StatusOr<Shape> ShapeFromTensor(const Tensor& tensor, absl::string_view what);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_KERNEL_H_
