#include "kernels/reduce.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <vector>

#include "kernels/bf16.h"
#include "test/kernels/guarded_array.h"
#include "test/kernels/reference.h"

namespace weft::test {
namespace {

// n arrays at different offsets, and pointers to them.
struct Inputs {
  std::vector<GuardedArray<uint16_t>> arrays;
  std::vector<const uint16_t*> pointers;

  Inputs(size_t n, size_t elements, Twister& random, Content kind) {
    for (size_t j = 0; j < n; ++j) {
      arrays.emplace_back(elements, below(random, 33));
      fill_random(arrays.back(), random, kind);
    }
    for (const auto& array : arrays) pointers.push_back(array.data());
  }
  float at(size_t j, size_t i) { return kernels::bf16_to_f32(arrays[j][i]); }
};

class Reduce : public EveryIsa {};
WEFT_ON_EVERY_ISA(Reduce);

TEST_P(Reduce, SumsInOrder) {
  for (int round = 0; round < 150; ++round) {
    SCOPED_TRACE(testing::Message() << "WEFT_SEED=" << seed() << " round " << round);
    const size_t n = 2 + below(random, 7);
    const size_t elements = below(random, 700);
    Inputs inputs(n, elements, random, round % 2 == 0 ? Content::plain : Content::any_bits);
    GuardedArray<uint16_t> narrow(elements, below(random, 33));
    GuardedArray<float> wide(elements, below(random, 17));
    kernels::sum_rows(inputs.pointers.data(), n, elements, narrow.data());
    kernels::sum_rows(inputs.pointers.data(), n, elements, wide.data());
    ASSERT_TRUE(narrow.intact());
    ASSERT_TRUE(wide.intact());
    for (size_t i = 0; i < elements; ++i) {
      float sum = inputs.at(0, i);
      for (size_t j = 1; j < n; ++j) sum = plus(sum, inputs.at(j, i));
      ASSERT_EQ(narrow[i], result_bf16(sum)) << "n " << n << " at " << i;
      ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), std::bit_cast<uint32_t>(result_f32(sum)))
          << "n " << n << " at " << i;
    }
  }
}

TEST_P(Reduce, OneInputIsCopiedBitForBit) {
  constexpr size_t kElements = 65536;  // every bf16, signalling NaNs too
  GuardedArray<uint16_t> x(kElements, 3);
  for (size_t i = 0; i < kElements; ++i) x[i] = static_cast<uint16_t>(i);
  const uint16_t* inputs[] = {x.data()};
  GuardedArray<uint16_t> narrow(kElements, 5);
  GuardedArray<float> wide(kElements, 7);
  kernels::sum_rows(inputs, 1, kElements, narrow.data());
  kernels::sum_rows(inputs, 1, kElements, wide.data());
  EXPECT_TRUE(narrow.same_bytes(x));
  EXPECT_TRUE(narrow.intact());
  EXPECT_TRUE(wide.intact());
  for (size_t i = 0; i < kElements; ++i) ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), i << 16);
}

TEST_P(Reduce, NoInputGivesPositiveZero) {
  GuardedArray<uint16_t> narrow(100, 1);
  GuardedArray<float> wide(100, 1);
  for (bool weighted : {false, true}) {
    if (weighted) {
      kernels::weighted_row(nullptr, nullptr, 0, 100, narrow.data());
      kernels::weighted_row(nullptr, nullptr, 0, 100, wide.data());
    } else {
      kernels::sum_rows(nullptr, 0, 100, narrow.data());
      kernels::sum_rows(nullptr, 0, 100, wide.data());
    }
    ASSERT_TRUE(narrow.intact() && wide.intact());
    for (size_t i = 0; i < 100; ++i) {
      ASSERT_EQ(narrow[i], 0);
      ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), 0u);
    }
  }
}

TEST_P(Reduce, NegativeZerosStay) {
  const std::vector<uint16_t> zeros(50, 0x8000);
  const uint16_t* inputs[] = {zeros.data(), zeros.data(), zeros.data()};
  const float weights[] = {1.0f, 2.0f, 3.0f};
  GuardedArray<uint16_t> out(50);
  kernels::sum_rows(inputs, 3, 50, out.data());
  EXPECT_EQ(out[0], 0x8000);
  EXPECT_EQ(out[49], 0x8000);
  kernels::weighted_row(inputs, weights, 3, 50, out.data());
  EXPECT_EQ(out[0], 0x8000);
  EXPECT_EQ(out[49], 0x8000);
}

TEST_P(Reduce, NanResultsAreCanonical) {
  const std::vector<uint16_t> up(70, 0x7F80);
  const std::vector<uint16_t> down(70, 0xFF80);
  const std::vector<uint16_t> odd(70, 0xFFA5);
  GuardedArray<uint16_t> out(70);
  for (auto inputs : {std::vector{up.data(), down.data()}, std::vector{odd.data(), up.data()},
                      std::vector{up.data(), odd.data(), down.data()}}) {
    kernels::sum_rows(inputs.data(), inputs.size(), 70, out.data());
    for (size_t i = 0; i < 70; ++i) ASSERT_EQ(out[i], 0x7FC0);
  }
}

TEST_P(Reduce, OutputMayBeAnInput) {
  for (size_t n : {size_t{1}, size_t{2}, size_t{3}, size_t{6}}) {
    Inputs inputs(n, 333, random, Content::plain);
    GuardedArray<uint16_t> expected(333);
    kernels::sum_rows(inputs.pointers.data(), n, 333, expected.data());
    kernels::sum_rows(inputs.pointers.data(), n, 333, inputs.arrays[n - 1].data());
    EXPECT_TRUE(inputs.arrays[n - 1].same_bytes(expected)) << "WEFT_SEED=" << seed();
  }
}

TEST_P(Reduce, WeighsInOrderWithoutFusing) {
  size_t fusing_would_show = 0;
  for (int round = 0; round < 150; ++round) {
    SCOPED_TRACE(testing::Message() << "WEFT_SEED=" << seed() << " round " << round);
    const size_t k = 1 + below(random, 9);
    const size_t hidden = below(random, 700);
    const Content kind = round % 2 == 0 ? Content::plain : Content::any_bits;
    Inputs inputs(k, hidden, random, kind);
    GuardedArray<float> weights(k, below(random, 5));
    fill_random(weights, random, kind);
    GuardedArray<uint16_t> narrow(hidden, below(random, 33));
    GuardedArray<float> wide(hidden, below(random, 17));
    kernels::weighted_row(inputs.pointers.data(), weights.data(), k, hidden, narrow.data());
    kernels::weighted_row(inputs.pointers.data(), weights.data(), k, hidden, wide.data());
    ASSERT_TRUE(narrow.intact());
    ASSERT_TRUE(wide.intact());
    for (size_t i = 0; i < hidden; ++i) {
      float sum = times(weights[0], inputs.at(0, i));
      float fused = sum;
      for (size_t j = 1; j < k; ++j) {
        fused = std::fma(weights[j], inputs.at(j, i), fused);
        sum = plus(sum, times(weights[j], inputs.at(j, i)));
      }
      ASSERT_EQ(narrow[i], result_bf16(sum)) << "k " << k << " at " << i;
      ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), std::bit_cast<uint32_t>(result_f32(sum)))
          << "k " << k << " at " << i;
      if (fused != sum) ++fusing_would_show;
    }
  }
  EXPECT_GT(fusing_would_show, 1000u);  // or this test says nothing about it
}

}  // namespace
}  // namespace weft::test
