// Tested by graph_test.cc.
#include "espalier/graph/node_builder.h"

#include <algorithm>
#include <cctype>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
namespace {

// TensorFlow's numbers end here; those of refs begin at 101.
bool IsNamedType(DType type) {
  constexpr int kLastType = 63;
  return type != kInvalidDType && static_cast<int>(type) > 0 && static_cast<int>(type) <= kLastType;
}

class Resolver {
 public:
  Resolver(const OpSchema& schema, const NodeSpec& spec) : schema_(schema), spec_(spec) {}

  absl::StatusOr<ResolvedSignature> Resolve() {
    result_.attrs = spec_.attrs;
    for (const ArgSchema& arg : schema_.inputs()) RETURN_IF_ERROR(TakeInputs(arg));
    if (next_input_ != static_cast<int>(spec_.inputs.size())) {
      return Error(absl::StrCat("takes ", next_input_, " inputs, received ", spec_.inputs.size()));
    }
    for (const AttrSchema& attr : schema_.attrs()) RETURN_IF_ERROR(CheckAttr(attr));
    RETURN_IF_ERROR(CheckUnknownAttrs());
    for (const ArgSchema& arg : schema_.outputs()) RETURN_IF_ERROR(AddOutputs(arg));
    return std::move(result_);
  }

 private:
  absl::Status Error(const std::string& what) const {
    return absl::InvalidArgumentError(absl::StrCat(DescribeSpec(spec_), ": ", what));
  }

  // The number of tensors that a list input takes: all that the other inputs leave, when it is the
  // only list.
  absl::StatusOr<int64_t> ListLength(const ArgSchema& arg) {
    const std::string& key = arg.number_attr.empty() ? arg.type_list_attr : arg.number_attr;
    const auto it = result_.attrs.find(key);
    if (it != result_.attrs.end()) {
      if (const auto* n = std::get_if<int64_t>(static_cast<const AttrVariant*>(&it->second)))
        return *n;
      if (const auto* l =
              std::get_if<std::vector<DType>>(static_cast<const AttrVariant*>(&it->second))) {
        return static_cast<int64_t>(l->size());
      }
      return Error(absl::StrCat("attr ", key, " has the kind ", AttrKindName(it->second.kind())));
    }
    int64_t others = 0;
    for (const ArgSchema& other : schema_.inputs()) {
      if (&other == &arg) continue;
      if (other.is_list()) return Error(absl::StrCat("needs attr ", key));
      ++others;
    }
    return static_cast<int64_t>(spec_.inputs.size()) - others;
  }

