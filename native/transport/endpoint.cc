#include "transport/endpoint.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>

#include "core/clock.h"

namespace weft {

namespace {
// How long close() tries to get rid of bytes that peers have not taken in, in all.
constexpr int64_t kGoodbyeNs = 200'000'000;
constexpr int64_t kLeastGoodbyeNs = 2'000'000;  // of a link, when others have used up the time
}  // namespace

Expected<std::unique_ptr<Endpoint>> Endpoint::create(const EndpointOptions& options) {
  auto arena = Arena::create(options.arena_bytes, options.member, options.epoch, options.hot);
  if (!arena) return std::unexpected(arena.error());
  auto bells = Doorbell::create();
  if (!bells) return std::unexpected(bells.error());
  std::unique_ptr<Endpoint> endpoint(new Endpoint(options));
  endpoint->cores_ = usable_cores();
  endpoint->arena_ = std::move(*arena);
  endpoint->own_bell_ = Doorbell(&endpoint->arena_->header().parked, std::move(*bells));
  return endpoint;
}

Endpoint::~Endpoint() { close(); }

Code Endpoint::peer_state(size_t peer) const {
  switch (links_[peer]->state()) {
    case LinkState::up:
      return Code::ok;
    case LinkState::closed:
      return Code::peer_closed;
    case LinkState::lost:
      return Code::peer_lost;
    case LinkState::broken:
      return Code::protocol;
  }
  return Code::ok;
}

void Endpoint::drop(size_t peer) {
  links_[peer]->drop();
  own_bell_.ring();  // whoever sleeps may wait for this peer
}

void Endpoint::condemn(size_t peer) {
  links_[peer]->condemn();
  own_bell_.ring();
}

bool Endpoint::progress() {
  bool moved = false;
  for (Engine* engine : engines_) moved |= engine->progress();
  return moved;
}

Expected<void> Endpoint::prepare(std::span<std::byte> memory) {
  for (Engine* engine : engines_)
    if (auto done = engine->prepare(memory); !done) return done;
  return {};
}

bool Endpoint::engines_awake() const {
  return std::any_of(engines_.begin(), engines_.end(),
                     [](const Engine* engine) { return engine->fd() >= 0 || engine->rung(); });
}

void Endpoint::nudge() {
  // SYNC POINT nudge: we change what the service thread looks at, fence, load service_sleeps_; it stores
  // service_sleeps_, fences, looks once more, sleeps.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (service_sleeps_.load(std::memory_order_relaxed)) own_bell_.wake(bit(Bay::service));
}

void Endpoint::keep_sending() {
  // SYNC POINT ticking: we store `sending`, fence, load `ticking_`; the service thread stores `ticking_` =
  // false, fences, loads `sending` before it sleeps for longer than a tick.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!ticking_.load(std::memory_order_relaxed)) nudge();
}

void Endpoint::interrupt() {
  interrupted_.store(true);
  // connect() ends when it notices; close() does all of this itself, and takes the doorbell away.
  std::lock_guard connecting(connect_lock_);
  if (closed_.load()) return;
  own_bell_.wake(bit(Bay::caller));
  end_service();
}

// For who has stored what over() looks at.
void Endpoint::end_service() {
  if (!service_.joinable()) return;
  nudge();
  service_.join();
}

void Endpoint::close() {
  if (closed_.exchange(true)) return;
  std::lock_guard connecting(connect_lock_);
  end_service();
  // SYNC POINT closing: we have stored `closed_`; submit() and wait() say that they are at it before they
  // load it.
  while (submitted_.load() > 0) {
    for (size_t i = 0; i < kMaxOperations; ++i) end(i, Code::closed);
    sched_yield();
  }
  while (caller_waits_.load()) {
    own_bell_.wake(bit(Bay::caller));
    sched_yield();
  }
  // One deadline for all: peers that take nothing in must not add up.
  const int64_t deadline = now_ns() + kGoodbyeNs;
  for (const auto& link : links_)
    if (link)
      link->close(std::max(deadline, now_ns() + kLeastGoodbyeNs));  // connect() may have ended without some
  engines_.clear();
  shared_engines_.clear();
  listeners_.clear();
  own_bell_.close();
  arena_->close();
}

}  // namespace weft
