#pragma once

#include <atomic>
#include <cstdint>

#include "core/clock.h"
#include "core/status.h"

namespace weft {

// Something that a process waits for: `step()` does what can be done now and says whether that was all. One
// thread at a time steps an operation: the caller's in a blocking wait, the service thread after
// Endpoint::submit().
class Operation {
 public:
  virtual ~Operation() = default;
  // `again` until it is finished; any other code ends it.
  virtual Code step() = 0;
  // Work was done by the last step(), so the waiter should not lose patience.
  virtual bool moved() { return false; }
  // When step() should be called again even if nothing wakes the waiter.
  virtual int64_t wake_ns() const { return deadline_; }
  // Called by the service thread when a submitted operation has ended; after it the operation may be reused.
  void (*on_end)(void* context, Operation&, Code) = nullptr;
  void* on_end_context = nullptr;

  // Safe from any thread: ends the wait with `aborted`.
  void cancel() { cancelled_.store(true, std::memory_order_release); }
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }
  void rearm(int64_t deadline) {
    deadline_ = deadline;
    cancelled_.store(false, std::memory_order_relaxed);
  }
  int64_t deadline() const { return deadline_; }

  // Who is to blame, when step() ended in peer_lost, peer_closed or protocol.
  int32_t blamed = kNoPeer;

 private:
  std::atomic<bool> cancelled_{false};
  int64_t deadline_ = kNever;
};

}  // namespace weft
