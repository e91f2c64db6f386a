// Attributes and tensors as messages. Tested by graph_def_test.cc.
#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "espalier/graph/graph_def.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
namespace {

// The typed field of TensorProto for an element type, appended to or read from; half types travel
// as their bits.
template <typename T>
struct Field;
template <>
struct Field<float> {
  static const auto& get(const proto::TensorProto& p) { return p.float_val(); }
};
template <>
struct Field<double> {
  static const auto& get(const proto::TensorProto& p) { return p.double_val(); }
};
template <>
struct Field<int64_t> {
  static const auto& get(const proto::TensorProto& p) { return p.int64_val(); }
};
template <>
struct Field<bool> {
  static const auto& get(const proto::TensorProto& p) { return p.bool_val(); }
};
template <>
struct Field<uint32_t> {
  static const auto& get(const proto::TensorProto& p) { return p.uint32_val(); }
};
template <>
struct Field<uint64_t> {
  static const auto& get(const proto::TensorProto& p) { return p.uint64_val(); }
};
template <>
struct Field<Eigen::half> {
  static const auto& get(const proto::TensorProto& p) { return p.half_val(); }
};
template <>
struct Field<Eigen::bfloat16> {
  static const auto& get(const proto::TensorProto& p) { return p.half_val(); }
};
template <typename T>
struct Field {  // the small integers share int_val
  static const auto& get(const proto::TensorProto& p) { return p.int_val(); }
};

template <typename T, typename V>
T FromField(V value) {
  if constexpr (std::is_same_v<T, Eigen::half> || std::is_same_v<T, Eigen::bfloat16>) {
    return Eigen::numext::bit_cast<T>(static_cast<uint16_t>(value));
  } else {
    return static_cast<T>(value);
  }
}

absl::StatusOr<Shape> ShapeFromProto(const proto::TensorShapeProto& message) {
  if (message.unknown_rank()) return Shape::Unknown();
  if (message.dim_size() > Shape::kMaxRank) {
    return absl::InvalidArgumentError(
        absl::StrCat("a shape of ", message.dim_size(), " dimensions"));
  }
  Shape shape;
  for (const auto& dim : message.dim()) {
    if (dim.size() < -1)
      return absl::InvalidArgumentError(absl::StrCat("a shape with dimension ", dim.size()));
    shape.push_back(dim.size());
  }
  return shape;
}

void ShapeToProto(const Shape& shape, proto::TensorShapeProto* message) {
  if (!shape.has_rank()) {
    message->set_unknown_rank(true);
    return;
  }
  for (int64_t dim : shape.dims()) message->add_dim()->set_size(dim);
}

// In all typed fields together.
int ValuesIn(const proto::TensorProto& p) {
  return p.float_val_size() + p.double_val_size() + p.int_val_size() + p.int64_val_size() +
         p.bool_val_size() + p.uint32_val_size() + p.uint64_val_size() + p.half_val_size() +
         p.string_val_size() + p.resource_handle_val_size();
}

// A few bytes may stand for a tensor full of one value; so much of it is believed.
constexpr int64_t kMaxSplatBytes = int64_t{1} << 30;

absl::Status CheckSplat(const proto::TensorProto& message, DType dtype, const Shape& shape) {
  if (!shape.IsFullyKnown()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a tensor of the unknown shape ", shape.ToString()));
  }
  ASSIGN_OR_RETURN(const int64_t count, shape.CheckedNumElements());
  const auto limit = kMaxSplatBytes / std::max<int64_t>(1, static_cast<int64_t>(DTypeSize(dtype)));
  if (count <= limit || static_cast<int64_t>(message.tensor_content().size()) >= kMaxSplatBytes)
    return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("a tensor of shape ", shape.ToString(),
                                                   " out of ", ValuesIn(message), " values"));
}

