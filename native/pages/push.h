// Page push, the sending side: writes into memory that a peer leased to us.
#pragma once

#include <span>

#include "transport/endpoint.h"

namespace weft {

// For the thread that owns the endpoint's exchange; the endpoint outlives it.
class Push {
 public:
  // `protocol`: the ticket is damaged, of another mesh or epoch, or not for us from this peer.
  static Expected<Push> open(Endpoint& endpoint, size_t peer, const wire::Ticket& ticket);

  // Bytes of our arena go to `at` of the lease, and are counted there under `counter` when they are visible.
  // They must stay as they are until this write is done(). `again`: the queue is full, which it is not for
  // long while the peer is up; `state`: the lease is over; otherwise why the peer is not there.
  Code write(uint16_t counter, uint64_t at, std::span<const std::byte> from);
  // The memory of all writes so far may be used again: they were sent, or never will be. (Whether they
  // arrived is for the receiver to say.)
  bool done() const { return done(last_); }
  bool done(uint64_t write) const;
  uint64_t last() const { return last_; }  // the number of the last write

  size_t peer() const { return peer_; }
  Endpoint& endpoint() const { return *endpoint_; }

 private:
  Push(Endpoint& endpoint, size_t peer, const wire::Ticket& ticket)
      : endpoint_(&endpoint), peer_(peer), ticket_(ticket) {}

  Endpoint* endpoint_;
  size_t peer_;
  wire::Ticket ticket_;
  uint64_t last_ = 0;
};

// Ends when a push is done with the writes that it has made when this is constructed.
class Done : public Operation {
 public:
  explicit Done(const Push& push) : push_(push), last_(push.last()) {}
  Code step() override { return push_.done(last_) ? Code::ok : Code::again; }

 private:
  const Push& push_;
  uint64_t last_;
};

}  // namespace weft
