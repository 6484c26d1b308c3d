// How much the tests do: all of it in a plain build, a fraction under sanitizers, which slow code down by
// that much, or in an emulated machine: WEFT_TEST_SLOWDOWN says by how much.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace weft::test {

#if defined(__SANITIZE_THREAD__)
constexpr uint32_t kSlowdown = 20;
#elif defined(__SANITIZE_ADDRESS__)
constexpr uint32_t kSlowdown = 8;
#else
constexpr uint32_t kSlowdown = 1;
#endif
constexpr bool kSanitized = kSlowdown > 1;

inline uint32_t slowdown() {
  static const uint32_t given = [] {
    const char* text = getenv("WEFT_TEST_SLOWDOWN");
    return text == nullptr ? 1u : std::max(1u, static_cast<uint32_t>(atoi(text)));
  }();
  return kSlowdown * given;
}

// A deadline that is to be missed, but not by those who are merely slow.
inline double slowly(double ms) { return ms * std::min(10u, slowdown() / kSlowdown); }

inline uint32_t scaled(uint32_t count) { return std::max(1u, count / slowdown()); }

}  // namespace weft::test
