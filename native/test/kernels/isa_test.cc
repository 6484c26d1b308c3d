// Every instruction set gives the bytes of the scalar code, on shapes like those of real rounds and on any
// input bits.
#include "kernels/isa.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/convert.h"
#include "kernels/quantise.h"
#include "kernels/reduce.h"
#include "test/kernels/guarded_array.h"

namespace weft::test {
namespace {

TEST(Isa, ScalarIsAlwaysThereAndCanBeForced) {
  const auto names = kernels::isa_names();
  ASSERT_FALSE(names.empty());
  EXPECT_STREQ(names.back(), "scalar");
  EXPECT_STREQ(kernels::isa_name(), names.front());
  kernels::force_scalar(true);
  EXPECT_STREQ(kernels::isa_name(), "scalar");
  kernels::force_scalar(false);
  EXPECT_STREQ(kernels::isa_name(), names.front());
  EXPECT_FALSE(kernels::force_isa("abacus"));
  EXPECT_STREQ(kernels::isa_name(), names.front());
}

// Everything all kernels make of one set of inputs.
struct Outputs {
  GuardedArray<float> widened, sum_f32, weighted_f32, back_f32, scales_bf16, scales_f32;
  GuardedArray<uint16_t> narrowed, sum_bf16, weighted_bf16, back_bf16;
  GuardedArray<uint8_t> q_bf16, q_f32;

  Outputs(size_t elements, size_t groups, size_t offset)
      : widened(elements, offset),
        sum_f32(elements, offset),
        weighted_f32(elements, offset),
        back_f32(elements, offset),
        scales_bf16(groups, offset),
        scales_f32(groups, offset),
        narrowed(elements, offset),
        sum_bf16(elements, offset),
        weighted_bf16(elements, offset),
        back_bf16(elements, offset),
        q_bf16(elements, offset),
        q_f32(elements, offset) {}

  template <class Visit>
  static void each(Outputs& a, Outputs& b, Visit visit) {
    visit("widened", a.widened, b.widened);
    visit("narrowed", a.narrowed, b.narrowed);
    visit("sum to fp32", a.sum_f32, b.sum_f32);
    visit("sum to bf16", a.sum_bf16, b.sum_bf16);
    visit("weighted to fp32", a.weighted_f32, b.weighted_f32);
    visit("weighted to bf16", a.weighted_bf16, b.weighted_bf16);
    visit("scales of bf16", a.scales_bf16, b.scales_bf16);
    visit("scales of fp32", a.scales_f32, b.scales_f32);
    visit("codes of bf16", a.q_bf16, b.q_bf16);
    visit("codes of fp32", a.q_f32, b.q_f32);
    visit("dequantised to fp32", a.back_f32, b.back_f32);
    visit("dequantised to bf16", a.back_bf16, b.back_bf16);
  }
};

struct Work {
  size_t rows, hidden, n;
  bool power_of_two;
  std::vector<GuardedArray<uint16_t>> inputs;
  GuardedArray<float> wide, weights, scales;
  GuardedArray<uint8_t> codes;

  void run(Outputs& out) {
    const size_t elements = rows * hidden;
    std::vector<const uint16_t*> pointers;
    for (const auto& input : inputs) pointers.push_back(input.data());
    kernels::bf16_to_f32(pointers[0], out.widened.data(), elements);
    kernels::f32_to_bf16(wide.data(), out.narrowed.data(), elements);
    kernels::sum_rows(pointers.data(), n, elements, out.sum_f32.data());
    kernels::sum_rows(pointers.data(), n, elements, out.sum_bf16.data());
    kernels::weighted_row(pointers.data(), weights.data(), n, elements, out.weighted_f32.data());
    kernels::weighted_row(pointers.data(), weights.data(), n, elements, out.weighted_bf16.data());
    kernels::quantise_rows(pointers[0], rows, hidden, out.q_bf16.data(), out.scales_bf16.data(),
                           power_of_two);
    kernels::quantise_rows(wide.data(), rows, hidden, out.q_f32.data(), out.scales_f32.data(), power_of_two);
    kernels::dequantise_rows(codes.data(), scales.data(), rows, hidden, out.back_f32.data());
    kernels::dequantise_rows(codes.data(), scales.data(), rows, hidden, out.back_bf16.data());
  }
};

Work random_case(Twister& random, int round) {
  const size_t rows = 1 + below(random, 4);
  const size_t hidden = round % 10 == 0 ? 7168 : 1 + below(random, 900);
  const size_t n = 1 + below(random, 9);
  const size_t elements = rows * hidden;
  const Content kind = round % 3 == 0 ? Content::any_bits : Content::plain;
  const auto offset = [&] { return below(random, 67); };
  Work made{rows,
            hidden,
            n,
            round % 2 == 0,
            {},
            GuardedArray<float>(elements, offset()),
            GuardedArray<float>(n, offset()),
            GuardedArray<float>(rows * kernels::groups_of(hidden), offset()),
            GuardedArray<uint8_t>(elements, offset())};
  for (size_t j = 0; j < n; ++j) {
    made.inputs.emplace_back(elements, offset());
    fill_random(made.inputs.back(), random, kind);
  }
  fill_random(made.wide, random, kind);
  fill_random(made.weights, random, kind);
  fill_random(made.scales, random, kind);
  fill_random(made.codes, random, kind);
  return made;
}

class SameBytes : public EveryIsa {};
WEFT_ON_EVERY_ISA(SameBytes);

TEST_P(SameBytes, AsScalar) {
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(testing::Message() << "WEFT_SEED=" << seed() << " round " << round);
    Work made = random_case(random, round);
    const size_t elements = made.rows * made.hidden;
    const size_t groups = made.rows * kernels::groups_of(made.hidden);
    Outputs reference(elements, groups, 0);
    Outputs out(elements, groups, below(random, 67));
    kernels::force_scalar(true);
    made.run(reference);
    ASSERT_TRUE(kernels::force_isa(GetParam()));
    made.run(out);
    Outputs::each(reference, out, [&](const char* what, auto& expected, auto& got) {
      EXPECT_TRUE(got.intact()) << what;
      EXPECT_TRUE(got.same_bytes(expected))
          << what << ", rows " << made.rows << " hidden " << made.hidden << " n " << made.n;
    });
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace weft::test
