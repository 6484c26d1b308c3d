#include "kernels/quantise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "kernels/bf16.h"
#include "test/kernels/guarded_array.h"
#include "test/kernels/reference.h"

namespace weft::test {
namespace {

using kernels::groups_of;
using kernels::kGroup;

float to_float(uint16_t x) { return kernels::bf16_to_f32(x); }
float to_float(float x) { return x; }

template <class T>
void expect_quantised(GuardedArray<T>& x, size_t rows, size_t hidden, bool power_of_two, Twister& random) {
  GuardedArray<uint8_t> q(rows * hidden, below(random, 65));
  GuardedArray<float> scales(rows * groups_of(hidden), below(random, 17));
  kernels::quantise_rows(x.data(), rows, hidden, q.data(), scales.data(), power_of_two);
  ASSERT_TRUE(q.intact());
  ASSERT_TRUE(scales.intact());
  size_t group = 0;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t at = 0; at < hidden; at += kGroup, ++group) {
      std::vector<float> values;
      for (size_t i = at; i < std::min(hidden, at + kGroup); ++i)
        values.push_back(to_float(x[row * hidden + i]));
      const Quantised expected = quantise(values, power_of_two);
      ASSERT_EQ(std::bit_cast<uint32_t>(scales[group]), std::bit_cast<uint32_t>(expected.scale))
          << "group " << group;
      for (size_t i = 0; i < values.size(); ++i)
        ASSERT_EQ(q[row * hidden + at + i], expected.q[i])
            << "group " << group << " at " << i << " of " << values[i];
    }
  }
}

class Quantise : public EveryIsa {
 protected:
  template <class T>
  void random_shapes() {
    for (int round = 0; round < 60; ++round) {
      SCOPED_TRACE(testing::Message() << "WEFT_SEED=" << seed() << " round " << round);
      const size_t rows = 1 + below(random, 3);
      const size_t hidden = round % 3 == 0 ? kGroup * (1 + below(random, 10)) : 1 + below(random, 1100);
      GuardedArray<T> x(rows * hidden, below(random, 33));
      fill_random(x, random, round % 4 == 3 ? Content::any_bits : Content::plain);
      // A few special elements in an otherwise ordinary matrix: their groups, and only theirs, take the rare
      // path.
      if (round % 4 == 2) {
        GuardedArray<T> special(3);
        fill_random(special, random, Content::any_bits);
        for (size_t i = 0; i < special.size(); ++i) x[below(random, x.size())] = special[i];
      }
      expect_quantised(x, rows, hidden, round % 2 == 0, random);
    }
  }
};
WEFT_ON_EVERY_ISA(Quantise);

TEST_P(Quantise, Bf16OfAnyShape) { random_shapes<uint16_t>(); }
TEST_P(Quantise, F32OfAnyShape) { random_shapes<float>(); }

// With 448 in its group an element is multiplied by exactly 1: q is the plain encoding, for every bf16 up to
// 448, and for other maxima every product of an element.
TEST_P(Quantise, EveryBf16InAGroup) {
  for (float amax : {448.0f, 1.0f, 3.0f, 1e-4f, 0.0123f, 57344.0f, 3e38f}) {
    const uint16_t top = kernels::f32_to_bf16(amax);
    std::vector<uint16_t> codes;
    for (uint32_t code = 0; code < 65536; ++code) {
      if ((code & 0x7FFF) <= top) codes.push_back(static_cast<uint16_t>(code));
    }
    GuardedArray<uint16_t> x((codes.size() + kGroup - 2) / (kGroup - 1) * kGroup);
    for (size_t i = 0, next = 0; i < x.size(); ++i)
      x[i] = i % kGroup == 77 || next == codes.size() ? top : codes[next++];
    expect_quantised(x, 1, x.size(), false, random);
    expect_quantised(x, 1, x.size(), true, random);
  }
}

