// Multinomial and StatelessMultinomial: class numbers drawn by their logits, with TensorFlow's
// numbers. Tested by the registry test.
#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/ops/examples.h"
#include "espalier/ops/random_numbers.h"

namespace espalier {
namespace {

// Numbers at 64 bits are taken two at a time from a stretch that counts in fours.
uint64_t Reserved(int64_t rows, int64_t samples) {
  return static_cast<uint64_t>(rows) * static_cast<uint64_t>((samples + 3) / 4 * 4) * 2;
}

// The sums of e^logit up to each class; logits that are not finite count as 0.
template <typename T>
void SumUp(const T* logits, int64_t classes, std::vector<double>& sums) {
  double largest = std::numeric_limits<double>::lowest();
  for (int64_t k = 0; k < classes; ++k) {
    const auto logit = static_cast<double>(logits[k]);
    if (std::isfinite(logit)) largest = std::max(largest, logit);
  }
  double total = 0;
  for (int64_t k = 0; k < classes; ++k) {
    const auto logit = static_cast<double>(logits[k]);
    if (std::isfinite(logit)) total += std::exp(logit - largest);
    sums[k] = total;
  }
}

template <typename T, typename R>
void Draw(const Tensor& logits, int64_t samples, Philox generator, R* out) {
  const int64_t classes = logits.dim(1);
  std::vector<double> sums(classes);
  SingleDraws draw(generator);
  for (int64_t row = 0; row < logits.dim(0); ++row) {
    SumUp(logits.data<T>() + row * classes, classes, sums);
    for (int64_t i = 0; i < samples; ++i) {
      const uint32_t low = draw();
      const double wanted = UnitDouble(low, draw()) * sums.back();
      *out++ = static_cast<R>(std::upper_bound(sums.begin(), sums.end(), wanted) - sums.begin());
    }
  }
}

template <typename T, typename Start>
absl::Status Multinomial(KernelContext& context, const Start& start) {
  const Tensor& logits = context.input(0);
  const Tensor& count = context.input(1);
  if (logits.rank() != 2 || (logits.dim(0) > 0 && logits.dim(1) == 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("logits must be a matrix with classes, received ", logits.shape().ToString()));
  }
  if (count.rank() != 0 || count.scalar<int32_t>() < 0) {
    return absl::InvalidArgumentError("num_samples must be a scalar and not negative");
  }
  const int64_t rows = logits.dim(0), samples = count.scalar<int32_t>();
  ASSIGN_OR_RETURN(Tensor y,
                   context.Allocate(context.node().attr<DType>("output_dtype"), {rows, samples}));
  if (y.num_elements() > 0) {
    ASSIGN_OR_RETURN(const Philox from, start(context, Reserved(rows, samples)));
    if (y.dtype() == kInt32) {
      Draw<T>(logits, samples, from, y.mutable_data<int32_t>());
    } else {
      Draw<T>(logits, samples, from, y.mutable_data<int64_t>());
    }
  }
  context.set_output(0, std::move(y));
  return absl::OkStatus();
}

template <typename Start>
absl::StatusOr<KernelFunction> Make(const Node& node, const Start& start) {
  return DispatchType(ArithmeticTypes(), RemoveRef(node.input(0).dtype()),
                      [&]<typename T>() -> KernelFunction {
                        return [start](KernelContext& c) { return Multinomial<T>(c, start); };
                      });
}

absl::Status SamplesShape(InferenceContext& c) {
  RETURN_IF_ERROR(c.WithRank(0, 2));
  RETURN_IF_ERROR(c.WithRank(1, 0));
  const auto samples = c.constant_ints(1);
  c.set_output(0, {c.dim(0, 0), samples && (*samples)[0] >= 0 ? (*samples)[0] : -1});
  return absl::OkStatus();
}

OpSchema& Add(OpRegistry& registry, const char* name, const char* doc,
              const std::vector<Tensor>& seed, const AttrMap& seeds) {
  const auto inputs = [&](Tensor logits, int32_t samples) {
    std::vector<Tensor> all = {std::move(logits), I({}, {samples})};
    all.insert(all.end(), seed.begin(), seed.end());
    return all;
  };
  AttrMap narrow = seeds;
  narrow["output_dtype"] = kInt32;
  return registry.Add(name)
      .Doc(doc)
      .In("logits", "T")
      .In("num_samples", kInt32)
      .Out("output", "output_dtype")
      .TypeAttr("T", kArithmeticDTypes)
      .TypeAttr("output_dtype", kIndexDTypes, kInt64)
      .Shape(SamplesShape)
      .NotDifferentiable(kDrawsNoGradient)
      .Example(
          {.name = "rows", .inputs = inputs(F({2, 3}, {0, 1, 2, 5, 0, -5}), 4), .attrs = seeds})
      .Example({.name = "one class",
                .inputs = inputs(F({1, 2}, {0, -1e30f}), 2),
                .attrs = narrow,
                .expected = {I({1, 2}, {0, 0})}})
      .Example({.name = "empty", .inputs = inputs(F({0, 2}, {}), 3), .expected = {L({0, 3}, {})}});
}

}  // namespace

void RegisterMultinomial(OpRegistry& registry) {
  Add(registry, "Multinomial", "Class numbers for each row of logits, drawn by softmax(logits).",
      {}, {{"seed", 1}, {"seed2", 2}})
      .Attr("seed", 0)
      .Attr("seed2", 0)
      .Traits({.stateful = true})
      .Kernel([](const Node& node) {
        const std::shared_ptr<NodeGenerator> generator = GeneratorOf(node);
        return Make(node, [generator](KernelContext&, uint64_t outputs) -> absl::StatusOr<Philox> {
          return generator->Reserve(outputs);
        });
      });
  Add(registry, "StatelessMultinomial",
      "Class numbers for each row of logits, drawn by softmax(logits) and the seed alone.",
      {I({2}, {1, 2})}, {})
      .In("seed", "Tseed")
      .TypeAttr("Tseed", kIndexDTypes, kInt64)
      .Kernel([](const Node& node) {
        return Make(
            node, [](KernelContext& context, uint64_t) { return StartFromSeed(context.input(2)); });
      });
}

}  // namespace espalier
