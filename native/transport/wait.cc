// Blocking waits, and sleeping. docs/architecture.md "Waiting".
#include <sched.h>

#include <algorithm>

#include "transport/endpoint.h"

namespace weft {

namespace {

// A caller's cancel flag lies in memory that no doorbell knows of; while one is given, sleep is cut this
// short.
constexpr int64_t kCancelPollNs = 5'000'000;
// Spinning turns between two looks at deadline and cancellation.
constexpr uint32_t kTurnsPerLook = 256;
// Spinning turns between two steps when engines bring everything and this thread's brought nothing: the
// service thread may have been at them.
constexpr uint32_t kTurnsPerStep = 8;
// The first turns don't pause: a pause lasts as long as a cache line takes from core to core, and what comes
// at all soon comes within these.
constexpr uint32_t kEagerTurns = 256;

Code interrupted(const Operation& operation, const std::atomic<int32_t>* cancel_flag) {
  if (operation.cancelled()) return Code::aborted;
  if (cancel_flag != nullptr && cancel_flag->load(std::memory_order_relaxed) != 0) return Code::aborted;
  if (operation.deadline() != kNever && now_ns() >= operation.deadline()) return Code::deadline;
  return Code::again;
}

}  // namespace

Code Endpoint::wait(Operation& operation, const std::atomic<int32_t>* cancel_flag) {
  Code outcome = operation.step();
  if (outcome != Code::again) return outcome;
  caller_waits_.store(true);
  caller_waited_.store(true, std::memory_order_relaxed);
  Patience patience(options_.wait, cores_);
  uint32_t turns = 0;
  Idle idle = Idle::spin;
  for (;;) {
    const bool moved = progress() | operation.moved();
    if (moved || !engines_bring_all_ || idle != Idle::spin || turns % kTurnsPerStep == 0) {
      outcome = operation.step();
      if (outcome != Code::again) break;
    }
    idle = Idle::spin;
    if (moved) {
      patience.worked();
    } else {
      idle = patience.next();
      if (idle == Idle::spin && turns >= kEagerTurns) cpu_pause();
    }
    // At first, for callers that only want a look, then now and then, even while data moves: a peer that
    // keeps sending must not keep us from the deadline.
    if (idle == Idle::spin && turns++ % kTurnsPerLook != 0) continue;
    outcome = over() ? Code::closed : interrupted(operation, cancel_flag);  // SYNC POINT closing
    if (outcome != Code::again) break;
    if (idle == Idle::yield) sched_yield();
    if (idle != Idle::park) continue;

    caller_sleeps_.store(true, std::memory_order_relaxed);
    Asleep asleep(arena_->header().parked, bit(Bay::caller));
    if (progress()) continue;
    outcome = operation.step();
    if (outcome != Code::again) break;
    if (operation.cancelled() || over()) continue;
    const int64_t poll_again = cancel_flag == nullptr ? kNever : now_ns() + kCancelPollNs;
    sleep(Bay::caller, std::min(operation.wake_ns(), poll_again), true);
  }
  // The service thread left the engines to us for as long as we sleep on them; give them back.
  if (caller_sleeps_.exchange(false, std::memory_order_seq_cst) && engines_awake()) nudge();
  caller_waits_.store(false, std::memory_order_release);  // last: now close() may go on
  return outcome;
}

void Endpoint::sleep(Bay bay, int64_t until, bool engines) {
  // The caller's thread and the service thread each build their own list: no registration to keep in step.
  std::vector<pollfd>& fds = poll_lists_[static_cast<size_t>(bay)];
  fds.clear();
  fds.push_back({own_bell_.fd(bay), POLLIN, 0});
  for (Engine* engine : engines_) {
    if (!engines) break;
    if (!engine->arm()) return;
    if (const int64_t most = engine->longest_sleep_ns(); most != kNever)
      until = std::min(until, now_ns() + most);
    const short events = engine->wants_room() ? POLLIN | POLLOUT : POLLIN;
    if (const int fd = engine->fd(); fd >= 0) fds.push_back({fd, events, 0});
  }
  if (bay == Bay::service)  // deaths are for the service thread to hear of
    for (const auto& link : links_)
      if (const int fd = link->end_fd(); fd >= 0) fds.push_back({fd, POLLIN, 0});
  timespec timeout{};
  if (until != kNever) {
    const int64_t left = std::max<int64_t>(0, until - now_ns());
    timeout = {left / 1'000'000'000, left % 1'000'000'000};
  }
  ppoll(fds.data(), fds.size(), until == kNever ? nullptr : &timeout, nullptr);
  if (fds[0].revents != 0) {
    uint64_t rings;
    [[maybe_unused]] const ssize_t n = read(fds[0].fd, &rings, sizeof rings);
  }
}

}  // namespace weft
