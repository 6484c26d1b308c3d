// Memory of ours that a peer may write into: what page push stands on. A lease is for one peer, has a number
// on its link and a generation, and counters of the bytes that are there. docs/transports.md "Page push".
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/status.h"
#include "wire/lease.h"

namespace weft {

class Leases {
 public:
  static constexpr size_t kMost = 1024;

  // For who keeps the link from receiving meanwhile:

  // Takes a free place, whose counters are at 0 from here on; `state` when there is none. Fills in what a
  // ticket says of the lease itself.
  Expected<wire::Ticket> open(std::span<std::byte> memory, uint16_t counters);
  // What still comes for it is late: it goes nowhere, and is counted as that. What the peer is to be told.
  wire::LeaseFrame close(uint16_t number);
  // Nothing can come any more: the place may be had again.
  void forget(uint16_t number);
  // Where the body of a write belongs. Null: it is late. `protocol`: such a lease was never given.
  Code accept(const wire::LeaseFrame& write, std::byte*& to) const;
  // The body of an accepted write is there.
  void count(const wire::LeaseFrame& write);

  uint64_t generation(uint16_t number) const { return places_[number]->generation; }
  // Bytes, by counter; they stay for who holds them. SYNC POINT arrival: count() stores (release) when the
  // bytes are visible; who reads loads (acquire).
  using Counters = std::vector<std::atomic<uint64_t>>;
  std::shared_ptr<const Counters> counters(uint16_t number) const { return places_[number]->counters; }

  // From any thread: bytes that came for leases that were over.
  uint64_t late() const { return late_.load(std::memory_order_relaxed); }

 private:
  enum class State : uint8_t { free, open, closed };
  struct Place {
    State state = State::free;
    uint64_t generation = 0;
    std::span<std::byte> memory;
    std::shared_ptr<Counters> counters;
  };
  std::array<std::unique_ptr<Place>, kMost> places_;  // made when so many are wanted
  std::atomic<uint64_t> late_{0};
};

}  // namespace weft
