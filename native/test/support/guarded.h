// A buffer between two painted bands, filled with a pattern that results are told apart from.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace weft::test {

class Guarded {
 public:
  explicit Guarded(size_t bytes) : bytes_(bytes), all_(bytes + 2 * kBand) { repaint(); }

  std::byte* data() { return all_.data() + kBand; }
  size_t size() const { return bytes_; }
  void repaint() { std::fill(all_.begin(), all_.end(), kPaint); }
  // Nothing but the first `used` bytes was written.
  bool intact_beyond(size_t used) const {
    const auto painted = [](std::byte b) { return b == kPaint; };
    const auto begin = all_.begin() + kBand;
    return std::all_of(all_.begin(), begin, painted) &&
           std::all_of(begin + static_cast<ptrdiff_t>(used), all_.end(), painted);
  }

 private:
  static constexpr ptrdiff_t kBand = 256;
  static constexpr std::byte kPaint{0xA5};
  size_t bytes_;
  std::vector<std::byte> all_;
};

}  // namespace weft::test
