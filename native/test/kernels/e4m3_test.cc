#include "kernels/e4m3.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/bf16.h"
#include "test/kernels/guarded_array.h"
#include "test/kernels/reference.h"

namespace weft::test {
namespace {

using kernels::e4m3_to_f32;
using kernels::f32_to_e4m3;

TEST(E4m3, DecodesEveryCode) {
  for (int code = 0; code < 256; ++code) {
    const float value = e4m3_to_f32(static_cast<uint8_t>(code));
    const double expected = e4m3_value(static_cast<uint8_t>(code));
    EXPECT_EQ(std::signbit(value), (code & 0x80) != 0) << code;
    if (std::isnan(expected)) {
      EXPECT_EQ(std::bit_cast<uint32_t>(value) & 0x7FFFFFFF, 0x7FC00000u) << code;
    } else {
      EXPECT_EQ(static_cast<double>(value), expected) << code;
    }
  }
}

TEST(E4m3, EveryCodeSurvivesTheRoundTrip) {
  for (int code = 0; code < 256; ++code)
    EXPECT_EQ(f32_to_e4m3(e4m3_to_f32(static_cast<uint8_t>(code))), code);
}

TEST(E4m3, EncodesEveryBf16) {
  for (uint32_t code = 0; code < 65536; ++code) {
    const float value = kernels::bf16_to_f32(static_cast<uint16_t>(code));
    ASSERT_EQ(f32_to_e4m3(value), nearest_e4m3(static_cast<double>(value))) << std::hex << code;
  }
}

// Every tie, and the fp32 numbers right beside it.
TEST(E4m3, RoundsTiesToEven) {
  for (int code = 0; code < 0x7E; ++code) {
    const double tie =
        (e4m3_value(static_cast<uint8_t>(code)) + e4m3_value(static_cast<uint8_t>(code + 1))) / 2;
    const float middle = static_cast<float>(tie);
    ASSERT_EQ(static_cast<double>(middle), tie);
    for (float sign : {1.0f, -1.0f}) {
      const int bit = sign < 0 ? 0x80 : 0;
      EXPECT_EQ(f32_to_e4m3(sign * middle), bit | (code % 2 == 0 ? code : code + 1));
      EXPECT_EQ(f32_to_e4m3(sign * std::nextafter(middle, 0.0f)), bit | code);
      EXPECT_EQ(f32_to_e4m3(sign * std::nextafter(middle, 1e9f)), bit | (code + 1));
    }
  }
}

TEST(E4m3, Saturates) {
  for (float value : {448.0f, 464.0f, 465.0f, 480.0f, 1e30f, INFINITY}) {
    EXPECT_EQ(f32_to_e4m3(value), 0x7E) << value;
    EXPECT_EQ(f32_to_e4m3(-value), 0xFE) << value;
  }
}

TEST(E4m3, KeepsTheSignOfNanAndZero) {
  EXPECT_EQ(f32_to_e4m3(std::bit_cast<float>(0x7F800001u)), 0x7F);
  EXPECT_EQ(f32_to_e4m3(std::bit_cast<float>(0xFFFFFFFFu)), 0xFF);
  EXPECT_EQ(f32_to_e4m3(0.0f), 0x00);
  EXPECT_EQ(f32_to_e4m3(-0.0f), 0x80);
  EXPECT_EQ(f32_to_e4m3(-0x1p-149f), 0x80);
}

TEST(E4m3, EncodesRandomFloats) {
  Twister random(seed());
  for (int i = 0; i < 50'000; ++i) {
    const float value =
        std::bit_cast<float>(random_f32_bits(random, i % 2 == 0 ? Content::plain : Content::any_bits));
    const double reference = std::copysign(static_cast<double>(value), value);
    ASSERT_EQ(f32_to_e4m3(value), nearest_e4m3(reference))
        << std::hexfloat << value << " WEFT_SEED=" << seed();
  }
}

}  // namespace
}  // namespace weft::test
