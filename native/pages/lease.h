// Page push, the receiving side: memory that one peer may write into, until that is ended.
#pragma once

#include <memory>
#include <span>

#include "transport/endpoint.h"

namespace weft {

// A lease is open, ended (nothing is counted any more, but a device may still write), and quiet. Only then
// may its memory be used for something else. For the thread that owns the endpoint's exchange; the endpoint
// outlives it.
class Lease {
 public:
  // `memory`: in the endpoint's arena. `counters`: 1 to 4096, each counts the bytes that were written under
  // its number. The peer may write as soon as it has the ticket.
  static Expected<std::unique_ptr<Lease>> open(Endpoint& endpoint, size_t peer, std::span<std::byte> memory,
                                               uint16_t counters);
  ~Lease() { (void)end(deadline_after_ms(kEndMs)); }
  Lease(const Lease&) = delete;

  // For the peer, by whatever way.
  const wire::Ticket& ticket() const { return ticket_; }
  // Bytes that are there; what they are may be read. Of a lease that was ended: those from before. From any
  // thread.
  uint64_t arrived(uint16_t counter) const {
    return (*counters_)[counter].load(std::memory_order_acquire);  // SYNC POINT arrival
  }
  // Ends the lease. ok: it is quiet. When a device would not be quiet until the deadline, the peer is given
  // up, which makes it so; `deadline` then means that not even that helped: the memory must not be used
  // again.
  Code end(int64_t deadline);
  bool quiet() const { return quiet_; }

  size_t peer() const { return peer_; }
  Endpoint& endpoint() const { return endpoint_; }

 private:
  static constexpr double kEndMs = 1000;
  Lease(Endpoint& endpoint, size_t peer, const wire::Ticket& ticket)
      : endpoint_(endpoint),
        peer_(peer),
        ticket_(ticket),
        counters_(endpoint.link(peer).leases().counters(ticket.lease)) {}

  Endpoint& endpoint_;
  size_t peer_;
  wire::Ticket ticket_;
  std::shared_ptr<const Leases::Counters> counters_;
  bool ended_ = false, quiet_ = false;
};

// Ends well when so many bytes of a counter are there; otherwise with the peer's state when it is not up.
class Filled : public Operation {
 public:
  Filled(const Lease& lease, uint16_t counter, uint64_t bytes)
      : lease_(lease), counter_(counter), bytes_(bytes) {}
  Code step() override;

 private:
  const Lease& lease_;
  uint16_t counter_;
  uint64_t bytes_;
};

}  // namespace weft
