// Writes ops.h: a typed C++ builder for each op in the registry.
//
// Inputs come first, then attrs that have no default (and those marked positional), then an options
// struct for the rest:
//   Output MatMul(const At& at, const Output& a, const Output& b,
//                 const MatMulOptions& options = {});
// Several outputs come back as a struct with a field for each. Type attrs that an input fixes are
// left out.
#include <cctype>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "espalier/ops/all_ops.h"

namespace espalier {
namespace {

std::string CppType(AttrKind kind) {
  static constexpr const char* kTypes[] = {"",
                                           "std::string",
                                           "int64_t",
                                           "float",
                                           "bool",
                                           "DType",
                                           "Shape",
                                           "Tensor",
                                           "std::vector<std::string>",
                                           "std::vector<int64_t>",
                                           "std::vector<float>",
                                           "std::vector<bool>",
                                           "std::vector<DType>",
                                           "std::vector<Shape>",
                                           "std::vector<Tensor>",
                                           "AttrValue"};
  return kTypes[static_cast<int>(kind)];
}

struct DefaultText {
  std::string operator()(const std::string& s) const {
    return absl::StrCat("\"", absl::CEscape(s), "\"");
  }
  std::string operator()(int64_t i) const { return absl::StrCat(i); }
  std::string operator()(float f) const {
    const std::string text = absl::StrCat(f);
    return text.find_first_of(".e") == std::string::npos ? text + ".0f" : text + "f";
  }
  std::string operator()(bool b) const { return b ? "true" : "false"; }
  std::string operator()(DType t) const {
    return absl::StrCat("static_cast<DType>(", static_cast<int>(t), ")");
  }
  std::string operator()(const Shape& s) const {
    return s.has_rank() ? absl::StrCat("Shape{", absl::StrJoin(s.dims(), ", "), "}")
                        : "Shape::Unknown()";
  }
  std::string operator()(const std::vector<int64_t>& list) const {
    return absl::StrCat("{", absl::StrJoin(list, ", "), "}");
  }
  template <typename T>
  std::string operator()(const T&) const {
    return "{}";
  }
};

std::string DefaultOf(const AttrSchema& attr) {
  return std::visit(DefaultText(), static_cast<const AttrVariant&>(attr.default_value));
}

bool FixedByInputs(const OpSchema& op, const std::string& attr) {
  for (const ArgSchema& input : op.inputs()) {
    if (input.type_attr == attr || input.number_attr == attr || input.type_list_attr == attr)
      return true;
  }
  return false;
}

// C++ has words of its own.
std::string Identifier(const std::string& name) {
  static const std::set<std::string> kReserved = {"switch", "default",  "else",
                                                  "case",   "template", "at"};
  return kReserved.contains(name) ? name + "_" : name;
}

// Shape is a class already: Shape_(s, x).
std::string BuilderName(const std::string& op) { return op == "Shape" ? op + "_" : op; }

class BuilderWriter {
 public:
  explicit BuilderWriter(const OpSchema& op) : op_(op) {
    for (const AttrSchema& attr : op.attrs()) {
      if (FixedByInputs(op, attr.name)) continue;
      (attr.required() || attr.positional ? positional_ : optional_).push_back(&attr);
    }
  }

  void Write() const {
    WriteOptions();
    WriteResult();
    std::printf("// %s\n", op_.doc().c_str());
    std::printf("inline %s %s(%s) {\n", ResultType().c_str(), BuilderName(op_.name()).c_str(),
                absl::StrJoin(Parameters(), ", ").c_str());
    std::printf("  std::vector<Output> all_inputs;\n");
    for (const ArgSchema& input : op_.inputs()) {
      const std::string name = Identifier(input.name);
      if (input.is_list()) {
        std::printf("  all_inputs.insert(all_inputs.end(), %s.begin(), %s.end());\n", name.c_str(),
                    name.c_str());
      } else {
        std::printf("  all_inputs.push_back(%s);\n", name.c_str());
      }
    }
    std::printf("  AttrMap all_attrs;\n");
    for (const ArgSchema& input : op_.inputs()) {
      if (!input.number_attr.empty()) {
        std::printf("  all_attrs[\"%s\"] = static_cast<int64_t>(%s.size());\n",
                    input.number_attr.c_str(), Identifier(input.name).c_str());
      }
    }
    for (const AttrSchema* attr : positional_) {
      std::printf("  all_attrs[\"%s\"] = %s;\n", attr->name.c_str(),
                  Identifier(attr->name).c_str());
    }
    for (const AttrSchema* attr : optional_) {
      std::printf("  all_attrs[\"%s\"] = options.%s;\n", attr->name.c_str(),
                  Identifier(attr->name).c_str());
    }
    std::printf("  const Node* node = AddOp(at, \"%s\", all_inputs, std::move(all_attrs));\n",
                op_.name().c_str());
    WriteReturn();
    std::printf("}\n\n");
  }

