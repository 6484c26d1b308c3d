// A copy past the caches, for what is too much for them: it neither reads the lines that it writes nor drives
// out what is in there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "core/cpu.h"

namespace weft::kernels {

// What is copied in all is more than a core keeps in caches of its own, beside what it is made of.
constexpr size_t kStreamedBytes = size_t{3} << 20;

// Other threads see it after streamed() only.
inline void copy_streamed(void* destination, const void* source, size_t bytes) {
#ifdef __SSE2__
  auto* to = static_cast<std::byte*>(destination);
  const auto* from = static_cast<const std::byte*>(source);
  const size_t head = align_up(reinterpret_cast<uintptr_t>(to), kCacheLine) - reinterpret_cast<uintptr_t>(to);
  if (bytes >= head + kCacheLine) {
    std::memcpy(to, from, head);
    to += head, from += head, bytes -= head;
    // Whole lines: a line that is written in part has to be read first.
    for (; bytes >= kCacheLine; to += kCacheLine, from += kCacheLine, bytes -= kCacheLine)
      for (size_t at = 0; at < kCacheLine; at += sizeof(__m128i))
        _mm_stream_si128(reinterpret_cast<__m128i*>(to + at),
                         _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at)));
  }
  std::memcpy(to, from, bytes);
#else
  std::memcpy(destination, source, bytes);
#endif
}

// From here on an ordinary release makes visible what was streamed before.
inline void streamed() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

}  // namespace weft::kernels
