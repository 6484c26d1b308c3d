// The reading half of a row exchange: what a peer has published for us. The peer is not trusted: nothing that
// it wrote is used as a size or an index before it was copied and checked.
#pragma once

#include "transport/endpoint.h"
#include "wire/publication.h"

namespace weft {

struct RoundView {
  uint64_t generation = 0;
  uint32_t rows = 0;        // at the source
  uint32_t final_rows = 0;  // of them, final so far
  uint32_t tag = 0;
  uint16_t meta_bytes = 0;
  bool routed = false;
  uint32_t taken = 0;  // rows that we take
};

class Subscriber {
 public:
  Subscriber(Endpoint& endpoint, size_t peer, size_t inbound, wire::PublicationLayout layout,
             uint16_t destination)
      : endpoint_(&endpoint),
        peer_(peer),
        inbound_(inbound),
        layout_(std::move(layout)),
        destination_(destination) {}

  size_t peer() const { return peer_; }
  const wire::PublicationLayout& layout() const { return layout_; }
  const std::byte* base() const { return endpoint_->link(peer_).inbound(inbound_); }
  const std::byte* column(uint64_t generation, uint32_t c) const {
    return base() + layout_.column(layout_.slot_of(generation), c);
  }
  bool packs_rows() const { return endpoint_->link(peer_).packs_rows(); }

  // `again`: not begun yet. Otherwise the round as it is now, checked; `protocol`: the peer wrote nonsense;
  // `peer_lost`: it goes on without us, which only replies (`reply`) can say.
  Code look(uint64_t generation, RoundView& view, bool reply = false) const;
  // Of a round that look() has seen: the peer has taken it back, as it went on without us.
  bool withheld(uint64_t generation) const;
  // Only the watermark of a round that look() has seen.
  uint32_t final_rows(uint64_t generation) const;
  // Copies our row list (taken entries), checked.
  Code copy_list(const RoundView& view, uint32_t* rows) const;

  void release(uint64_t generation) const { endpoint_->link(peer_).release(inbound_, generation); }
  Code peer_state() const { return endpoint_->peer_state(peer_); }
  int32_t member() const { return static_cast<int32_t>(endpoint_->member(peer_)); }

 private:
  Code read_head(uint64_t generation, RoundView& view, bool reply) const;

  Endpoint* endpoint_;
  size_t peer_;
  size_t inbound_;
  wire::PublicationLayout layout_;
  uint16_t destination_;
};

}  // namespace weft
