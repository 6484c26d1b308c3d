// How much the tests do: all of it in a plain build, a fraction under sanitizers, which slow code down by
// that much.
#pragma once

#include <algorithm>
#include <cstdint>

namespace weft::test {

#if defined(__SANITIZE_THREAD__)
constexpr uint32_t kSlowdown = 20;
#elif defined(__SANITIZE_ADDRESS__)
constexpr uint32_t kSlowdown = 8;
#else
constexpr uint32_t kSlowdown = 1;
#endif
constexpr bool kSanitized = kSlowdown > 1;

constexpr uint32_t scaled(uint32_t count) { return std::max(1u, count / kSlowdown); }

}  // namespace weft::test
