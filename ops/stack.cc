// StackV2, StackPushV2, StackPopV2, StackCloseV2: what a loop keeps for its gradient. Tested by
// stack_test.cc.
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/runtime/kernel.h"

namespace espalier {
namespace {

constexpr char kNoExample[] = "its handle lives within a Run; stack_test.cc runs it";
constexpr char kNoGradient[] = "it is what gradients of loops are made of";

// Thread-safe.
class Stack : public RunObject {
 public:
  Stack(DType type, int64_t limit) : type_(type), limit_(limit) {}

  DType type() const { return type_; }
  // INVALID_ARGUMENT at the limit.
  absl::Status Push(const Value& value) {
    absl::MutexLock lock(&mutex_);
    if (limit_ >= 0 && static_cast<int64_t>(values_.size()) >= limit_) {
      return absl::InvalidArgumentError(absl::StrCat("the stack is full: it holds ", limit_));
    }
    values_.push_back(value);
    return absl::OkStatus();
  }
  absl::StatusOr<Value> Pop() {
    absl::MutexLock lock(&mutex_);
    if (values_.empty()) return absl::InvalidArgumentError("the stack is empty");
    Value value = std::move(values_.back());
    values_.pop_back();
    return value;
  }
  void Clear() {
    absl::MutexLock lock(&mutex_);
    values_.clear();
  }

 private:
  const DType type_;
  const int64_t limit_;
  absl::Mutex mutex_;
  std::vector<Value> values_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<std::shared_ptr<Stack>> StackOf(const KernelContext& context) {
  std::shared_ptr<Stack> stack = context.object<Stack>(0);
  if (stack == nullptr) return absl::InvalidArgumentError("handle names no stack of this Run");
  return stack;
}

absl::Status Make(KernelContext& context) {
  if (context.input(0).rank() != 0) return absl::InvalidArgumentError("max_size must be a scalar");
  context.set_output_object(0, std::make_shared<Stack>(context.node().attr<DType>("elem_type"),
                                                       context.input(0).scalar<int32_t>()));
  return absl::OkStatus();
}

absl::Status Push(KernelContext& context) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Stack> stack, StackOf(context));
  if (context.input(1).dtype() != stack->type()) {
    return absl::InvalidArgumentError(absl::StrCat("the stack is of ", DTypeName(stack->type()),
                                                   ", received ",
                                                   DTypeName(context.input(1).dtype())));
  }
  RETURN_IF_ERROR(stack->Push(context.input_value(1)));
  context.ForwardValue(1, 0);
  return absl::OkStatus();
}

absl::Status Pop(KernelContext& context) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Stack> stack, StackOf(context));
  if (context.node().output_dtype(0) != stack->type()) {
    return absl::InvalidArgumentError(absl::StrCat("the stack is of ", DTypeName(stack->type()),
                                                   ", asked for ",
                                                   DTypeName(context.node().output_dtype(0))));
  }
  ASSIGN_OR_RETURN(Value value, stack->Pop());
  context.set_output_value(0, std::move(value));
  return absl::OkStatus();
}

absl::Status Close(KernelContext& context) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Stack> stack, StackOf(context));
  stack->Clear();
  return absl::OkStatus();
}

OpSchema& Add(OpRegistry& registry, const char* name, const char* doc,
              absl::Status (*kernel)(KernelContext&), OpTraits traits = {.stateful = true}) {
  return registry.Add(name)
      .Doc(doc)
      .Traits(traits)
      .Kernel([kernel](const Node&) -> absl::StatusOr<KernelFunction> {
        return KernelFunction(kernel);
      })
      .NotDifferentiable(kNoGradient)
      .NoExample(kNoExample);
}

}  // namespace

void RegisterStack(OpRegistry& registry) {
  Add(registry, "StackV2", "A stack of max_size tensors (any number when negative).", Make)
      .In("max_size", kInt32)
      .Out("handle", kResource)
      .TypeAttr("elem_type")
      .Attr("stack_name", "")
      .Shape(ScalarShape);
  Add(registry, "StackPushV2", "Puts elem on the stack, and passes it on.", Push)
      .In("handle", kResource)
      .In("elem", "T")
      .Out("output", "T")
      .TypeAttr("T")
      .Attr("swap_memory", false)
      .Shape([](InferenceContext& c) {
        c.set_output(0, c.input(1));
        return absl::OkStatus();
      });
  Add(registry, "StackPopV2", "Takes the last element off the stack.", Pop,
      {.stateful = true, .recalls = true})
      .In("handle", kResource)
      .Out("elem", "elem_type")
      .TypeAttr("elem_type")
      .Shape(UnknownShape);
  Add(registry, "StackCloseV2", "Empties the stack.", Close)
      .In("handle", kResource)
      .Shape(NoOutputs);
}

}  // namespace espalier
