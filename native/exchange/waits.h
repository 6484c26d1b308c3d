// How long each peer was waited for: from the beginning of a wait until its part was there.
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
    began_ns_ = now_ns();
    waiting_ = false;
    us_.assign(us_.size(), NAN);
  }
  // Something is missing: until then nothing was waited for.
  void goes_on() { waiting_ = true; }
  // Counts once.
  void came(size_t peer) {
    if (std::isnan(us_[peer])) us_[peer] = waiting_ ? static_cast<double>(now_ns() - began_ns_) * 1e-3 : 0;
  }
  // [peers] microseconds; not a number where nothing has come.
  const std::vector<double>& us() const { return us_; }

 private:
  int64_t began_ns_ = 0;
  bool waiting_ = false;
  std::vector<double> us_;
};

}  // namespace weft
