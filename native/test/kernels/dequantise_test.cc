#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/quantise.h"
#include "test/kernels/guarded_array.h"
#include "test/kernels/reference.h"

namespace weft::test {
namespace {

using kernels::groups_of;
using kernels::kGroup;

void expect_dequantised(GuardedArray<uint8_t>& q, GuardedArray<float>& scales, size_t rows, size_t hidden,
                        Twister& random) {
  GuardedArray<uint16_t> narrow(rows * hidden, below(random, 33));
  GuardedArray<float> wide(rows * hidden, below(random, 17));
  kernels::dequantise_rows(q.data(), scales.data(), rows, hidden, narrow.data());
  kernels::dequantise_rows(q.data(), scales.data(), rows, hidden, wide.data());
  ASSERT_TRUE(narrow.intact());
  ASSERT_TRUE(wide.intact());
  for (size_t i = 0; i < rows * hidden; ++i) {
    const float scale = scales[i / hidden * groups_of(hidden) + i % hidden / kGroup];
    const float value = times(static_cast<float>(e4m3_value(q[i])), scale);
    ASSERT_EQ(narrow[i], result_bf16(value)) << "code " << int{q[i]} << " scale " << scale;
    ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), std::bit_cast<uint32_t>(result_f32(value)))
        << "code " << int{q[i]} << " scale " << scale;
  }
}

class Dequantise : public EveryIsa {};
WEFT_ON_EVERY_ISA(Dequantise);

TEST_P(Dequantise, EveryCodeWithManyScales) {
  constexpr size_t kRows = 64;
  GuardedArray<uint8_t> q(kRows * 256);
  GuardedArray<float> scales(kRows * 2);
  for (size_t i = 0; i < q.size(); ++i) q[i] = static_cast<uint8_t>(i);
  fill_random(scales, random, Content::any_bits);
  const float chosen[] = {1.0f, 0.0f,      -0.0f,     -2.5f, INFINITY,      -INFINITY,
                          NAN,  0x1p-149f, 0x1p-126f, 3e38f, 1e-4f / 448.0f};
  for (size_t i = 0; i < std::size(chosen); ++i) scales[2 * i] = scales[2 * i + 1] = chosen[i];
  SCOPED_TRACE(testing::Message() << "WEFT_SEED=" << seed());
  expect_dequantised(q, scales, kRows, 256, random);
}

TEST_P(Dequantise, AnyShape) {
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE(testing::Message() << "WEFT_SEED=" << seed() << " round " << round);
    const size_t rows = 1 + below(random, 3);
    const size_t hidden = 1 + below(random, 600);
    GuardedArray<uint8_t> q(rows * hidden, below(random, 65));
    GuardedArray<float> scales(rows * groups_of(hidden), below(random, 17));
    fill_random(q, random, Content::any_bits);
    fill_random(scales, random, round % 3 == 0 ? Content::any_bits : Content::plain);
    expect_dequantised(q, scales, rows, hidden, random);
  }
}

// There and back: within half a step, which is 2^-4 of a normal number's value and 2^-10 scales of a
// subnormal's.
TEST_P(Dequantise, UndoesQuantise) {
  constexpr size_t kHidden = 1000;
  GuardedArray<float> x(kHidden);
  fill_random(x, random, Content::plain);
  GuardedArray<uint8_t> q(kHidden);
  GuardedArray<float> scales(groups_of(kHidden));
  GuardedArray<float> back(kHidden);
  for (bool power_of_two : {false, true}) {
    kernels::quantise_rows(x.data(), 1, kHidden, q.data(), scales.data(), power_of_two);
    kernels::dequantise_rows(q.data(), scales.data(), 1, kHidden, back.data());
    for (size_t i = 0; i < kHidden; ++i) {
      const float bound = std::fmax(std::fabs(x[i]) * 0x1.0001p-4f, scales[i / kGroup] * 0x1.0001p-10f);
      ASSERT_LE(std::fabs(back[i] - x[i]), bound) << "WEFT_SEED=" << seed() << " at " << i;
    }
  }
}

}  // namespace
}  // namespace weft::test
