// Every op of the registry against hostile inputs: each input in turn of another shape or with
// extreme values, each attribute with values nobody would write, and random mixes of both, at least
// 500 cases an op. An op may refuse; it may not crash, read out of bounds (run it with
// --config=asan and --config=ubsan), blame itself (INTERNAL), or give a shape that contradicts the
// one it announced. ESPALIER_SWEEP_SEED replays a run, ESPALIER_SWEEP_OP narrows it to one op.
#include <cstdlib>
#include <limits>
#include <random>

#include "espalier/tests/testing.h"
#include "espalier/tools/example_graph.h"

namespace espalier {
namespace {

constexpr int kCasesPerOp = 500;
constexpr int64_t kMemoryLimit = int64_t{64} << 20;

uint64_t Seed() {
  const char* text = std::getenv("ESPALIER_SWEEP_SEED");
  return text == nullptr ? 20261122 : std::strtoull(text, nullptr, 10);
}

// An op's inputs and attributes, of which some have been damaged.
struct SweepCase {
  std::vector<Tensor> inputs;
  AttrMap attrs;
  std::vector<bool> fixed;  // given as constants, so that shape functions see the values
  std::string damage;       // what was done, to be printed
};

class Damager {
 public:
  explicit Damager(uint64_t seed) : random_(seed) {}

  int64_t Pick(int64_t count) {
    return count <= 0 ? 0 : static_cast<int64_t>(random_() % static_cast<uint64_t>(count));
  }

  // A tensor of the same type that the op does not expect.
  Tensor Damage(const Tensor& x) {
    switch (Pick(6)) {
      case 0:
        return Reshaped(x, {0});
      case 1:
        return Reshaped(x, {});
      case 2:
        return Reshaped(x, {Pick(5), Pick(4)});
      case 3: {
        Shape wider = x.shape();
        wider.push_back(1 + Pick(2));
        return Reshaped(x, wider);
      }
      case 4: {
        if (x.rank() == 0) return Reshaped(x, {3});
        Shape other = x.shape();
        other.set_dim(static_cast<int>(Pick(x.rank())), Pick(4));
        return Reshaped(x, other);
      }
      default:
        return Extreme(x);
    }
  }

  AttrValue Damage(const AttrSchema& schema, const AttrValue& value) {
    static constexpr int64_t kInts[] = {0,
                                        -1,
                                        1,
                                        2,
                                        7,
                                        1 << 20,
                                        std::numeric_limits<int32_t>::max(),
                                        std::numeric_limits<int32_t>::min(),
                                        std::numeric_limits<int64_t>::max(),
                                        std::numeric_limits<int64_t>::min()};
    const auto integer = [&] { return kInts[Pick(std::size(kInts))]; };
    switch (schema.kind) {
      case AttrKind::kInt:
        return AttrValue(integer());
      case AttrKind::kFloat: {
        static constexpr float kFloats[] = {0.0f,
                                            -1.0f,
                                            1e30f,
                                            -1e-30f,
                                            std::numeric_limits<float>::infinity(),
                                            std::numeric_limits<float>::quiet_NaN()};
        return AttrValue(kFloats[Pick(std::size(kFloats))]);
      }
      case AttrKind::kBool:
        return AttrValue(Pick(2) == 0);
      case AttrKind::kType: {
        static constexpr DType kTypes[] = {kFloat, kDouble, kHalf, kInt32,  kInt64, kUInt8,
                                           kInt8,  kInt16,  kBool, kString, kUInt64};
        return AttrValue(kTypes[Pick(std::size(kTypes))]);
      }
      case AttrKind::kString: {
        if (!schema.allowed_strings.empty() && Pick(3) > 0) {
          return AttrValue(
              schema.allowed_strings[Pick(static_cast<int64_t>(schema.allowed_strings.size()))]);
        }
        return AttrValue(Pick(2) == 0 ? "" : "no such thing");
      }
      case AttrKind::kIntList: {
        std::vector<int64_t> list;
        if (const auto* given = std::get_if<std::vector<int64_t>>(&value)) list = *given;
        if (list.empty() || Pick(3) == 0) {
          list.assign(Pick(10), integer());
        } else {
          list[Pick(static_cast<int64_t>(list.size()))] = integer();
        }
        return AttrValue(std::move(list));
      }
      case AttrKind::kShape: {
        static const Shape kShapes[] = {
            Shape(),    Shape{0}, Shape{-1, 2}, Shape::Unknown(), Shape{int64_t{1} << 40},
            Shape{2, 3}};
        return AttrValue(kShapes[Pick(std::size(kShapes))]);
      }
      default:
        return value;
    }
  }

 private:
  // The elements of x, repeated, in another shape.
  static Tensor Reshaped(const Tensor& x, const Shape& shape) {
    absl::StatusOr<Tensor> made = Tensor::Allocate(x.dtype(), shape);
    if (!made.ok()) return x;
    const int64_t n = made->num_elements();
    DispatchType(AllTypes(), x.dtype(), [&]<typename T>() {
      for (int64_t i = 0; i < n; ++i)
        made->mutable_data<T>()[i] =
            x.num_elements() == 0 ? T() : x.data<T>()[i % x.num_elements()];
    });
    return *std::move(made);
  }

  // x with one or all elements at the end of their range.
  Tensor Extreme(const Tensor& x) {
    absl::StatusOr<Tensor> copy = x.Clone();
    if (!copy.ok() || x.num_elements() == 0) return x;
    const bool all = Pick(2) == 0;
    const int64_t at = Pick(x.num_elements()), which = Pick(6);
    DispatchType(AllTypes(), x.dtype(), [&]<typename T>() {
      if constexpr (std::numeric_limits<T>::is_specialized) {
        using L = std::numeric_limits<T>;
        const T choices[] = {L::max(), L::lowest(), T(0), T(-1), L::infinity(), L::quiet_NaN()};
        for (int64_t i = 0; i < x.num_elements(); ++i) {
          if (all || i == at) copy->mutable_data<T>()[i] = choices[which];
        }
      }
    });
    return *std::move(copy);
  }