absl::Status FillFromField(const proto::TensorProto& message, Tensor& tensor) {
  const int64_t count = tensor.num_elements();
  const auto fill = [&](auto* data, const auto& field, auto convert) -> absl::Status {
    if (field.size() > count) {
      return absl::InvalidArgumentError(
          absl::StrCat(field.size(), " values for a tensor of shape ", tensor.shape().ToString()));
    }
    for (int i = 0; i < field.size(); ++i) data[i] = convert(field.Get(i));
    // The last value fills the rest; no value at all means zeros.
    for (int64_t i = field.size(); i < count; ++i) {
      data[i] = field.empty() ? std::decay_t<decltype(data[0])>() : data[field.size() - 1];
    }
    return absl::OkStatus();
  };
  if (tensor.dtype() == kString) {
    return fill(tensor.mutable_data<std::string>(), message.string_val(),
                [](const std::string& s) { return s; });
  }
  if (tensor.dtype() == kResource) {
    return fill(tensor.mutable_data<ResourceHandle>(), message.resource_handle_val(),
                [](const proto::ResourceHandleProto& h) {
                  return ResourceHandle{h.container(), h.name()};
                });
  }
  return DispatchType(PlainTypes(), tensor.dtype(), [&]<typename T>() -> absl::Status {
    const auto& field = Field<T>::get(message);
    if (field.empty() && ValuesIn(message) > 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          ValuesIn(message), " values in a field that is not that of ", DTypeName(DTypeOf<T>)));
    }
    if constexpr (std::is_same_v<T, Eigen::half> || std::is_same_v<T, Eigen::bfloat16>) {
      for (const int32_t bits : field) {
        if (bits < 0 || bits > std::numeric_limits<uint16_t>::max())
          return absl::InvalidArgumentError(absl::StrCat("half_val ", bits, " has over 16 bits"));
      }
    }
    return fill(tensor.mutable_data<T>(), field, [](auto v) { return FromField<T>(v); });
  });
}

struct ToProto {
  proto::AttrValue message;
  void operator()(std::monostate) {}
  void operator()(const std::string& v) { message.set_s(v); }
  void operator()(int64_t v) { message.set_i(v); }
  void operator()(float v) { message.set_f(v); }
  void operator()(bool v) { message.set_b(v); }
  void operator()(DType v) { message.set_type(static_cast<proto::DataType>(v)); }
  void operator()(const Shape& v) { ShapeToProto(v, message.mutable_shape()); }
  void operator()(const Tensor& v) { *message.mutable_tensor() = TensorToProto(v); }
  void operator()(const proto::AttrValue& v) { message = v; }
  template <typename T>
  void operator()(const std::vector<T>& list) {
    auto* out = message.mutable_list();
    for (const auto& item : list) Append(static_cast<const T&>(item), out);
  }
  using List = proto::AttrValue::ListValue;
  static void Append(const std::string& v, List* list) { list->add_s(v); }
  static void Append(int64_t v, List* list) { list->add_i(v); }
  static void Append(float v, List* list) { list->add_f(v); }
  static void Append(bool v, List* list) { list->add_b(v); }
  static void Append(DType v, List* list) { list->add_type(static_cast<proto::DataType>(v)); }
  static void Append(const Shape& v, List* list) { ShapeToProto(v, list->add_shape()); }
  static void Append(const Tensor& v, List* list) { *list->add_tensor() = TensorToProto(v); }
};

// The kind of a list message: that of its non-empty field, else the one that the schema expects.
AttrKind ListKind(const proto::AttrValue::ListValue& list, AttrKind expected) {
  if (list.s_size() > 0) return AttrKind::kStringList;
  if (list.i_size() > 0) return AttrKind::kIntList;
  if (list.f_size() > 0) return AttrKind::kFloatList;
  if (list.b_size() > 0) return AttrKind::kBoolList;
  if (list.type_size() > 0) return AttrKind::kTypeList;
  if (list.shape_size() > 0) return AttrKind::kShapeList;
  if (list.tensor_size() > 0) return AttrKind::kTensorList;
  if (list.func_size() > 0) return AttrKind::kMessage;
  return expected;
}

absl::StatusOr<AttrValue> ListFromProto(const proto::AttrValue& message, AttrKind expected) {
  const auto& list = message.list();
  switch (ListKind(list, expected)) {
    case AttrKind::kStringList:
      return AttrValue(std::vector<std::string>(list.s().begin(), list.s().end()));
    case AttrKind::kIntList:
      return AttrValue(std::vector<int64_t>(list.i().begin(), list.i().end()));
    case AttrKind::kFloatList:
      return AttrValue(std::vector<float>(list.f().begin(), list.f().end()));
    case AttrKind::kBoolList:
      return AttrValue(std::vector<bool>(list.b().begin(), list.b().end()));
    case AttrKind::kTypeList: {
      std::vector<DType> types;
      for (int type : list.type()) types.push_back(static_cast<DType>(type));
      return AttrValue(types);
    }
    case AttrKind::kShapeList: {
      std::vector<Shape> shapes;
      for (const auto& item : list.shape()) {
        ASSIGN_OR_RETURN(Shape shape, ShapeFromProto(item));
        shapes.push_back(shape);
      }
      return AttrValue(shapes);
    }
    case AttrKind::kTensorList: {
      std::vector<Tensor> tensors;
      for (const auto& item : list.tensor()) {
        ASSIGN_OR_RETURN(Tensor tensor, TensorFromProto(item));
        tensors.push_back(tensor);
      }
      return AttrValue(tensors);
    }
    default:
      return AttrValue(message);
  }
}

}  // namespace

