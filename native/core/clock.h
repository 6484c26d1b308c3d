#pragma once

#include <time.h>

#include <cstdint>
#include <limits>

namespace weft {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// Nanoseconds of CLOCK_MONOTONIC: comparable between the processes of one host.
inline int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

// A deadline `ms` from now; a negative number (or none) means never.
inline int64_t deadline_after_ms(double ms) {
  if (!(ms >= 0) || ms > 9e12) return kNever;
  return now_ns() + static_cast<int64_t>(ms * 1e6);
}

}  // namespace weft