  std::mt19937_64 random_;
};

// The case as a graph whose placeholders know no shapes.
struct SweepGraph {
  Graph graph;
  std::vector<Feed> feeds;
  const Node* node = nullptr;

  SweepGraph(const OpSchema& op, const SweepCase& sweep) {
    const Scope s = graph.root();
    std::vector<Output> inputs;
    for (size_t i = 0; i < sweep.inputs.size(); ++i) {
      const Tensor& value = sweep.inputs[i];
      if (ExampleGraph::IsRefInput(op, i)) {
        inputs.push_back(Variable(s.Named(absl::StrCat("variable", i)), value));
      } else if (sweep.fixed[i]) {
        inputs.push_back(Const(s, value));
      } else {
        inputs.push_back(AddOpOutput(s, "Placeholder", {},
                                     {{"dtype", value.dtype()}, {"shape", Shape::Unknown()}}));
        feeds.push_back({inputs.back(), value});
      }
    }
    node = AddOp(s.Named("subject"), op.name(), inputs, sweep.attrs);
  }
};

bool IsHonest(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kNotFound:
      return true;
    default:
      return false;
  }
}

void RunCase(const OpSchema& op, const SweepCase& sweep) {
  SCOPED_TRACE(absl::StrCat(op.name(), ": ", sweep.damage));
  const SweepGraph sweep_graph(op, sweep);
  if (!sweep_graph.graph.status().ok()) {
    EXPECT_TRUE(IsHonest(sweep_graph.graph.status())) << sweep_graph.graph.status();
    return;
  }
  Session session(sweep_graph.graph, {.budget = {.max_tensor_bytes = kMemoryLimit,
                                                 .max_live_bytes = 4 * kMemoryLimit}});
  if (!session.Initialize().ok()) return;
  RunRequest request;
  for (int i = 0; i < sweep_graph.node->num_outputs(); ++i)
    request.fetch.push_back(sweep_graph.node->output(i));
  if (request.fetch.empty()) request.target.push_back(Operation(sweep_graph.node));
  const auto out = session.Run(sweep_graph.feeds, request);
  if (!out.ok()) {
    EXPECT_TRUE(IsHonest(out.status())) << out.status();
    return;
  }
  for (size_t i = 0; i < out->size(); ++i) {
    const Output output = sweep_graph.node->output(static_cast<int>(i));
    EXPECT_EQ(RemoveRef(output.dtype()), (*out)[i].dtype());
    EXPECT_TRUE(Shape::Compatible(output.shape(), (*out)[i].shape()))
        << "announced " << output.shape().ToString() << ", gave " << (*out)[i].shape().ToString();
  }
}

// Case number `n` of an op: first each input and each attribute in turn, then random mixes.
SweepCase MakeCase(const OpSchema& op, int n, Damager& damager) {
  const OpExample& example = op.examples()[n % op.examples().size()];
  SweepCase sweep = {.inputs = example.inputs, .attrs = example.attrs};
  const auto inputs = static_cast<int64_t>(sweep.inputs.size());
  const auto attrs = static_cast<int64_t>(op.attrs().size());
  const auto damage = [&](int64_t place) {
    if (place < inputs) {
      sweep.inputs[place] = damager.Damage(sweep.inputs[place]);
      absl::StrAppend(&sweep.damage, "input ", place, " = ", sweep.inputs[place].DebugString(8),
                      "; ");
    } else if (place < inputs + attrs) {
      const AttrSchema& schema = op.attrs()[place - inputs];
      const auto given = sweep.attrs.find(schema.name);
      AttrValue value =
          damager.Damage(schema, given == sweep.attrs.end() ? schema.default_value : given->second);
      absl::StrAppend(&sweep.damage, schema.name, " = ", value.ToString(), "; ");
      if (value.kind() != AttrKind::kNone) sweep.attrs[schema.name] = std::move(value);
    }
  };
  const int64_t places = inputs + attrs;
  const int64_t turns = n < kCasesPerOp / 2 ? 1 : 1 + damager.Pick(3);
  for (int64_t i = 0; i < turns && places > 0; ++i)
    damage(turns == 1 ? n % places : damager.Pick(places));
  for (int64_t i = 0; i < inputs; ++i) sweep.fixed.push_back(damager.Pick(2) == 0);
  return sweep;
}

class OpSweepTest : public testing::TestWithParam<const OpSchema*> {};

TEST_P(OpSweepTest, RefusesOrRunsButNeverCrashes) {
  const OpSchema& op = *GetParam();
  Damager damager(Seed());
  for (int n = 0; n < kCasesPerOp && !HasFailure(); ++n) RunCase(op, MakeCase(op, n, damager));
  if (HasFailure())
    std::printf("replay with ESPALIER_SWEEP_SEED=%llu\n", (unsigned long long)Seed());
}

std::vector<const OpSchema*> SweptOps() {
  const char* only = std::getenv("ESPALIER_SWEEP_OP");
  std::vector<const OpSchema*> ops;
  for (const OpSchema* op : BuiltinOps().ops()) {
    if (!op->examples().empty() && (only == nullptr || op->name() == only)) ops.push_back(op);
  }
  return ops;
}

INSTANTIATE_TEST_SUITE_P(Ops, OpSweepTest, testing::ValuesIn(SweptOps()),
                         [](const auto& info) { return info.param->name(); });

}  // namespace
}  // namespace espalier
