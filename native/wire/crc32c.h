// CRC-32C (Castagnoli, reflected, initial and final xor 0xFFFFFFFF) over frame and hello headers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace weft::wire {

namespace detail {

constexpr std::array<uint32_t, 256> crc32c_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1) ? 0x82F63B78u : 0);
    table[i] = c;
  }
  return table;
}

inline uint32_t crc32c_portable(const std::byte* data, size_t bytes) {
  static constexpr auto kTable = crc32c_table();
  uint32_t crc = 0xFFFFFFFF;
  for (size_t i = 0; i < bytes; ++i) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<uint8_t>(data[i])) & 0xFF];
  return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) inline uint32_t crc32c_sse42(const std::byte* data, size_t bytes) {
  uint64_t crc = 0xFFFFFFFF;
  size_t i = 0;
  for (; i + 8 <= bytes; i += 8) {
    uint64_t word;
    __builtin_memcpy(&word, data + i, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  for (; i < bytes; ++i) crc = _mm_crc32_u8(static_cast<uint32_t>(crc), static_cast<uint8_t>(data[i]));
  return ~static_cast<uint32_t>(crc);
}
#endif

}  // namespace detail

inline uint32_t crc32c(const void* data, size_t bytes) {
  const auto* p = static_cast<const std::byte*>(data);
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return detail::crc32c_sse42(p, bytes);
#endif
  return detail::crc32c_portable(p, bytes);
}

}  // namespace weft::wire
