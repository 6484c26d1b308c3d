// A copy that stays in the cache.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace weft::kernels {

// memcpy turns to non-temporal stores beyond a size that depends on the machine (a share of the last-level
// cache). What is copied here is read next, so it goes in pieces below any such limit.
inline void copy_cached(void* destination, const void* source, size_t bytes) {
  constexpr size_t kPiece = size_t{256} << 10;
  auto* to = static_cast<std::byte*>(destination);
  const auto* from = static_cast<const std::byte*>(source);
  while (bytes > 0) {
    const size_t piece = std::min(bytes, kPiece);
    std::memcpy(to, from, piece);
    to += piece;
    from += piece;
    bytes -= piece;
  }
}

}  // namespace weft::kernels
