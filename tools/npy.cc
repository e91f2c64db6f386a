// Tested by npy_test.cc.
#include "espalier/tools/npy.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "espalier/graph/proto_file.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr size_t kMagicSize = 6;
constexpr size_t kHeaderAlignment = 64;
constexpr int64_t kMaxFileBytes = int64_t{16} << 30;

const std::map<std::string, DType>& TypesByCode() {
  static const auto* types = new std::map<std::string, DType>{
      {"b1", kBool},   {"i1", kInt8},  {"i2", kInt16},  {"i4", kInt32},
      {"i8", kInt64},  {"u1", kUInt8}, {"u2", kUInt16}, {"u4", kUInt32},
      {"u8", kUInt64}, {"f2", kHalf},  {"f4", kFloat},  {"f8", kDouble}};
  return *types;
}

struct Header {
  DType dtype = kInvalidDType;
  bool big_endian = false;
  bool fortran_order = false;
  Shape shape;
};

// The value of 'key' in the header, a Python dictionary literal; up to the next comma, or to the
// closing bracket of a tuple.
absl::StatusOr<std::string> Field(const std::string& header, const std::string& key) {
  const size_t at = header.find(absl::StrCat("'", key, "'"));
  const size_t colon = at == std::string::npos ? at : header.find(':', at);
  if (colon == std::string::npos)
    return absl::InvalidArgumentError(absl::StrCat("the header has no '", key, "'"));
  const size_t start = header.find_first_not_of(' ', colon + 1);
  if (start == std::string::npos)
    return absl::InvalidArgumentError(absl::StrCat("'", key, "' has no value"));
  const size_t end =
      header[start] == '(' ? header.find(')', start) : header.find_first_of(",}", start);
  if (end == std::string::npos)
    return absl::InvalidArgumentError(absl::StrCat("the value of '", key, "' does not end"));
  return header.substr(start, end - start);
}

absl::StatusOr<Header> ParseHeader(const std::string& text) {
  Header header;
  ASSIGN_OR_RETURN(std::string descr, Field(text, "descr"));
  const absl::string_view code =
      absl::StripSuffix(absl::StripPrefix(absl::StripPrefix(descr, "'"), "\""), "'");
  const auto type =
      code.empty() ? TypesByCode().end() : TypesByCode().find(std::string(code.substr(1)));
  if (type == TypesByCode().end() || std::strchr("<>|=", code[0]) == nullptr)
    return absl::InvalidArgumentError(
        absl::StrCat("the element type ", descr, " is not supported"));
  header.dtype = type->second;
  header.big_endian = code[0] == '>';
  ASSIGN_OR_RETURN(std::string order, Field(text, "fortran_order"));
  if (order != "True" && order != "False")
    return absl::InvalidArgumentError(absl::StrCat("fortran_order is ", order));
  header.fortran_order = order == "True";
  ASSIGN_OR_RETURN(std::string shape, Field(text, "shape"));
  if (shape.empty() || shape[0] != '(')
    return absl::InvalidArgumentError(absl::StrCat("the shape is ", shape));
  std::vector<int64_t> dims;
  for (const absl::string_view item : absl::StrSplit(shape.substr(1), ',')) {
    const absl::string_view digits = absl::StripAsciiWhitespace(item);
    if (digits.empty()) continue;
    int64_t dim = 0;
    if (!absl::SimpleAtoi(digits, &dim) || dim < 0)
      return absl::InvalidArgumentError(absl::StrCat("the shape has the dimension ", digits));
    dims.push_back(dim);
  }
  header.shape = Shape(dims);
  return header;
}

void SwapBytes(char* data, int64_t count, size_t size) {
  for (int64_t i = 0; i < count; ++i) std::reverse(data + i * size, data + (i + 1) * size);
}

// Element (i0, i1, …) of a column-major array stands at i0 + n0 * (i1 + n1 * (…)).
void FromFortranOrder(const char* from, char* to, const Shape& shape, size_t size) {
  std::vector<int64_t> index(shape.rank(), 0);
  const int64_t total = shape.num_elements();
  for (int64_t i = 0; i < total; ++i) {
    int64_t at = 0;
    for (int d = shape.rank() - 1; d >= 0; --d) at = at * shape.dim(d) + index[d];
    std::memcpy(to + i * size, from + at * size, size);
    for (int d = shape.rank() - 1; d >= 0 && ++index[d] == shape.dim(d); --d) index[d] = 0;
  }
}

