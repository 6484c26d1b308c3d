// OCP FP8 E4M3 ("e4m3fn") <-> fp32, one value: sign, 4 exponent bits (bias 7), 3 mantissa bits. No infinity;
// the largest magnitude is 448 (0x7E), NaN is 0x7F or 0xFF, subnormals are multiples of 2^-9.
#pragma once

#include <bit>
#include <cstdint>

namespace weft::kernels {

inline constexpr float kE4m3Max = 448.0f;
inline constexpr uint8_t kE4m3Nan = 0x7F;  // or the sign bit onto it

// Both work out every case and select: no branches, so that plain loops over them are vectorised.

// Exact. NaN gives a quiet fp32 NaN of the same sign.
inline float e4m3_to_f32(uint8_t code) {
  const uint32_t sign = static_cast<uint32_t>(code & 0x80) << 24;
  const uint32_t magnitude = code & 0x7F;
  // A subnormal goes through int -> float: composing an fp32 subnormal and scaling it up would cost a
  // microcode assist.
  const uint32_t subnormal =
      std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-9f);
  const uint32_t normal = (magnitude << 20) + (uint32_t{127 - 7} << 23);
  const uint32_t number = magnitude < 8 ? subnormal : normal;
  return std::bit_cast<float>(sign | (magnitude == kE4m3Nan ? 0x7FC00000 : number));
}

// Nearest, ties to even, saturating: anything beyond 448, infinity included, is +-448. NaN gives NaN. The
// sign is kept, that of zero too.
inline uint8_t f32_to_e4m3(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 24) & 0x80;
  // As a signed number, which compares faster and orders the same.
  const int32_t magnitude = static_cast<int32_t>(bits & 0x7FFFFFFF);
  // One ulp of 2^14 is 2^-9, a step of the subnormals: the addition rounds to a multiple of it. A sum of 8
  // steps is the code of the smallest normal number, as it should be.
  const int32_t subnormal = std::bit_cast<int32_t>(std::bit_cast<float>(magnitude) + 0x1p14f) & 0xF;
  const uint32_t odd = (bits >> 20) & 1;
  const int32_t normal =
      static_cast<int32_t>((static_cast<uint32_t>(magnitude) + 0x7FFFF + odd) >> 20) - ((127 - 7) << 3);
  int32_t code = magnitude < (127 - 6) << 23 ? subnormal : normal;
  code = magnitude >= std::bit_cast<int32_t>(kE4m3Max) ? 0x7E : code;
  code = magnitude > 0x7F800000 ? kE4m3Nan : code;
  return static_cast<uint8_t>(static_cast<uint32_t>(code) | sign);
}

}  // namespace weft::kernels