  absl::Status TakeInputs(const ArgSchema& arg) {
    int64_t count = 1;
    if (arg.is_list()) {
      ASSIGN_OR_RETURN(count, ListLength(arg));
      if (!arg.number_attr.empty()) result_.attrs[arg.number_attr] = count;
    }
    const auto available = static_cast<int64_t>(spec_.inputs.size()) - next_input_;
    if (count < 0 || count > available) {
      return Error(
          absl::StrCat("takes ", count, " inputs for '", arg.name, "', received ", available));
    }
    std::vector<DType> types;
    for (int64_t i = 0; i < count; ++i) {
      ASSIGN_OR_RETURN(DType type, TakeOne(arg));
      types.push_back(type);
    }
    if (!arg.type_list_attr.empty() && !result_.attrs.contains(arg.type_list_attr)) {
      result_.attrs[arg.type_list_attr] = types;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<DType> TakeOne(const ArgSchema& arg) {
    const int index = next_input_++;
    const Output& input = spec_.inputs[index];
    result_.input_is_ref.push_back(arg.is_ref);
    if (!input.valid()) return kInvalidDType;  // a back edge, checked when it is set
    const DType received = input.dtype();
    const DType base = RemoveRef(received);
    if (arg.is_ref && !IsRef(received)) {
      return Error(absl::StrCat("input ", index, " '", arg.name, "' must be a variable, received ",
                                input.name(), " of type ", DTypeName(received)));
    }
    DType expected = arg.type;
    if (!arg.type_attr.empty()) {
      AttrValue& attr = result_.attrs[arg.type_attr];
      if (attr.kind() == AttrKind::kNone) attr = base;
      if (attr.kind() != AttrKind::kType)
        return Error(absl::StrCat("attr ", arg.type_attr, " must be a type"));
      expected = std::get<DType>(attr);
    }
    if (expected != kInvalidDType && received != kInvalidDType && base != expected) {
      return Error(absl::StrCat("input ", index, " '", arg.name, "' must be ", DTypeName(expected),
                                ", received ", input.name(), " of type ", DTypeName(base)));
    }
    return base;
  }

  absl::Status CheckAttr(const AttrSchema& attr) {
    const auto it = result_.attrs.find(attr.name);
    if (it == result_.attrs.end()) {
      if (attr.required())
        return Error(absl::StrCat("needs attr ", attr.name, " (", AttrKindName(attr.kind), ")"));
      result_.attrs[attr.name] = attr.default_value;
      return absl::OkStatus();
    }
    if (it->second.kind() != attr.kind) {
      return Error(absl::StrCat("attr ", attr.name, " must be ", AttrKindName(attr.kind),
                                ", received ", AttrKindName(it->second.kind())));
    }
    if (attr.kind == AttrKind::kType && !IsNamedType(std::get<DType>(it->second))) {
      return Error(absl::StrCat("attr ", attr.name, " must be an element type, received ",
                                DTypeName(std::get<DType>(it->second))));
    }
    if (attr.kind == AttrKind::kType && !attr.allowed_types.empty()) {
      const DType type = std::get<DType>(it->second);
      if (std::find(attr.allowed_types.begin(), attr.allowed_types.end(), type) ==
          attr.allowed_types.end()) {
        return Error(
            absl::StrCat("attr ", attr.name, " must be one of {",
                         absl::StrJoin(attr.allowed_types, ", ",
                                       [](std::string* out, DType t) { *out += DTypeName(t); }),
                         "}, received ", DTypeName(type)));
      }
    }
    if (attr.kind == AttrKind::kString && !attr.allowed_strings.empty()) {
      const auto& text = std::get<std::string>(it->second);
      if (std::find(attr.allowed_strings.begin(), attr.allowed_strings.end(), text) ==
          attr.allowed_strings.end()) {
        return Error(absl::StrCat("attr ", attr.name, " must be one of {",
                                  absl::StrJoin(attr.allowed_strings, ", "), "}, received ",
                                  it->second.ToString()));
      }
    }
    if (attr.minimum && attr.kind == AttrKind::kInt &&
        std::get<int64_t>(it->second) < *attr.minimum) {
      return Error(absl::StrCat("attr ", attr.name, " must be at least ", *attr.minimum,
                                ", received ", it->second.ToString()));
    }
    return absl::OkStatus();
  }

  absl::Status CheckUnknownAttrs() const {
    for (const auto& [name, value] : spec_.attrs) {
      if (name.starts_with("_") || schema_.FindAttr(name) != nullptr) continue;
      std::vector<std::string> known;
      for (const AttrSchema& attr : schema_.attrs()) known.push_back(attr.name);
      return Error(absl::StrCat("has no attr '", absl::CHexEscape(name.substr(0, 64)),
                                "'; its attrs are {", absl::StrJoin(known, ", "), "}"));
    }
    return absl::OkStatus();
  }

  absl::Status AddOutputs(const ArgSchema& arg) {
    int64_t count = 1;
    if (!arg.number_attr.empty()) {
      count = std::get<int64_t>(result_.attrs[arg.number_attr]);
      if (count < 0 || count > (1 << 20)) {
        return Error(absl::StrCat("attr ", arg.number_attr, " is out of range: ", count));
      }
    }
    if (!arg.type_list_attr.empty()) {
      for (DType type : std::get<std::vector<DType>>(result_.attrs[arg.type_list_attr])) {
        result_.output_dtypes.push_back(type);
      }
      return absl::OkStatus();
    }
    DType type = arg.type_attr.empty() ? arg.type : std::get<DType>(result_.attrs[arg.type_attr]);
    if (arg.is_ref) type = MakeRef(type);
    result_.output_dtypes.insert(result_.output_dtypes.end(), count, type);
    return absl::OkStatus();
  }

  const OpSchema& schema_;
  const NodeSpec& spec_;
  ResolvedSignature result_;
  int next_input_ = 0;
};

}  // namespace

absl::StatusOr<ResolvedSignature> ResolveSignature(const OpSchema& schema, const NodeSpec& spec) {
  return Resolver(schema, spec).Resolve();
}

bool IsValidNodeName(const std::string& name) {
  const auto letter = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  if (name.empty() || !(letter(name[0]) || name[0] == '.')) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) {
    return letter(c) || c == '_' || c == '.' || c == '\\' || c == '/' || c == '>' || c == '-';
  });
}

std::string DescribeSpec(const NodeSpec& spec) {
  const std::string line = spec.line.ToString();
  return absl::StrCat(spec.op, " node '", absl::CHexEscape(spec.name.substr(0, 256)), "'",
                      line.empty() ? "" : absl::StrCat(" (made at ", line, ")"));
}

}  // namespace espalier
