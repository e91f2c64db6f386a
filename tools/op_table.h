// The table of ops in docs/ops.md: what each does, and whether it differentiates, once and twice.
//
//   bazel run -c opt //tools:write_op_table > docs/ops.md
#ifndef ESPALIER_TOOLS_OP_TABLE_H_
#define ESPALIER_TOOLS_OP_TABLE_H_

#include <string>

#include "espalier/graph/op_registry.h"

namespace espalier {

std::string OpTable(const OpRegistry& registry);

}  // namespace espalier

#endif  // ESPALIER_TOOLS_OP_TABLE_H_
