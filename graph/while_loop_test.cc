// WhileLoop: values, captures, nesting, gradients, and what it refuses.
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

using Values = std::vector<Output>;

LoopCondition CountTo(int limit) {
  return [limit](const Scope& s, const Values& v) { return Less(s, v[0], Const(s, limit)); };
}

TEST(WhileLoopTest, RunsUntilTheConditionFailsAndPerhapsNever) {
  Graph graph;
  const Scope s = graph.root();
  const Output n = Placeholder(s, kInt32, Shape());
  const Output step = Const(s, 2.0f);
  const Values last = WhileLoop(
      s, {Const(s, 0), Const(s, 1.0f)},
      [&](const Scope& b, const Values& v) { return Less(b, v[0], n); },
      [&](const Scope& b, const Values& v) -> Values {
        return {b(v[0]) + 1, b(v[1]) * b(step)};
      });
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  for (const int times : {0, 1, 5}) {
    const auto out = MustRun(session, {{n, times}}, {.fetch = {last[0], last[1]}});
    EXPECT_EQ(out[0].scalar<int32_t>(), times);
    EXPECT_EQ(out[1].scalar<float>(), static_cast<float>(1 << times));
  }
}

TEST(WhileLoopTest, BringsATensorInOnceAndHoldsBackWhatOnlyDependsOnIt) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Const(s, 2.0f);
  Output inside, free_node;
  WhileLoop(s, {Const(s, 0)}, CountTo(3), [&](const Scope& b, const Values& v) -> Values {
    inside = b(x);
    free_node = Neg(b, x);
    EXPECT_EQ(b(x).output(), inside);
    return {b(v[0]) + 1};
  });
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  EXPECT_EQ(inside.node()->op(), "Enter");
  EXPECT_TRUE(inside.node()->attr<bool>("is_constant"));
  ASSERT_EQ(free_node.node()->control_inputs().size(), 1);
  EXPECT_EQ(free_node.node()->control_inputs()[0]->op(), "Identity");
}

TEST(WhileLoopTest, WaitsForControlDependenciesAndTakesThemIn) {
  Graph graph;
  const Scope s = graph.root();
  const Output v = Variable(s.Named("v"), 1.0f);
  const Operation before = Assign(s, v, Const(s, 5.0f));
  const Values last = WhileLoop(s.WithControlDependencies({before}), {Const(s, 0), Const(s, 0.0f)},
                                CountTo(2), [&](const Scope& b, const Values& x) -> Values {
                                  const Scope after = b.WithControlDependencies({before});
                                  return {after(x[0]) + 1, after(x[1]) + after(Const(after, 3.0f))};
                                });
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  ASSERT_TRUE(session.Initialize().ok());
  const auto out = MustRun(session, {}, {.fetch = {last[1], v}});
  EXPECT_EQ(out[0].scalar<float>(), 6);
  EXPECT_EQ(out[1].scalar<float>(), 5);
}

struct LoopGradientCase {
  std::string name;
  // A scalar of the vector x.
  std::function<Output(const Scope&, const Output& x, const Output& n)> build;
};

// The gradient of every case agrees with finite differences for 0, 1 and 3 iterations.
class LoopGradientTest : public testing::TestWithParam<LoopGradientCase> {};

TEST_P(LoopGradientTest, AgreesWithFiniteDifferences) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s.Named("x"), kDouble, {3});
  const Output n = Placeholder(s.Named("n"), kInt32, Shape());
  const Output y = ReduceSum(s, GetParam().build(s, x, n));
  const Output dx = Gradients(s, {y}, {x})[0];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  ASSERT_TRUE(dx.valid());
  // The same once more, from what a file holds of it.
  const auto def = ExportGraphDef(graph);
  ASSERT_TRUE(def.ok()) << def.status();
  Graph imported;
  ASSERT_TRUE(ImportGraphDef(*def, imported).ok());
  const Output imported_x = *imported.FindOutput("x"), imported_n = *imported.FindOutput("n");
  const Output imported_y = *imported.FindOutput(y.name());
  const Output imported_dx = Gradients(imported.root(), {imported_y}, {imported_x})[0];
  ASSERT_TRUE(imported.status().ok()) << imported.status();
  for (const int threads : {1, 4}) {
    Session session(graph, {.threads = threads});
    Session imported_session(imported, {.threads = threads});
    for (const int times : {0, 1, 3}) {
      const std::vector<double> at = {0.3, -0.7, 1.1};
      const auto value = [&](const std::vector<double>& point) {
        return MustRun(session, {{x, Tensor::FromVector<double>({3}, point)}, {n, times}},
                       {.fetch = {y}})[0]
            .scalar<double>();
      };
      const Tensor given = Tensor::FromVector<double>({3}, at);
      const Tensor gradient = MustRun(session, {{x, given}, {n, times}}, {.fetch = {dx}})[0];
      const Tensor again = MustRun(imported_session, {{imported_x, given}, {imported_n, times}},
                                   {.fetch = {imported_dx}})[0];
      for (int i = 0; i < 3; ++i) {
        constexpr double kStep = 1e-5;
        std::vector<double> more = at, less = at;
        more[i] += kStep;
        less[i] -= kStep;
        EXPECT_NEAR(gradient.data<double>()[i], (value(more) - value(less)) / (2 * kStep), 1e-6)
            << "element " << i << ", " << times << " iterations";
        EXPECT_EQ(gradient.data<double>()[i], again.data<double>()[i]);
      }
    }
  }
}

