// Attribute values of nodes.
//
//   AttrMap attrs = {{"padding", "SAME"}, {"T", kFloat}};
//   std::get<DType>(attrs["T"])
//
// A variant over what TensorFlow's AttrValue can hold. Kinds that we do not interpret (functions,
// placeholders) are kept as the message itself, so a GraphDef is written back whole.
#ifndef ESPALIER_GRAPH_ATTR_H_
#define ESPALIER_GRAPH_ATTR_H_

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "espalier/graph/dtype.h"
#include "espalier/graph/shape.h"
#include "espalier/graph/tensor.h"
#include "espalier/proto/graph.pb.h"

namespace espalier {

// The order of the alternatives is that of AttrKind.
using AttrVariant = std::variant<std::monostate, std::string, int64_t, float, bool, DType, Shape,
                                 Tensor, std::vector<std::string>, std::vector<int64_t>,
                                 std::vector<float>, std::vector<bool>, std::vector<DType>,
                                 std::vector<Shape>, std::vector<Tensor>, proto::AttrValue>;

enum class AttrKind {
  kNone,
  kString,
  kInt,
  kFloat,
  kBool,
  kType,
  kShape,
  kTensor,
  kStringList,
  kIntList,
  kFloatList,
  kBoolList,
  kTypeList,
  kShapeList,
  kTensorList,
  kMessage,
};

// "int", "list(shape)", ...: TensorFlow's words.
std::string AttrKindName(AttrKind kind);

class AttrValue : public AttrVariant {
 public:
  using AttrVariant::AttrVariant;
  using AttrVariant::operator=;
  AttrValue() = default;
  // Implicit, so that an attribute is written as its plain value.
  // NOLINTBEGIN(google-explicit-constructor)
  AttrValue(const char* text) : AttrVariant(std::string(text)) {}
  AttrValue(int value) : AttrVariant(static_cast<int64_t>(value)) {}
  AttrValue(double value) : AttrVariant(static_cast<float>(value)) {}
  // NOLINTEND(google-explicit-constructor)

  AttrKind kind() const { return static_cast<AttrKind>(index()); }
  friend bool operator==(const AttrValue& a, const AttrValue& b);
  // Short text for messages: "[1,2]", "\"SAME\"", "float".
  std::string ToString() const;
};

using AttrMap = std::map<std::string, AttrValue>;

}  // namespace espalier

#endif  // ESPALIER_GRAPH_ATTR_H_