absl::StatusOr<Tensor> Parse(const std::string& bytes) {
  if (bytes.size() < kMagicSize + 4 || bytes.compare(0, kMagicSize, kMagic) != 0)
    return absl::InvalidArgumentError("the file does not start as a .npy file");
  const auto byte = [&](size_t i) {
    return static_cast<size_t>(static_cast<unsigned char>(bytes[i]));
  };
  const int version = static_cast<int>(byte(kMagicSize));
  size_t start = kMagicSize + 4;
  size_t length = byte(8) | byte(9) << 8;
  if (version >= 2) {
    start += 2;
    if (bytes.size() < start) return absl::InvalidArgumentError("the header is cut short");
    length |= byte(10) << 16 | byte(11) << 24;
  }
  if (version < 1 || version > 3)
    return absl::InvalidArgumentError(
        absl::StrCat("format version ", version, " is not supported"));
  if (bytes.size() - start < length) return absl::InvalidArgumentError("the header is cut short");
  ASSIGN_OR_RETURN(Header header, ParseHeader(bytes.substr(start, length)));
  // Against the file's size before memory is taken: a short file may claim any shape.
  const size_t size = DTypeSize(header.dtype);
  ASSIGN_OR_RETURN(const int64_t count, header.shape.CheckedNumElements());
  ASSIGN_OR_RETURN(const int64_t claimed, CheckedMultiply(count, static_cast<int64_t>(size)));
  const auto expected = static_cast<size_t>(claimed);
  if (bytes.size() - start - length != expected) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected ", expected, " bytes of values, found ", bytes.size() - start - length));
  }
  ASSIGN_OR_RETURN(Tensor tensor, Tensor::Allocate(header.dtype, header.shape));
  const char* values = bytes.data() + start + length;
  char* out = static_cast<char*>(tensor.mutable_raw());
  if (header.fortran_order && header.shape.rank() > 1) {
    FromFortranOrder(values, out, header.shape, size);
  } else if (expected > 0) {
    std::memcpy(out, values, expected);
  }
  if (header.big_endian) SwapBytes(out, tensor.num_elements(), size);
  if (header.dtype == kBool) {  // any byte but 0 is true; a bool of 2 would not be
    for (size_t i = 0; i < expected; ++i) out[i] = out[i] != 0 ? 1 : 0;
  }
  return tensor;
}

}  // namespace

absl::StatusOr<Tensor> ParseNpy(const std::string& bytes, const std::string& what) {
  absl::StatusOr<Tensor> tensor = Parse(bytes);
  if (tensor.ok()) return tensor;
  return absl::Status(tensor.status().code(), absl::StrCat(what, ": ", tensor.status().message()));
}

absl::StatusOr<Tensor> ReadNpy(const std::string& path) {
  ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, kMaxFileBytes));
  return ParseNpy(bytes, path);
}

absl::Status WriteNpy(const Tensor& tensor, const std::string& path) {
  const auto& types = TypesByCode();
  const auto type = std::find_if(types.begin(), types.end(),
                                 [&](const auto& entry) { return entry.second == tensor.dtype(); });
  if (type == types.end()) {
    return absl::UnimplementedError(
        absl::StrCat(path, ": .npy files have no type for ", DTypeName(tensor.dtype())));
  }
  std::vector<int64_t> dims(tensor.rank());
  for (int d = 0; d < tensor.rank(); ++d) dims[d] = tensor.dim(d);
  std::string header = absl::StrCat("{'descr': '", DTypeSize(tensor.dtype()) == 1 ? "|" : "<",
                                    type->first, "', 'fortran_order': False, 'shape': (",
                                    absl::StrJoin(dims, ", "), dims.size() == 1 ? ",), }" : "), }");
  const size_t unpadded = kMagicSize + 4 + header.size() + 1;
  header.append((kHeaderAlignment - unpadded % kHeaderAlignment) % kHeaderAlignment, ' ');
  header += '\n';
  std::string bytes(kMagic, kMagicSize);
  for (const size_t b : {size_t{1}, size_t{0}, header.size() & 255, header.size() >> 8})
    bytes += static_cast<char>(b);
  bytes += header;
  bytes.append(static_cast<const char*>(tensor.raw()), tensor.num_bytes());
  return WriteFile(path, bytes);
}

}  // namespace espalier
