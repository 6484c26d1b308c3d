// What the kernels must compute, written again by other means: values in double, rounding by looking for the
// nearest.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace weft::test {

inline double bf16_value(uint16_t code) {
  const int exponent = (code >> 7) & 0xFF;
  const int mantissa = code & 0x7F;
  const double sign = (code & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 255) return mantissa != 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  return sign * (exponent == 0 ? std::ldexp(mantissa, -133) : std::ldexp(128 + mantissa, exponent - 134));
}

inline double e4m3_value(uint8_t code) {
  const int exponent = (code >> 3) & 0xF;
  const int mantissa = code & 7;
  const double sign = (code & 0x80) != 0 ? -1.0 : 1.0;
  if (exponent == 15 && mantissa == 7) return std::nan("");
  return sign * (exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10));
}

// The e4m3 code next to `value`, by trying all of them; of two equally near the one with the even mantissa.
inline uint8_t nearest_e4m3(double value) {
  const int sign = std::signbit(value) ? 0x80 : 0;
  if (std::isnan(value)) return static_cast<uint8_t>(sign | 0x7F);
  static const auto values = [] {
    std::array<double, 0x7F> all{};
    for (size_t code = 0; code < all.size(); ++code) all[code] = e4m3_value(static_cast<uint8_t>(code));
    return all;
  }();
  const double magnitude = std::min(std::fabs(value), 448.0);
  size_t best = 0;
  for (size_t code = 1; code < values.size(); ++code) {
    const double distance = std::fabs(values[code] - magnitude);
    const double so_far = std::fabs(values[best] - magnitude);
    if (distance < so_far || (distance == so_far && code % 2 == 0)) best = code;
  }
  return static_cast<uint8_t>(static_cast<size_t>(sign) | best);
}

// The bf16 code next to a finite or infinite `value`: between the two neighbours found by bisection over the
// codes, which are ordered as their values. What would come after the largest finite one is 2^128, the place
// of infinity.
inline uint16_t nearest_bf16(double value) {
  const int sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(value);
  const auto at = [](int code) {
    return code == 0x7F80 ? std::ldexp(1, 128) : bf16_value(static_cast<uint16_t>(code));
  };
  if (magnitude >= at(0x7F80)) return static_cast<uint16_t>(sign | 0x7F80);
  int low = 0;
  int high = 0x7F80;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (at(middle) <= magnitude ? low : high) = middle;
  }
  const double below = magnitude - at(low);
  const double above = at(high) - magnitude;
  const bool down = below < above || (below == above && low % 2 == 0);
  return static_cast<uint16_t>(sign | (down ? low : high));
}

// A rounded result of arithmetic: every NaN is the canonical one.
inline uint16_t result_bf16(float value) { return std::isnan(value) ? 0x7FC0 : nearest_bf16(value); }
inline float result_f32(float value) { return std::isnan(value) ? std::bit_cast<float>(0x7FC00000u) : value; }

// One rounding to fp32 each. The double results are exact, or so long that rounding twice is the same as
// once; no compiler can fuse them.
inline float times(float a, float b) {
  return static_cast<float>(static_cast<double>(a) * static_cast<double>(b));
}
inline float plus(float a, float b) {
  return static_cast<float>(static_cast<double>(a) + static_cast<double>(b));
}
inline float over(float a, float b) {
  return static_cast<float>(static_cast<double>(a) / static_cast<double>(b));
}

struct Quantised {
  std::vector<uint8_t> q;
  float scale;
};

// One group, from the text of DESIGN section 7.
inline Quantised quantise(const std::vector<float>& x, bool power_of_two) {
  float amax = 1e-4f;
  for (float v : x) {
    if (!std::isnan(v)) amax = std::max(amax, std::fabs(v));
  }
  float scale = times(amax, static_cast<float>(1.0 / 448.0));
  float multiplier = over(448.0f, amax);
  if (power_of_two && std::isfinite(scale)) {
    int exponent = 0;
    const double fraction = std::frexp(scale, &exponent);  // in [0.5, 1)
    if (fraction == 0.5) --exponent;
    scale = static_cast<float>(std::ldexp(1.0, exponent));
    multiplier = static_cast<float>(std::ldexp(1.0, -exponent));
  }
  Quantised result{{}, scale};
  for (float v : x) {
    const double product = std::isfinite(v) ? static_cast<double>(times(v, multiplier)) : std::nan("");
    result.q.push_back(nearest_e4m3(std::copysign(product, v)));
  }
  return result;
}

}  // namespace weft::test
