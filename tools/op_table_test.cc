// docs/ops.md says what the registry says.
#include "espalier/tools/op_table.h"

#include <fstream>
#include <sstream>

#include "gtest/gtest.h"

namespace espalier {
namespace {

TEST(OpTableTest, TheDocumentIsWhatTheRegistrySays) {
  std::ifstream file("docs/ops.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), OpTable(BuiltinOps()))
      << "bazel run -c opt //tools:write_op_table > docs/ops.md";
}

}  // namespace
}  // namespace espalier