Output ToDouble(const Scope& s, double value) { return ConstScalar(s, kDouble, value); }

Values Count(const Scope& s, const Output& n, const Values& initial,
             const std::function<Values(const Scope&, const Values&)>& body) {
  Values all = {Const(s, 0)};
  all.insert(all.end(), initial.begin(), initial.end());
  Values last = WhileLoop(
      s, all, [&](const Scope& b, const Values& v) { return Less(b, v[0], n); },
      [&](const Scope& b, const Values& v) -> Values {
        Values next = body(b, Values(v.begin() + 1, v.end()));
        next.insert(next.begin(), b(v[0]) + 1);
        return next;
      });
  if (last.empty()) return Values(initial.size());
  last.erase(last.begin());
  return last;
}

std::vector<LoopGradientCase> LoopGradientCases() {
  using S = const Scope&;
  return {
      {"Power",
       [](S s, const Output& x, const Output& n) {
         return Count(s, n, {x},
                      [&](S b, const Values& v) -> Values { return {b(v[0]) * b(v[0])}; })[0];
       }},
      {"ConstantOfTheLoop",
       [](S s, const Output& x, const Output& n) {
         return Count(s, n, {ToDouble(s, 0.5)}, [&](S b, const Values& v) -> Values {
           return {b(v[0]) * b(ReduceSum(b, Sin(b, x)))};
         })[0];
       }},
      {"TwoVariablesThatSwap",
       [](S s, const Output& x, const Output& n) {
         const Values last = Count(s, n, {x, Neg(s, x)}, [&](S b, const Values& v) -> Values {
           return {Tanh(b, v[1]), b(v[0]) * b(x)};
         });
         return s(last[0]) * s(last[1]);
       }},
      {"VariableThatStartsAnew",
       [](S s, const Output& x, const Output& n) {
         const Values last = Count(s, n, {x, x}, [&](S b, const Values& v) -> Values {
           return {Exp(b, x), b(v[0]) * b(v[1])};
         });
         return s(last[0]) + s(last[1]);
       }},
      {"BranchInTheLoop",
       [](S s, const Output& x, const Output& n) {
         return Count(s, n, {x}, [&](S b, const Values& v) -> Values {
           const Output large = Greater(b, ReduceSum(b, v[0]), ToDouble(b, 0.1));
           return {Cond(
               b, large,
               [&](S t) -> Output {
                 const Output square = t(v[0]) * t(v[0]);
                 return t(square) * t(x) - t(Sin(t, square));
               },
               [&](S f) -> Output { return f(v[0]) + f(Exp(f, v[0])); })};
         })[0];
       }},
      {"LoopInABranch",
       [](S s, const Output& x, const Output& n) {
         return Cond(
             s, Greater(s, ReduceSum(s, x), ToDouble(s, 0)),
             [&](S t) {
               return Count(t, n, {x}, [&](S b, const Values& v) -> Values {
                 return {b(v[0]) * b(x) + b(Sin(b, v[0]))};
               })[0];
             },
             [&](S f) { return Neg(f, x); });
       }},
      {"LoopInALoop",
       [](S s, const Output& x, const Output& n) {
         return Count(s, n, {x}, [&](S b, const Values& v) -> Values {
           const Output inner = Count(b, Const(b, 2), {v[0]}, [&](S c, const Values& w) -> Values {
             return {Sin(c, c(w[0]) * c(v[0]))};
           })[0];
           return {b(inner) * b(x)};
         })[0];
       }},
      {"LoopInABranchInALoop",
       [](S s, const Output& x, const Output& n) {
         return Count(s, n, {x}, [&](S b, const Values& v) -> Values {
           const Output large = Greater(b, ReduceSum(b, v[0]), ToDouble(b, 0.3));
           return {Cond(
               b, large,
               [&](S t) {
                 return Count(t, Const(t, 2), {v[0]}, [&](S c, const Values& w) -> Values {
                   return {c(Sin(c, c(w[0]) * c(w[0]))) - c(x)};
                 })[0];
               },
               [&](S f) -> Output { return f(v[0]) * f(x) + 0.4; })};
         })[0];
       }},
      {"TwoLoopsInARow",
       [](S s, const Output& x, const Output& n) {
         const Output first =
             Count(s, n, {x}, [&](S b, const Values& v) -> Values { return {Sin(b, v[0])}; })[0];
         return Count(s, n, {first},
                      [&](S b, const Values& v) -> Values { return {b(v[0]) * b(first)}; })[0];
       }},
      {"BroadcastsToUnknownShapes",
       [](S s, const Output& x, const Output& n) {
         const Values last = WhileLoop(
             s, {Const(s, 0), x}, [&](S b, const Values& v) { return Less(b, v[0], n); },
             [&](S b, const Values& v) -> Values {
               return {b(v[0]) + 1, b(ConcatV2(b, {v[1], v[1]}, Const(b, 0))) * b(ReduceSum(b, x))};
             },
             {.shape_invariants = {Shape(), Shape{-1}}});
         return last.empty() ? Output() : last[1];
       }},
  };
}

