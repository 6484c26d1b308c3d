#pragma once

#include <sched.h>
#include <unistd.h>

#include <cstddef>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace weft {

inline void cpu_pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The cores this process may run on (its affinity mask, so containers and taskset count).
inline int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

constexpr size_t kCacheLine = 64;
// Two lines: the spatial prefetcher pulls lines in pairs, so words with different writers stand this far
// apart.
constexpr size_t kNoSharing = 128;

constexpr size_t kPage = 4096;

constexpr size_t align_up(size_t value, size_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace weft
