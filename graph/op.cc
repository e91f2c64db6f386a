// Tested by ops/registry_test.cc.
#include "espalier/graph/op.h"

#include "absl/strings/str_cat.h"

namespace espalier {

OpSchema& OpSchema::Doc(std::string text) {
  doc_ = std::move(text);
  return *this;
}
OpSchema& OpSchema::In(std::string name, std::string type_attr) {
  inputs_.push_back({.name = std::move(name), .type_attr = std::move(type_attr)});
  return *this;
}
OpSchema& OpSchema::In(std::string name, DType type) {
  inputs_.push_back({.name = std::move(name), .type = type});
  return *this;
}
OpSchema& OpSchema::RefIn(std::string name, std::string type_attr) {
  inputs_.push_back({.name = std::move(name), .type_attr = std::move(type_attr), .is_ref = true});
  return *this;
}
OpSchema& OpSchema::InList(std::string name, std::string number_attr, std::string type_attr) {
  inputs_.push_back({.name = std::move(name),
                     .type_attr = std::move(type_attr),
                     .number_attr = std::move(number_attr)});
  return *this;
}
OpSchema& OpSchema::InList(std::string name, std::string number_attr, DType type) {
  inputs_.push_back({.name = std::move(name), .type = type, .number_attr = std::move(number_attr)});
  return *this;
}
OpSchema& OpSchema::RefInList(std::string name, std::string number_attr, std::string type_attr) {
  InList(std::move(name), std::move(number_attr), std::move(type_attr));
  inputs_.back().is_ref = true;
  return *this;
}
OpSchema& OpSchema::InTypes(std::string name, std::string type_list_attr) {
  inputs_.push_back({.name = std::move(name), .type_list_attr = std::move(type_list_attr)});
  return *this;
}
OpSchema& OpSchema::Out(std::string name, std::string type_attr) {
  outputs_.push_back({.name = std::move(name), .type_attr = std::move(type_attr)});
  return *this;
}
OpSchema& OpSchema::Out(std::string name, DType type) {
  outputs_.push_back({.name = std::move(name), .type = type});
  return *this;
}
OpSchema& OpSchema::RefOut(std::string name, std::string type_attr) {
  outputs_.push_back({.name = std::move(name), .type_attr = std::move(type_attr), .is_ref = true});
  return *this;
}
OpSchema& OpSchema::OutList(std::string name, std::string number_attr, std::string type_attr) {
  outputs_.push_back({.name = std::move(name),
                      .type_attr = std::move(type_attr),
                      .number_attr = std::move(number_attr)});
  return *this;
}
OpSchema& OpSchema::OutTypes(std::string name, std::string type_list_attr) {
  outputs_.push_back({.name = std::move(name), .type_list_attr = std::move(type_list_attr)});
  return *this;
}
OpSchema& OpSchema::TypeAttr(std::string name, std::vector<DType> allowed,
                             AttrValue default_value) {
  attrs_.push_back({.name = std::move(name),
                    .kind = AttrKind::kType,
                    .default_value = std::move(default_value),
                    .allowed_types = std::move(allowed)});
  return *this;
}
OpSchema& OpSchema::Attr(std::string name, AttrValue default_value) {
  const AttrKind kind = default_value.kind();
  attrs_.push_back(
      {.name = std::move(name), .kind = kind, .default_value = std::move(default_value)});
  return *this;
}
OpSchema& OpSchema::RequiredAttr(std::string name, AttrKind kind) {
  attrs_.push_back({.name = std::move(name), .kind = kind});
  return *this;
}
OpSchema& OpSchema::StringAttr(std::string name, std::vector<std::string> allowed,
                               AttrValue default_value) {
  attrs_.push_back({.name = std::move(name),
                    .kind = AttrKind::kString,
                    .default_value = std::move(default_value),
                    .allowed_strings = std::move(allowed)});
  return *this;
}
OpSchema& OpSchema::Minimum(int64_t minimum) {
  attrs_.back().minimum = minimum;
  return *this;
}
OpSchema& OpSchema::Positional() {
  attrs_.back().positional = true;
  return *this;
}
OpSchema& OpSchema::Traits(OpTraits traits) {
  traits_ = traits;
  return *this;
}
OpSchema& OpSchema::Shape(ShapeFunction function) {
  shape_function_ = function;
  return *this;
}
OpSchema& OpSchema::PartialValue(PartialValueFunction function) {
  partial_value_ = function;
  return *this;
}
OpSchema& OpSchema::ChannelMap(ChannelMapFunction function) {
  channel_map_ = function;
  return *this;
}
OpSchema& OpSchema::ScaleWeights(ScaleWeightsFunction function) {
  scale_weights_ = function;
  return *this;
}
OpSchema& OpSchema::Kernel(KernelFactory factory) {
  kernel_ = std::move(factory);
  return *this;
}
OpSchema& OpSchema::Gradient(GradientFunction function) {
  gradient_ = function;
  return *this;
}
OpSchema& OpSchema::NotDifferentiable(std::string reason) {
  not_differentiable_ = std::move(reason);
  return *this;
}
OpSchema& OpSchema::GradientMissing(std::string reason) {
  gradient_missing_ = std::move(reason);
  return *this;
}
OpSchema& OpSchema::Example(OpExample example) {
  examples_.push_back(std::move(example));
  return *this;
}
OpSchema& OpSchema::Examples(std::vector<OpExample> examples) {
  for (OpExample& example : examples) examples_.push_back(std::move(example));
  return *this;
}
OpSchema& OpSchema::NoExample(std::string reason) {
  no_example_ = std::move(reason);
  return *this;
}

const AttrSchema* OpSchema::FindAttr(const std::string& name) const {
  for (const AttrSchema& attr : attrs_) {
    if (attr.name == name) return &attr;
  }
  return nullptr;
}

absl::Status OpSchema::Validate() const {
  const auto refuse = [&](const char* what) {
    return absl::FailedPreconditionError(absl::StrCat("op ", name_, " declares no ", what));
  };
  if (doc_.empty()) return refuse("doc");
  if (shape_function_ == nullptr) return refuse("shape function");
  if (!kernel_) return refuse("kernel");
  const int answers = (gradient_ != nullptr ? 1 : 0) + (not_differentiable_.empty() ? 0 : 1) +
                      (gradient_missing_.empty() ? 0 : 1);
  if (answers != 1)
    return refuse("gradient (or several): say Gradient, NotDifferentiable or GradientMissing");
  if (examples_.empty() == no_example_.empty())
    return refuse("examples, and no reason for that (or both)");
  for (const std::vector<ArgSchema>* args : {&inputs_, &outputs_}) {
    for (const ArgSchema& arg : *args) {
      for (const std::string* attr : {&arg.type_attr, &arg.type_list_attr, &arg.number_attr}) {
        if (!attr->empty() && FindAttr(*attr) == nullptr) return refuse(("attr " + *attr).c_str());
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace espalier