 private:
  bool single() const { return op_.outputs().size() == 1; }

  void WriteOptions() const {
    if (optional_.empty()) return;
    std::printf("struct %sOptions {\n", op_.name().c_str());
    for (const AttrSchema* attr : optional_) {
      std::printf("  %s %s = %s;\n", CppType(attr->kind).c_str(), Identifier(attr->name).c_str(),
                  DefaultOf(*attr).c_str());
    }
    std::printf("};\n");
  }

  void WriteResult() const {
    if (op_.outputs().size() < 2) return;
    std::printf("struct %sOutputs {\n", op_.name().c_str());
    for (const ArgSchema& output : op_.outputs())
      std::printf("  Output %s;\n", Identifier(output.name).c_str());
    std::printf(
        "  operator Operation() const { return %s; }  // NOLINT(google-explicit-constructor)\n};\n",
        Identifier(op_.outputs()[0].name).c_str());
  }

  std::string ResultType() const {
    if (op_.outputs().empty()) return "Operation";
    if (single()) return op_.outputs()[0].is_list() ? "std::vector<Output>" : "Output";
    return op_.name() + "Outputs";
  }

  std::vector<std::string> Parameters() const {
    std::vector<std::string> parameters = {"const At& at"};
    for (const ArgSchema& input : op_.inputs()) {
      parameters.push_back(
          absl::StrCat(input.is_list() ? "const std::vector<Output>& " : "const Output& ",
                       Identifier(input.name)));
    }
    for (const AttrSchema* attr : positional_) {
      parameters.push_back(
          absl::StrCat("const ", CppType(attr->kind), "& ", Identifier(attr->name)));
    }
    // Only trailing parameters can have defaults.
    for (size_t i = positional_.size(); i > 0 && !positional_[i - 1]->required(); --i) {
      absl::StrAppend(&parameters[op_.inputs().size() + i], " = ", DefaultOf(*positional_[i - 1]));
    }
    if (!optional_.empty())
      parameters.push_back(absl::StrCat("const ", op_.name(), "Options& options = {}"));
    return parameters;
  }

  void WriteReturn() const {
    if (op_.outputs().empty()) {
      std::printf("  return Operation(node);\n");
    } else if (single() && op_.outputs()[0].is_list()) {
      std::printf("  std::vector<Output> outputs;\n");
      std::printf(
          "  for (int i = 0; node != nullptr && i < node->num_outputs(); ++i) "
          "outputs.push_back(node->output(i));\n");
      std::printf("  return outputs;\n");
    } else if (single()) {
      std::printf("  return node == nullptr ? Output() : node->output(0);\n");
    } else {
      std::printf("  if (node == nullptr) return {};\n  return {");
      for (size_t i = 0; i < op_.outputs().size(); ++i)
        std::printf("%snode->output(%zu)", i > 0 ? ", " : "", i);
      std::printf("};\n");
    }
  }

  const OpSchema& op_;
  std::vector<const AttrSchema*> positional_;
  std::vector<const AttrSchema*> optional_;
};

int Main() {
  std::printf(
      "// Typed builders for every op. Generated by tools/generate_builders.cc from the schemas; "
      "do not edit.\n"
      "#ifndef ESPALIER_OPS_OPS_H_\n#define ESPALIER_OPS_OPS_H_\n\n"
      "#include <string>\n#include <utility>\n#include <vector>\n\n#include "
      "\"espalier/graph/scope.h\"\n\n"
      "namespace espalier {\n\n");
  for (const OpSchema* op : BuiltinOps().ops()) {
    // Const has a builder of its own (graph/scope.h), and so have variables (graph/variable.h).
    if (op->traits().is_constant || op->traits().is_variable) continue;
    BuilderWriter(*op).Write();
  }
  std::printf("}  // namespace espalier\n\n#endif  // ESPALIER_OPS_OPS_H_\n");
  return 0;
}

}  // namespace
}  // namespace espalier

int main() { return espalier::Main(); }
