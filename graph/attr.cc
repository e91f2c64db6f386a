// Tested by graph_def_test.cc.
#include "espalier/graph/attr.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace espalier {
namespace {

struct Printer {
  std::string operator()(std::monostate) const { return "<none>"; }
  std::string operator()(const std::string& s) const {
    return absl::StrCat("\"", absl::CHexEscape(s.substr(0, 64)), "\"");
  }
  std::string operator()(int64_t i) const { return absl::StrCat(i); }
  std::string operator()(float f) const { return absl::StrCat(f); }
  std::string operator()(bool b) const { return b ? "true" : "false"; }
  std::string operator()(DType t) const { return DTypeName(t); }
  std::string operator()(const Shape& s) const { return s.ToString(); }
  std::string operator()(const Tensor& t) const { return t.DebugString(4); }
  std::string operator()(const proto::AttrValue&) const { return "<message>"; }
  template <typename T>
  std::string operator()(const std::vector<T>& list) const {
    std::vector<std::string> parts;
    for (const auto& item : list) parts.push_back((*this)(static_cast<const T&>(item)));
    return absl::StrCat("[", absl::StrJoin(parts, ","), "]");
  }
};

// Equality of alternatives; messages are compared as their bytes.
struct Equal {
  const AttrVariant& other;
  template <typename T>
  bool operator()(const T& value) const {
    const T& counterpart = std::get<T>(other);
    if constexpr (std::is_same_v<T, proto::AttrValue>) {
      return value.SerializeAsString() == counterpart.SerializeAsString();
    } else {
      return value == counterpart;
    }
  }
};

}  // namespace

bool operator==(const AttrValue& a, const AttrValue& b) {
  return a.index() == b.index() && std::visit(Equal{b}, static_cast<const AttrVariant&>(a));
}

std::string AttrKindName(AttrKind kind) {
  static constexpr const char* kNames[] = {
      "none",         "string",      "int",          "float",
      "bool",         "type",        "shape",        "tensor",
      "list(string)", "list(int)",   "list(float)",  "list(bool)",
      "list(type)",   "list(shape)", "list(tensor)", "func or placeholder"};
  return kNames[static_cast<int>(kind)];
}

std::string AttrValue::ToString() const {
  return std::visit(Printer(), static_cast<const AttrVariant&>(*this));
}

}  // namespace espalier