proto::TensorProto TensorToProto(const Tensor& tensor) {
  proto::TensorProto message;
  message.set_dtype(static_cast<proto::DataType>(tensor.dtype()));
  ShapeToProto(tensor.shape(), message.mutable_tensor_shape());
  if (tensor.dtype() == kString) {
    for (const std::string& s : tensor.flat<std::string>()) message.add_string_val(s);
  } else if (tensor.dtype() == kResource) {
    for (const ResourceHandle& handle : tensor.flat<ResourceHandle>()) {
      auto* out = message.add_resource_handle_val();
      out->set_container(handle.container);
      out->set_name(handle.name);
    }
  } else if (tensor.num_elements() == 1) {
    // The readable form in text files; everything longer travels as bytes.
    DispatchType(PlainTypes(), tensor.dtype(), [&]<typename T>() -> bool {
      auto& field =
          const_cast<std::decay_t<decltype(Field<T>::get(message))>&>(Field<T>::get(message));
      if constexpr (std::is_same_v<T, Eigen::half> || std::is_same_v<T, Eigen::bfloat16>) {
        field.Add(Eigen::numext::bit_cast<uint16_t>(tensor.scalar<T>()));
      } else {
        field.Add(tensor.scalar<T>());
      }
      return true;
    });
  } else if (tensor.num_bytes() > 0) {
    message.set_tensor_content(tensor.raw(), tensor.num_bytes());
  }
  return message;
}

absl::StatusOr<Tensor> TensorFromProto(const proto::TensorProto& message) {
  ASSIGN_OR_RETURN(Shape shape, ShapeFromProto(message.tensor_shape()));
  const auto dtype = static_cast<DType>(message.dtype());
  RETURN_IF_ERROR(CheckSplat(message, dtype, shape));
  ASSIGN_OR_RETURN(Tensor tensor, Tensor::Allocate(dtype, shape));
  if (message.tensor_content().empty()) {
    RETURN_IF_ERROR(FillFromField(message, tensor));
    return tensor;
  }
  if (dtype == kString || dtype == kResource ||
      message.tensor_content().size() != tensor.num_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat("tensor_content of ",
                                                   message.tensor_content().size(), " bytes for ",
                                                   DTypeName(dtype), shape.ToString()));
  }
  std::memcpy(tensor.mutable_raw(), message.tensor_content().data(), tensor.num_bytes());
  if (dtype ==
      kBool) {  // any non-zero byte is true; other bit patterns would be undefined behaviour
    auto* bytes = static_cast<uint8_t*>(tensor.mutable_raw());
    for (int64_t i = 0; i < tensor.num_elements(); ++i) bytes[i] = bytes[i] != 0 ? 1 : 0;
  }
  return tensor;
}

proto::AttrValue AttrToProto(const AttrValue& value) {
  ToProto to_proto;
  std::visit(to_proto, static_cast<const AttrVariant&>(value));
  return std::move(to_proto.message);
}

absl::StatusOr<AttrValue> AttrFromProto(const proto::AttrValue& message, AttrKind kind) {
  switch (message.value_case()) {
    case proto::AttrValue::kS:
      return AttrValue(message.s());
    case proto::AttrValue::kI:
      return AttrValue(static_cast<int64_t>(message.i()));
    case proto::AttrValue::kF:
      return AttrValue(message.f());
    case proto::AttrValue::kB:
      return AttrValue(message.b());
    case proto::AttrValue::kType:
      return AttrValue(static_cast<DType>(message.type()));
    case proto::AttrValue::kShape: {
      ASSIGN_OR_RETURN(Shape shape, ShapeFromProto(message.shape()));
      return AttrValue(shape);
    }
    case proto::AttrValue::kTensor: {
      ASSIGN_OR_RETURN(Tensor tensor, TensorFromProto(message.tensor()));
      return AttrValue(tensor);
    }
    case proto::AttrValue::kList:
      return ListFromProto(message, kind);
    default:
      return AttrValue(message);
  }
}

}  // namespace espalier
