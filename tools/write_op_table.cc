// Writes docs/ops.md to standard output.
#include <cstdio>

#include "espalier/tools/op_table.h"

int main() {
  std::fputs(espalier::OpTable(espalier::BuiltinOps()).c_str(), stdout);
  return 0;
}
