// The service thread: what happens in a process while its own thread computes or runs the event loop.
#include <sched.h>

#include <algorithm>

#include "transport/endpoint.h"

namespace weft {

namespace {
// While a caller's thread waits every now and then, it moves the data itself; the service thread then looks
// in only this often, so that the two don't fight over every arrival. After a whole tick without a wait it
// watches again; a tick with one makes the next longer, as each costs a processor a wake-up.
constexpr int64_t kTickNs = 1'000'000, kLongestTickNs = 32'000'000;
}  // namespace

bool Endpoint::submit(Operation& operation) {
  // One for the operation, one for ourselves: close() waits for both, and takes the doorbell away then.
  submitted_.fetch_add(2, std::memory_order_seq_cst);
  for (auto& place : operations_) {
    if (closed_.load()) break;  // SYNC POINT closing
    if (place.load(std::memory_order_relaxed) != nullptr) continue;
    Operation* empty = nullptr;
    if (place.compare_exchange_strong(empty, &operation, std::memory_order_release)) {
      nudge();
      submitted_.fetch_sub(1, std::memory_order_release);
      return true;
    }
  }
  submitted_.fetch_sub(2, std::memory_order_release);
  return false;
}

void Endpoint::end(size_t i, Code code) {
  Operation* operation = operations_[i].load(std::memory_order_acquire);
  if (operation == nullptr) return;
  operations_[i].store(nullptr, std::memory_order_relaxed);
  submitted_.fetch_sub(1, std::memory_order_relaxed);
  if (operation->on_end != nullptr) operation->on_end(operation->on_end_context, *operation, code);
}

// Steps every submitted operation once; true if any ended or moved.
bool Endpoint::serve_operations() {
  bool moved = false;
  for (size_t i = 0; i < kMaxOperations; ++i) {
    Operation* operation = operations_[i].load(std::memory_order_acquire);
    if (operation == nullptr) continue;
    Code code = operation->step();
    if (code == Code::again) {
      moved |= operation->moved();
      if (operation->cancelled())
        code = Code::aborted;
      else if (operation->deadline() != kNever && now_ns() >= operation->deadline())
        code = Code::deadline;
    }
    if (code == Code::again) continue;
    end(i, code);
    moved = true;
  }
  return moved;
}

void Endpoint::serve() {
  Patience patience(options_.wait, cores_);
  const auto look_for_deaths = [&] {
    for (const auto& link : links_)
      if (link->notice()) own_bell_.ring();  // a caller may wait for that peer
  };
  int64_t looked_ns = 0, tick_ns = kTickNs;
  while (!over()) {  // SYNC POINT closing
    const bool busy = submitted_.load(std::memory_order_acquire) > 0;
    if (busy) {
      if (const int64_t now = now_ns();
          now - looked_ns > kTickNs) {  // a polling thread sleeps on no descriptor
        looked_ns = now;
        look_for_deaths();
      }
      const bool moved = progress() | serve_operations();
      if (moved) {
        patience.worked();
        continue;
      }
      const Idle idle = patience.next();
      if (idle == Idle::spin) cpu_pause();
      if (idle == Idle::yield) sched_yield();
      if (idle != Idle::park) continue;
    }

    service_sleeps_.store(true, std::memory_order_relaxed);
    {
      // Peers need to ring only for who waits for their data; that it costs them a system call is why an idle
      // service thread does not count. The fence in here also serves the sync points nudge and ticking: all
      // that decides how we sleep is loaded after it.
      const auto rung = [&] {
        return std::any_of(engines_.begin(), engines_.end(), [](const Engine* e) { return e->rung(); });
      };
      const uint32_t lanes = rung() && !caller_waits_.load() ? kLanesBit : 0;
      Asleep asleep(arena_->header().parked, (busy ? bit(Bay::service) : 0) | lanes);
      const bool callers_turn = !busy && (caller_waits_.load() || caller_waited_.exchange(false));
      const bool tick = engines_awake() && callers_turn && !caller_sleeps_.load();
      const bool sleepy = !(!callers_turn && progress()) && !serve_operations() && !over() &&
                          (lanes != 0 || callers_turn || !rung()) &&
                          (busy || submitted_.load(std::memory_order_relaxed) == 0);
      if (sleepy) {
        const bool sending =
            std::any_of(links_.begin(), links_.end(), [](const auto& link) { return link->sending(); });
        if (!tick || sending) tick_ns = kTickNs;
        ticking_.store(tick && tick_ns == kTickNs, std::memory_order_relaxed);
        int64_t until = tick ? now_ns() + tick_ns : kNever;
        tick_ns = std::min(2 * tick_ns, kLongestTickNs);
        for (auto& place : operations_)
          if (Operation* operation = place.load(std::memory_order_acquire))
            until = std::min(until, operation->wake_ns());
        sleep(Bay::service, until, !callers_turn);
      }
    }
    service_sleeps_.store(false, std::memory_order_relaxed);
    ticking_.store(false, std::memory_order_relaxed);
    look_for_deaths();
    if (!caller_waits_.load()) progress();
    patience.worked();
  }
}

}  // namespace weft
