// How a waiter passes the time: spin, then yield, then park.
#pragma once

#include <cstdint>

#include "core/clock.h"

namespace weft {

enum class WaitMode : uint8_t { adaptive = 0, spin, yield, park };

struct WaitPolicy {
  WaitMode mode = WaitMode::adaptive;
  // Processes that poll on this host. With more of them than cores, a spinning waiter burns the time slice
  // of the very process it waits for, so the adaptive policy does not spin at all then.
  uint32_t pollers = 2;
  int64_t spin_ns = 100'000;
  int64_t yield_ns = 2'000'000;
};

enum class Idle : uint8_t { spin, yield, park };

// The state of one wait. `next()` says how to pass the time before the condition is looked at again;
// `worked()` restarts the budgets when the wait made progress.
class Patience {
 public:
  Patience(const WaitPolicy& policy, int cores);
  Idle next();
  void worked() { started_ns_ = 0; }

 private:
  int64_t spin_ns_;
  int64_t yield_ns_;
  int64_t started_ns_ = 0;
  uint32_t turns_ = 0;
  Idle last_ = Idle::spin;
};

}  // namespace weft
