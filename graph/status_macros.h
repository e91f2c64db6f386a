// Passing a Status up.
//
//   RETURN_IF_ERROR(Check());
//   ASSIGN_OR_RETURN(Tensor t, Make());
#ifndef ESPALIER_GRAPH_STATUS_MACROS_H_
#define ESPALIER_GRAPH_STATUS_MACROS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define ESPALIER_CONCAT_(a, b) a##b
#define ESPALIER_CONCAT(a, b) ESPALIER_CONCAT_(a, b)
#define ESPALIER_UNWRAP_(v, lhs, e) \
  auto v = (e);                     \
  if (!v.ok()) return v.status();   \
  lhs = *std::move(v)

#define RETURN_IF_ERROR(...) \
  if (absl::Status returned_status = (__VA_ARGS__); !returned_status.ok()) return returned_status
#define ASSIGN_OR_RETURN(lhs, ...) \
  ESPALIER_UNWRAP_(ESPALIER_CONCAT(v_, __LINE__), lhs, (__VA_ARGS__))

#endif  // ESPALIER_GRAPH_STATUS_MACROS_H_
