// NumPy's .npy files, format versions 1 to 3.
//
//   ASSIGN_OR_RETURN(Tensor x, ReadNpy("x.npy"));
//   RETURN_IF_ERROR(WriteNpy(x, "copy.npy"));
//
// Read: bool, int8 to int64, uint8 to uint64, float16, float32, float64, in either byte order, C or
// Fortran order. Written: little-endian, C order. The format: numpy.lib.format in NumPy's
// documentation.
#ifndef ESPALIER_TOOLS_NPY_H_
#define ESPALIER_TOOLS_NPY_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "espalier/graph/tensor.h"

namespace espalier {

// NOT_FOUND, or INVALID_ARGUMENT saying what is wrong with the file.
absl::StatusOr<Tensor> ReadNpy(const std::string& path);
absl::StatusOr<Tensor> ParseNpy(const std::string& bytes, const std::string& what);
// UNIMPLEMENTED for types that .npy files do not have (bfloat16, strings, handles).
absl::Status WriteNpy(const Tensor& tensor, const std::string& path);

}  // namespace espalier

#endif  // ESPALIER_TOOLS_NPY_H_
