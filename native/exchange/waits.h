// How long each peer was waited for: from the first look at which something was missing until its part was
// there. What is there at that look costs no look at the clock: the smallest rounds take as long as a few.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "core/clock.h"

namespace weft {

class Waits {
 public:
  explicit Waits(size_t peers) : us_(peers, NAN) {}

  void start() {
    began_ns_ = 0;
    us_.assign(us_.size(), NAN);
  }
  // Something is missing.
  void goes_on() {
    if (began_ns_ == 0) began_ns_ = now_ns();
  }
  // Counts once.
  void came(size_t peer) {
    if (!std::isnan(us_[peer])) return;
    us_[peer] = began_ns_ == 0 ? 0 : static_cast<double>(now_ns() - began_ns_) * 1e-3;
  }
  // [peers] microseconds; not a number where nothing has come.
  const std::vector<double>& us() const { return us_; }

 private:
  int64_t began_ns_ = 0;  // 0: nothing was missing
  std::vector<double> us_;
};

}  // namespace weft
