// FP8 (e4m3) block quantisation: one fp32 scale for each row and group of 128 channels.
//
// A matrix is [rows, hidden], row-major and dense; its scales are [rows, ceil(hidden / 128)]. The last group
// of a row may be shorter. Nothing needs to be aligned; inputs and outputs must not overlap.
//
//   amax  = max(1e-4, max |x|)              NaN elements are left out of the maximum
//   q     = e4m3(x * (448 / amax))          quotient and product each rounded to fp32, then nearest-even,
//   saturating scale = amax * (1 / 448)                with the fp32 constant 1/448
//
// power_of_two (UE8M0-like): scale = 2^ceil(log2(amax * (1 / 448))), found from the bits of that product,
// stored as fp32, and q = e4m3(x * (1 / scale)).
//
// Not finite: NaN and +-infinity elements become an e4m3 NaN of their sign. A NaN doesn't touch its
// neighbours. An infinity makes amax and the stored scale infinite, and the finite elements of its group +-0,
// so that the whole group dequantises to NaN: an overflow upstream is visible and never a plausible number.
//
// Assumes the default floating-point environment: nearest-even, subnormals not flushed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::kernels {

inline constexpr size_t kGroup = 128;

// Scales of one row.
constexpr size_t groups_of(size_t hidden) { return (hidden + kGroup - 1) / kGroup; }

void quantise_rows(const uint16_t* bf16, size_t rows, size_t hidden, uint8_t* q, float* scales,
                   bool power_of_two);
void quantise_rows(const float* f32, size_t rows, size_t hidden, uint8_t* q, float* scales,
                   bool power_of_two);

// out = e4m3(q) * scale in fp32; the bf16 form rounds it once more (nearest even). Any NaN is written as the
// canonical one of bf16.h.
void dequantise_rows(const uint8_t* q, const float* scales, size_t rows, size_t hidden, uint16_t* out_bf16);
void dequantise_rows(const uint8_t* q, const float* scales, size_t rows, size_t hidden, float* out_f32);

}  // namespace weft::kernels
