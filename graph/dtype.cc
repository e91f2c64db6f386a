#include "espalier/graph/dtype.h"

#include <utility>

namespace espalier {
namespace {

constexpr std::pair<DType, const char*> kNames[] = {
    {kFloat, "float"},       {kDouble, "double"},   {kInt32, "int32"},       {kUInt8, "uint8"},
    {kInt16, "int16"},       {kInt8, "int8"},       {kString, "string"},     {kInt64, "int64"},
    {kBool, "bool"},         {kHalf, "half"},       {kBFloat16, "bfloat16"}, {kUInt16, "uint16"},
    {kResource, "resource"}, {kVariant, "variant"}, {kUInt32, "uint32"},     {kUInt64, "uint64"},
};

}  // namespace

bool IsFloating(DType t) { return t == kFloat || t == kDouble || t == kHalf || t == kBFloat16; }

bool IsInteger(DType t) {
  return t == kInt32 || t == kInt64 || t == kUInt8 || t == kInt16 || t == kInt8 || t == kUInt16 ||
         t == kUInt32 || t == kUInt64;
}

size_t DTypeSize(DType t) {
  return DispatchType(AllTypes(), RemoveRef(t), []<typename T>() { return sizeof(T); });
}

std::string DTypeName(DType t) {
  for (const auto& [dtype, name] : kNames) {
    if (dtype == RemoveRef(t)) return IsRef(t) ? std::string(name) + "_ref" : name;
  }
  return "type " + std::to_string(static_cast<int>(t));
}

}  // namespace espalier
