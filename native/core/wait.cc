#include "core/wait.h"

namespace weft {

namespace {
// Reading the clock costs as much as several polls; in the spin phase it is read this rarely.
constexpr uint32_t kTurnsPerClock = 32;
}  // namespace

Patience::Patience(const WaitPolicy& policy, int cores)
    : spin_ns_(policy.spin_ns), yield_ns_(policy.yield_ns) {
  switch (policy.mode) {
    case WaitMode::adaptive:
      if (policy.pollers > static_cast<uint32_t>(cores)) spin_ns_ = 0;
      break;
    case WaitMode::spin:
      spin_ns_ = kNever;
      break;
    case WaitMode::yield:
      spin_ns_ = 0;
      yield_ns_ = kNever;
      break;
    case WaitMode::park:
      spin_ns_ = 0;
      yield_ns_ = 0;
      break;
  }
}

Idle Patience::next() {
  if (spin_ns_ == kNever) return Idle::spin;
  if (started_ns_ == 0) {
    started_ns_ = now_ns();
    turns_ = 0;
    last_ = spin_ns_ > 0 ? Idle::spin : yield_ns_ > 0 ? Idle::yield : Idle::park;
    return last_;
  }
  if (last_ == Idle::spin && ++turns_ % kTurnsPerClock != 0) return last_;
  if (last_ == Idle::park) return last_;
  const int64_t waited = now_ns() - started_ns_;
  if (waited < spin_ns_) return last_ = Idle::spin;
  if (yield_ns_ == kNever || waited < spin_ns_ + yield_ns_) return last_ = Idle::yield;
  return last_ = Idle::park;
}

}  // namespace weft
