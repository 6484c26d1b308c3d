// bfloat16 <-> fp32, one value. Bulk forms are in convert.h.
#pragma once

#include <bit>
#include <cstdint>

namespace weft::kernels {

// What an arithmetic kernel (sum, weighted reduce, dequantise) writes when its result is not a number. Which
// operand's payload survives an addition depends on the CPU and on operand order, so the results would differ
// between machines; conversions, which have one operand, keep sign and payload instead.
inline constexpr uint16_t kCanonicalNanBf16 = 0x7FC0;
inline constexpr uint32_t kCanonicalNanF32 = 0x7FC00000;

// Exact: every bf16 is an fp32. Signalling NaNs stay signalling.
inline float bf16_to_f32(uint16_t value) { return std::bit_cast<float>(static_cast<uint32_t>(value) << 16); }

// Nearest, ties to even; beyond the largest finite value: infinity. A NaN becomes quiet and keeps its sign
// and the top six payload bits.
inline uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  const uint32_t quiet = (bits >> 16) | 0x0040;
  return static_cast<uint16_t>((bits & 0x7FFFFFFF) > 0x7F800000 ? quiet : rounded);
}

// The rounding of arithmetic kernels: as f32_to_bf16, but every NaN is kCanonicalNanBf16.
inline uint16_t result_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  return static_cast<uint16_t>((bits & 0x7FFFFFFF) > 0x7F800000 ? kCanonicalNanBf16 : rounded);
}

// The same for results that are not rounded.
inline float result_to_f32(float value) {
  return value != value ? std::bit_cast<float>(kCanonicalNanF32) : value;
}

inline void store_result(float value, uint16_t* out) { *out = result_to_bf16(value); }
inline void store_result(float value, float* out) { *out = result_to_f32(value); }

}  // namespace weft::kernels