// fp32 products at every tie of e4m3 and right beside it, where a second rounding would show.
TEST_P(Quantise, F32Ties) {
  std::vector<float> values;
  for (int code = 0; code < 0x7E; ++code) {
    const double a = e4m3_value(static_cast<uint8_t>(code));
    const float tie = static_cast<float>((a + e4m3_value(static_cast<uint8_t>(code + 1))) / 2);
    for (float v : {tie, std::nextafter(tie, 0.0f), std::nextafter(tie, 1e9f)})
      values.insert(values.end(), {v, -v});
  }
  GuardedArray<float> x((values.size() + kGroup - 2) / (kGroup - 1) * kGroup);
  for (size_t i = 0, next = 0; i < x.size(); ++i)
    x[i] = i % kGroup == 0 || next == values.size() ? 448.0f : values[next++];
  expect_quantised(x, 1, x.size(), false, random);
  expect_quantised(x, 1, x.size(), true, random);
}

TEST_P(Quantise, PowerOfTwoScaleTurnsRightAbove448) {
  for (int exponent = -20; exponent < 100; ++exponent) {
    const float amax = std::ldexp(448.0f, exponent);
    for (float value : {amax, std::nextafter(amax, 0.0f), std::nextafter(amax, INFINITY)}) {
      GuardedArray<float> x(kGroup);
      std::fill_n(x.data(), kGroup, 0.0f);
      x[100] = -value;
      expect_quantised(x, 1, kGroup, true, random);
    }
    GuardedArray<float> x(1);
    x[0] = amax;
    uint8_t q = 0;
    float scale = 0;
    kernels::quantise_rows(x.data(), 1, 1, &q, &scale, true);
    EXPECT_EQ(q, amax < 1e-4f ? q : 0x7E);
    EXPECT_EQ(scale, amax < 1e-4f ? scale : std::ldexp(1.0f, exponent));
  }
}

TEST_P(Quantise, ZerosGiveTheSmallestScale) {
  GuardedArray<uint16_t> x(2 * kGroup);
  std::fill_n(x.data(), kGroup, uint16_t{0x0000});
  std::fill_n(x.data() + kGroup, kGroup, uint16_t{0x8000});
  GuardedArray<uint8_t> q(x.size());
  GuardedArray<float> scales(2);
  kernels::quantise_rows(x.data(), 1, x.size(), q.data(), scales.data(), false);
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(q[i], i < kGroup ? 0x00 : 0x80);
  EXPECT_EQ(scales[0], times(1e-4f, 1.0f / 448.0f));
}

// What quantise.h promises of numbers that are not finite, in so many words.
TEST_P(Quantise, NotFinite) {
  constexpr size_t kGroups = 4;  // enough for a kernel that takes groups together
  for (bool power_of_two : {false, true}) {
    GuardedArray<float> x(kGroups * kGroup);
    std::fill_n(x.data(), x.size(), 2.0f);
    x[5] = std::bit_cast<float>(0xFFC00000u);
    x[kGroup + 9] = -INFINITY;
    x[kGroup + 10] = -1.0f;
    GuardedArray<uint8_t> q(x.size());
    GuardedArray<float> scales(kGroups);
    kernels::quantise_rows(x.data(), 1, x.size(), q.data(), scales.data(), power_of_two);
    EXPECT_EQ(q[5], 0xFF);
    EXPECT_EQ(q[6], power_of_two ? 0x78 : 0x7E);  // 2 / 2^-7 = 256, or 448
    EXPECT_EQ(scales[0], scales[3]);
    EXPECT_EQ(q[kGroup + 9], 0xFF);
    EXPECT_EQ(q[kGroup + 10], 0x80);
    EXPECT_EQ(q[kGroup + 11], 0x00);
    EXPECT_EQ(scales[1], INFINITY);
    EXPECT_EQ(q[2 * kGroup], q[6]);

    GuardedArray<uint16_t> back(x.size());
    kernels::dequantise_rows(q.data(), scales.data(), 1, x.size(), back.data());
    EXPECT_EQ(back[5], 0x7FC0);
    EXPECT_EQ(back[6], 0x4000);
    for (size_t i = kGroup; i < 2 * kGroup; ++i) ASSERT_EQ(back[i], 0x7FC0);
    EXPECT_EQ(back[2 * kGroup], 0x4000);
  }
}

TEST_P(Quantise, NothingToDo) {
  kernels::quantise_rows(static_cast<const uint16_t*>(nullptr), 0, 128, nullptr, nullptr, false);
  kernels::quantise_rows(static_cast<const float*>(nullptr), 3, 0, nullptr, nullptr, false);
  kernels::dequantise_rows(nullptr, nullptr, 3, 0, static_cast<float*>(nullptr));
}

}  // namespace
}  // namespace weft::test
