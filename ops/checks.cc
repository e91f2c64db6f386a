// Ops that watch values pass by: CheckNumerics, Print, Assert. Tested by the registry
// test.
#include <atomic>
#include <cmath>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

std::vector<Output> PassGradient(const GradientContext& g) { return {g.dy()}; }

std::string Shown(const KernelContext& context, int first, int64_t summarize) {
  constexpr int kAll = 1 << 20;  // what a negative number stands for
  const int shown = summarize < 0 ? kAll : static_cast<int>(std::min<int64_t>(summarize, kAll));
  std::vector<std::string> parts;
  for (int i = first; i < context.num_inputs(); ++i)
    parts.push_back(context.input(i).DebugString(shown));
  return absl::StrJoin(parts, " ");
}

template <typename T>
absl::Status CheckNumerics(KernelContext& context, const std::string& message) {
  bool infinite = false, nan = false;
  for (const T& value : context.input(0).flat<T>()) {
    infinite = infinite || std::isinf(static_cast<double>(value));
    nan = nan || std::isnan(static_cast<double>(value));
  }
  if (infinite || nan) {
    return absl::InvalidArgumentError(
        absl::StrCat(message, ": the tensor has ", infinite ? "Inf" : "",
                     infinite && nan ? " and " : "", nan ? "NaN" : "", " values"));
  }
  context.ForwardValue(0, 0);
  return absl::OkStatus();
}

}  // namespace

void RegisterChecks(OpRegistry& registry) {
  const Tensor x = F({2}, {1, 2});
  registry.Add("CheckNumerics")
      .Doc("Its input; an error when a value is infinite or NaN.")
      .In("tensor", "T")
      .Out("output", "T")
      .TypeAttr("T", kRealDTypes)
      .RequiredAttr("message", AttrKind::kString)
      .Traits({.stateful = true})
      .Shape(UnchangedShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        const auto message = node.attr<std::string>("message");
        return DispatchType(RealTypes(), RemoveRef(node.input(0).dtype()),
                            [message]<typename T>() -> KernelFunction {
                              return [message](KernelContext& context) {
                                return CheckNumerics<T>(context, message);
                              };
                            });
      })
      .Gradient(PassGradient)
      .Example({.name = "finite", .inputs = {x}, .attrs = {{"message", "m"}}, .expected = {x}})
      .Example({.name = "scalar",
                .inputs = {F({}, {1})},
                .attrs = {{"message", "m"}},
                .expected = {F({}, {1})}})
      .Example({.name = "empty",
                .inputs = {F({0}, {})},
                .attrs = {{"message", "m"}},
                .expected = {F({0}, {})}});
  registry.Add("Print")
      .Doc("Its input; the first first_n times, the message and the data go to standard error.")
      .In("input", "T")
      .InTypes("data", "U")
      .Out("output", "T")
      .TypeAttr("T")
      .RequiredAttr("U", AttrKind::kTypeList)
      .Attr("message", "")
      .Attr("first_n", -1)
      .Attr("summarize", 3)
      .Traits({.stateful = true})
      .Shape(UnchangedShape)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        const auto left = std::make_shared<std::atomic<int64_t>>(node.attr<int64_t>("first_n"));
        return KernelFunction([left, message = node.attr<std::string>("message"),
                               summarize =
                                   node.attr<int64_t>("summarize")](KernelContext& context) {
          // A negative first_n never reaches 0.
          if (left->load() != 0) {
            left->fetch_sub(1);
            std::fprintf(stderr, "%s%s\n", message.c_str(), Shown(context, 1, summarize).c_str());
          }
          context.ForwardValue(0, 0);
          return absl::OkStatus();
        });
      })
      .Gradient(PassGradient)
      .NoExample(
          "it writes to standard error; the conformance case control__print_passthrough runs it");
  registry.Add("Assert")
      .Doc("An error with the data in it unless the condition holds.")
      .In("condition", kBool)
      .InTypes("data", "T")
      .RequiredAttr("T", AttrKind::kTypeList)
      .Attr("summarize", 3)
      .Traits({.stateful = true})
      .Shape(NoOutputs)
      .Kernel([](const Node& node) -> absl::StatusOr<KernelFunction> {
        return KernelFunction(
            [summarize = node.attr<int64_t>("summarize")](KernelContext& context) -> absl::Status {
              if (context.input(0).rank() != 0)
                return absl::InvalidArgumentError("the condition must be a scalar");
              if (context.input(0).scalar<bool>()) return absl::OkStatus();
              return absl::InvalidArgumentError(
                  absl::StrCat("assertion failed: ", Shown(context, 1, summarize)));
            });
      })
      .NotDifferentiable("it has no outputs")
      .NoExample("it has no outputs; the conformance cases of the family errors run it");
}

}  // namespace espalier
