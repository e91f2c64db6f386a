// Tested by session_script_test.cc.
#include "espalier/tools/compare.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace espalier {
namespace {

template <typename T>
bool Close(const T& got, const T& want, const Tolerance& tolerance) {
  if constexpr (std::is_integral_v<T> || std::is_same_v<T, std::string> ||
                std::is_same_v<T, ResourceHandle>) {
    return got == want;
  } else {
    const double a = static_cast<double>(got);
    const double b = static_cast<double>(want);
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
    if (std::isinf(a) || std::isinf(b)) return a == b;
    return std::abs(a - b) <= tolerance.atol + tolerance.rtol * std::abs(b);
  }
}

template <typename T>
std::string Text(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return value;
  } else if constexpr (std::is_same_v<T, ResourceHandle>) {
    return value.name;
  } else {
    return absl::StrCat(static_cast<double>(value));
  }
}

std::string Position(const Shape& shape, int64_t at) {
  std::vector<int64_t> index(shape.rank());
  for (int d = shape.rank() - 1; d >= 0; --d) {
    index[d] = at % shape.dim(d);
    at /= shape.dim(d);
  }
  return absl::StrCat("[", absl::StrJoin(index, ","), "]");
}

template <typename T>
absl::Status CompareValues(const Tensor& got, const Tensor& want, const Tolerance& tolerance) {
  int64_t first = -1;
  int64_t different = 0;
  for (int64_t i = 0; i < got.num_elements(); ++i) {
    if (Close(got.data<T>()[i], want.data<T>()[i], tolerance)) continue;
    if (first < 0) first = i;
    ++different;
  }
  if (first < 0) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat(different, " of ", got.num_elements(),
                                         " values differ, first at ", Position(got.shape(), first),
                                         ": expected ", Text(want.data<T>()[first]), ", got ",
                                         Text(got.data<T>()[first])));
}

}  // namespace

absl::Status CompareTensors(const Tensor& got, const Tensor& want, const Tolerance& tolerance) {
  if (got.dtype() != want.dtype() || !(got.shape() == want.shape())) {
    return absl::AbortedError(absl::StrCat("expected ", DTypeName(want.dtype()),
                                           want.shape().ToString(), ", got ",
                                           DTypeName(got.dtype()), got.shape().ToString()));
  }
  return DispatchType(AllTypes(), got.dtype(), [&]<typename T>() -> absl::Status {
    return CompareValues<T>(got, want, tolerance);
  });
}

}  // namespace espalier
