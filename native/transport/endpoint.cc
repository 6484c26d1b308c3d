#include "transport/endpoint.h"

#include <cerrno>

namespace weft {

Expected<std::unique_ptr<Endpoint>> Endpoint::create(const EndpointOptions& options) {
  auto arena = Arena::create(options.arena_bytes, options.member, options.epoch);
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

bool Endpoint::progress() {
  bool moved = false;
  for (const auto& link : links_)
    if (link->needs_progress()) moved |= link->progress();
  return moved;
}

void Endpoint::keep_sending() {
  // SYNC POINT ticking: we store `sending`, fence, load `ticking_`; the service thread stores `ticking_` = false,
  // fences, loads `sending` before it sleeps for longer than a tick.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!ticking_.load(std::memory_order_relaxed)) own_bell_.ring();
}

void Endpoint::close() {
  if (closed_.exchange(true)) return;
  if (service_.joinable()) {
    nudge();
    service_.join();
  }
  for (size_t i = 0; i < kMaxOperations; ++i) end(i, Code::closed);
  for (const auto& link : links_) link->close();
  listeners_.clear();
}

}  // namespace weft
