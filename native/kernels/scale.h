// Internal: the scale of one group, shared by every implementation so that they cannot differ.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/e4m3.h"

namespace weft::kernels {

inline constexpr float kMinAmax = 1e-4f;

struct GroupScale {
  float multiplier;  // of the elements before rounding
  float stored;
};

// `max_abs`: the largest |x| of the group, 0 or more, NaNs left out, infinity possible.
inline GroupScale group_scale(float max_abs, bool power_of_two) {
  const float amax = max_abs > kMinAmax ? max_abs : kMinAmax;
  const float scale = amax * (1.0f / kE4m3Max);
  if (!power_of_two) return {kE4m3Max / amax, scale};
  const uint32_t bits = std::bit_cast<uint32_t>(scale);
  if (bits == 0x7F800000) return {0.0f, scale};
  // amax >= 1e-4 keeps the scale a normal number, and dividing by 448 keeps both exponents in range.
  const uint32_t exponent = (bits >> 23) + ((bits & 0x7FFFFF) != 0 ? 1 : 0);
  return {std::bit_cast<float>((254 - exponent) << 23), std::bit_cast<float>(exponent << 23)};
}

}  // namespace weft::kernels
