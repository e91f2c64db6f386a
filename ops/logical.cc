// LogicalAnd, LogicalOr, LogicalNot. Tested by the registry test.
#include "espalier/graph/gradients.h"
#include "espalier/graph/op_registry.h"
#include "espalier/graph/shape_inference.h"
#include "espalier/ops/elementwise.h"
#include "espalier/ops/examples.h"

namespace espalier {
namespace {

struct And {
  bool operator()(bool x, bool y) const { return x && y; }
};
struct Or {
  bool operator()(bool x, bool y) const { return x || y; }
};
struct Not {
  bool operator()(bool x) const { return !x; }
};

template <typename Functor>
void AddBinary(OpRegistry& registry, const char* name, const char* doc) {
  registry.Add(name)
      .Doc(doc)
      .In("x", kBool)
      .In("y", kBool)
      .Out("z", kBool)
      .Traits({.elementwise = true, .commutative = true})
      .Shape(BroadcastShape)
      .Kernel(BinaryKernel<Functor>(TypeList<bool>()))
      .NotDifferentiable("its output is bool")
      .Example({.name = "vector",
                .inputs = {B({4}, {false, false, true, true}), B({4}, {false, true, false, true})},
                .expected = {B({4}, {Functor()(false, false), Functor()(false, true),
                                     Functor()(true, false), Functor()(true, true)})}})
      .Example({.name = "scalar",
                .inputs = {B({2}, {false, true}), B({}, {true})},
                .expected = {B({2}, {Functor()(false, true), Functor()(true, true)})}})
      .Example({.name = "empty",
                .inputs = {B({0, 2}, {}), B({2}, {true, false})},
                .expected = {B({0, 2}, {})}});
}

}  // namespace

void RegisterLogical(OpRegistry& registry) {
  AddBinary<And>(registry, "LogicalAnd", "x and y with broadcasting.");
  AddBinary<Or>(registry, "LogicalOr", "x or y with broadcasting.");
  registry.Add("LogicalNot")
      .Doc("not x, elementwise.")
      .In("x", kBool)
      .Out("y", kBool)
      .Traits({.elementwise = true})
      .Shape(UnchangedShape)
      .Kernel(UnaryKernel<Not>(TypeList<bool>()))
      .NotDifferentiable("its output is bool")
      .Example({.name = "vector",
                .inputs = {B({2}, {false, true})},
                .expected = {B({2}, {true, false})}})
      .Example({.name = "scalar", .inputs = {B({}, {false})}, .expected = {B({}, {true})}})
      .Example({.name = "empty", .inputs = {B({0}, {})}, .expected = {B({0}, {})}});
}

}  // namespace espalier
