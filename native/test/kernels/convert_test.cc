#include "kernels/convert.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>

#include "test/kernels/guarded_array.h"
#include "test/kernels/reference.h"

namespace weft::test {
namespace {

using kernels::bf16_to_f32;
using kernels::f32_to_bf16;

uint16_t expected_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16) | 0x0040);
  return nearest_bf16(static_cast<double>(value));
}

TEST(Bf16, WidensEveryCode) {
  for (uint32_t code = 0; code < 65536; ++code) {
    const float value = bf16_to_f32(static_cast<uint16_t>(code));
    ASSERT_EQ(std::bit_cast<uint32_t>(value), code << 16);
    const double expected = bf16_value(static_cast<uint16_t>(code));
    if (!std::isnan(expected)) {
      ASSERT_EQ(static_cast<double>(value), expected);
    }
  }
}

TEST(Bf16, EveryCodeSurvivesTheRoundTrip) {
  for (uint32_t code = 0; code < 65536; ++code) {
    const bool nan = (code & 0x7FFF) > 0x7F80;
    ASSERT_EQ(f32_to_bf16(bf16_to_f32(static_cast<uint16_t>(code))), nan ? code | 0x0040 : code);
  }
}

// Every code with the low halves that decide rounding: below, at and above the tie.
TEST(Bf16, RoundsAroundEveryCode) {
  for (uint32_t code = 0; code < 65536; ++code) {
    for (uint32_t low : {0x0001u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu}) {
      const float value = std::bit_cast<float>(code << 16 | low);
      ASSERT_EQ(f32_to_bf16(value), expected_bf16(value)) << std::hex << code << " " << low;
    }
  }
}

TEST(Bf16, KeepsNanQuietWithSignAndTopPayload) {
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7F800001u)), 0x7FC0);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0xFF800001u)), 0xFFC0);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7FFFFFFFu)), 0x7FFF);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0xFF950000u)), 0xFFD5);
}

class Convert : public EveryIsa {};
WEFT_ON_EVERY_ISA(Convert);

TEST_P(Convert, BulkEqualsSingleValues) {
  for (int round = 0; round < 400; ++round) {
    SCOPED_TRACE(testing::Message() << "WEFT_SEED=" << seed() << " round " << round);
    const size_t count = below(random, 300);
    GuardedArray<uint16_t> narrow(count, below(random, 33));
    GuardedArray<float> wide(count, below(random, 17));
    fill_random(narrow, random, Content::any_bits);
    bf16_to_f32(narrow.data(), wide.data(), count);
    ASSERT_TRUE(wide.intact());
    for (size_t i = 0; i < count; ++i) ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), uint32_t{narrow[i]} << 16);

    fill_random(wide, random, round % 2 == 0 ? Content::plain : Content::any_bits);
    f32_to_bf16(wide.data(), narrow.data(), count);
    ASSERT_TRUE(narrow.intact());
    for (size_t i = 0; i < count; ++i) ASSERT_EQ(narrow[i], expected_bf16(wide[i])) << i;
  }
}

TEST_P(Convert, NarrowsTheEdges) {
  GuardedArray<float> wide(65536 * 2);
  GuardedArray<uint16_t> narrow(wide.size());
  for (uint32_t code = 0; code < 65536; ++code) {
    wide[2 * code] = std::bit_cast<float>(code << 16 | 0x8000);
    wide[2 * code + 1] = std::bit_cast<float>(code << 16 | static_cast<uint32_t>(random() & 0xFFFF));
  }
  f32_to_bf16(wide.data(), narrow.data(), wide.size());
  for (size_t i = 0; i < wide.size(); ++i) ASSERT_EQ(narrow[i], expected_bf16(wide[i])) << std::hex << i;
}

}  // namespace
}  // namespace weft::test
