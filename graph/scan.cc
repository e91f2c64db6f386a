// Tested by scan_test.cc.
#include "espalier/graph/scan.h"

#include "absl/strings/str_cat.h"
#include "espalier/graph/tensor_array.h"
#include "espalier/graph/while_loop.h"

namespace espalier {
namespace {

using Values = std::vector<Output>;

// The loop that Scan and Map share: `step` sees the rows and the state, and returns the next state
// and what is to be kept of this step. Types and shapes of what is kept are those of `kept`.
struct StepResult {
  Values state;
  Values keep;
};
using Step = std::function<StepResult(const Scope&, const ScanStep&)>;

struct Kept {
  DType dtype;
  Shape shape;
};

Values Rows(const Scope& s, const Values& elements, const Values& initial,
            const std::vector<Kept>& kept, const Step& step) {
  std::vector<TensorArray> inputs, outputs;
  for (const Output& element : elements) inputs.push_back(TensorArray::Unstack(At(s), element));
  const Output size = inputs[0].size(At(s));
  for (const Kept& one : kept)
    outputs.emplace_back(At(s), size, one.dtype, TensorArrayOptions{.element_shape = one.shape});
  // The index, the flows of the outputs, the state.
  Values variables = {ConstScalar(At(s), kInt32, 0)};
  for (const TensorArray& output : outputs) variables.push_back(output.flow());
  variables.insert(variables.end(), initial.begin(), initial.end());
  if (!s.graph()->status().ok()) return {};
  const Values last = WhileLoop(
      At(s), variables,
      [&](const Scope& b, const Values& v) {
        return AddOpOutput(At(b), "Less", {v[0], size});
      },
      [&](const Scope& b, const Values& v) -> Values {
        ScanStep now;
        now.state.assign(v.begin() + 1 + static_cast<int64_t>(outputs.size()), v.end());
        for (const TensorArray& input : inputs) now.elements.push_back(input.Read(At(b), v[0]));
        const StepResult result = step(b, now);
        if (!b.graph()->status().ok() || result.keep.size() != outputs.size()) return {};
        Values next = {b(v[0]) + 1};
        for (size_t i = 0; i < outputs.size(); ++i)
          next.push_back(outputs[i].WithFlow(v[1 + i]).Write(At(b), v[0], result.keep[i]).flow());
        next.insert(next.end(), result.state.begin(), result.state.end());
        return next;
      });
  if (last.empty()) return {};
  Values stacked;
  for (size_t i = 0; i < outputs.size(); ++i)
    stacked.push_back(outputs[i].WithFlow(last[1 + i]).Stack(At(s)));
  return stacked;
}

absl::Status CheckElements(const char* what, const Values& elements) {
  if (elements.empty()) return absl::InvalidArgumentError(absl::StrCat(what, ": no elements"));
  for (const Output& element : elements) {
    if (!element.valid())
      return absl::InvalidArgumentError(absl::StrCat(what, ": an element is an empty Output"));
    if (element.shape().has_rank() && element.shape().rank() == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": ", element.name(), " is a scalar, it has no rows"));
    }
  }
  return absl::OkStatus();
}

Scope LoopScope(const At& at, const char* name) {
  return at.Inside().NameScope(at.scope().next_name().empty() ? name : at.scope().next_name());
}

}  // namespace

std::vector<Output> Scan(const At& at, const std::vector<Output>& elements,
                         const std::vector<Output>& initial, const ScanFunction& step) {
  if (absl::Status status = CheckElements("Scan", elements); !status.ok()) {
    at.scope().graph()->RecordError(status);
    return {};
  }
  std::vector<Kept> kept;
  for (const Output& state : initial) kept.push_back({state.dtype(), state.shape()});
  return Rows(LoopScope(at, "scan"), elements, initial, kept,
              [&](const Scope& s, const ScanStep& now) {
                const Values next = step(s, now);
                return StepResult{next, next};
              });
}

Output Map(const At& at, const Output& elements, const MapFunction& function) {
  if (absl::Status status = CheckElements("Map", {elements}); !status.ok()) {
    at.scope().graph()->RecordError(status);
    return Output();
  }
  const Values stacked =
      Rows(LoopScope(at, "map"), {elements}, {}, {{elements.dtype(), Shape::Unknown()}},
           [&](const Scope& s, const ScanStep& now) {
             return StepResult{{}, {function(s, now.elements[0])}};
           });
  return stacked.empty() ? Output() : stacked[0];
}

}  // namespace espalier
