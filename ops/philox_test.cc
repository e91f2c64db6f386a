// The random bits.
#include "espalier/ops/philox.h"

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

// The first known answer of the Random123 distribution for philox4x32-10.
TEST(PhiloxTest, GivesTheKnownAnswerAndSkips) {
  Philox generator(0, 0);
  EXPECT_EQ(generator(), (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  Philox skipped(0, 0);
  skipped.Skip(1);
  EXPECT_EQ(generator(), skipped());
}

}  // namespace
}  // namespace espalier