INSTANTIATE_TEST_SUITE_P(Loops, LoopGradientTest, testing::ValuesIn(LoopGradientCases()),
                         [](const auto& info) { return info.param.name; });

TEST(WhileLoopTest, GradientWithinOneIteration) {
  Graph graph;
  const Scope s = graph.root();
  const Output w = Const(s, 3.0f);
  const Values last =
      WhileLoop(s, {Const(s, 0), Const(s, 1.0f)}, CountTo(2), [&](const Scope& b, const Values& v) {
        const Output y = b(v[1]) * b(w) * b(w);
        const Values g = Gradients(b, {y}, {v[1], w});
        return Values{b(v[0]) + 1, b(g[0]) + b(g[1])};
      });
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Session session(graph);
  // g = w² + 2 v w: 9 + 6, then 9 + 90.
  EXPECT_EQ(MustRun(session, {}, {.fetch = {last[1]}})[0].scalar<float>(), 99);
}

TEST(WhileLoopTest, SecondOrderIsRefusedRatherThanWrong) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, Shape());
  const Values last =
      WhileLoop(s, {Const(s, 0), x}, CountTo(2), [](const Scope& b, const Values& v) -> Values {
        return {b(v[0]) + 1, b(v[1]) * b(v[1])};
      });
  const Output g = Gradients(s, {last[1]}, {x})[0];
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Gradients(s, {g}, {x});
  EXPECT_EQ(graph.status().code(), absl::StatusCode::kUnimplemented) << graph.status();
  EXPECT_NE(graph.status().message().find("second-order gradients of loops"), std::string::npos);
}

TEST(WhileLoopTest, AGradientThroughAnUnknownExitIsRefusedRatherThanLost) {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s, kFloat, Shape());
  const Values last =
      WhileLoop(s, {Const(s, 0), x}, CountTo(2), [](const Scope& b, const Values& v) -> Values {
        return {b(v[0]) + 1, b(v[1]) * b(v[1])};
      });
  const Output split = last[1].node()->input(0);
  const Output second = AddOpOutput(s.WithRawContext(nullptr), "Exit", {split});
  ASSERT_TRUE(graph.status().ok()) << graph.status();
  Gradients(s, {second}, {x});
  EXPECT_EQ(graph.status().code(), absl::StatusCode::kUnimplemented) << graph.status();
  EXPECT_NE(graph.status().message().find("one Exit for each variable"), std::string::npos)
      << graph.status();
}

struct RefusedLoop {
  std::string name;
  std::string message;
  std::function<void(const Scope&)> build;
};

class RefusedLoopTest : public testing::TestWithParam<RefusedLoop> {};

TEST_P(RefusedLoopTest, NamesWhatIsWrong) {
  Graph graph;
  GetParam().build(graph.root());
  EXPECT_EQ(graph.status().code(), absl::StatusCode::kInvalidArgument) << graph.status();
  EXPECT_NE(graph.status().message().find(GetParam().message), std::string::npos) << graph.status();
}

INSTANTIATE_TEST_SUITE_P(
    Loops, RefusedLoopTest,
    testing::ValuesIn(std::vector<RefusedLoop>{
        {"NoVariables", "at least one variable",
         [](const Scope& s) {
           WhileLoop(s, {}, CountTo(1), [](const Scope&, const Values&) { return Values(); });
         }},
        {"ConditionIsNoBool", "scalar bool",
         [](const Scope& s) {
           WhileLoop(
               s, {Const(s, 0)}, [](const Scope&, const Values& v) { return v[0]; },
               [](const Scope&, const Values& v) { return v; });
         }},
        {"BodyReturnsTooFew", "must return 2 values, received 1",
         [](const Scope& s) {
           WhileLoop(s, {Const(s, 0), Const(s, 1)}, CountTo(1),
                     [](const Scope&, const Values& v) { return Values{v[0]}; });
         }},
        {"BodyChangesTheType", "the body returns float",
         [](const Scope& s) {
           WhileLoop(s, {Const(s, 0)}, CountTo(1),
                     [](const Scope& b, const Values& v) { return Values{Cast(b, v[0], kFloat)}; });
         }},
        {"BodyChangesTheShape", "shape_invariants may allow for it",
         [](const Scope& s) {
           WhileLoop(s, {Const(s, 0), Const(s, 1.0f)}, CountTo(1),
                     [](const Scope& b, const Values& v) {
                       return Values{v[0], ExpandDims(b, v[1], Const(b, 0))};
                     });
         }},
        {"TensorOfTheBodyUsedOutside", "return it from the loop",
         [](const Scope& s) {
           Output leaked;
           WhileLoop(s, {Const(s, 0)}, CountTo(1), [&](const Scope& b, const Values& v) {
             leaked = b(v[0]) + 1;
             return Values{leaked};
           });
           Identity(s, leaked);
         }},
    }),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace espalier
