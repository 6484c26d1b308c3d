#include "exchange/publisher.h"

#include <utility>

namespace weft {

Publisher::Publisher(Endpoint& endpoint, wire::PublicationLayout layout, uint16_t number, size_t offset,
                     std::vector<size_t> destinations)
    : endpoint_(endpoint),
      layout_(std::move(layout)),
      number_(number),
      base_(endpoint.arena().data() + offset),
      destinations_(std::move(destinations)),
      told_(layout_.shape().depth) {}

void Publisher::begin(uint64_t generation, uint32_t rows, uint32_t tag, uint16_t meta_bytes, bool routed) {
  wire::SlotHead& head = layout_.head_of(base_, layout_.slot_of(generation));
  head.rows = rows;
  head.tag = tag;
  head.meta_bytes = meta_bytes;
  head.flags = routed ? wire::kRouted : 0;
}

void Publisher::occupy(uint64_t generation) {
  wire::SlotHead& head = layout_.head_of(base_, layout_.slot_of(generation));
  head.state.store(wire::state_word(generation, 0), std::memory_order_release);
  // SYNC POINT occupy, the writer's half: what is written to the slot from here on comes behind the state.
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void Publisher::advance(uint64_t generation, uint32_t final_rows) {
  const uint32_t slot = layout_.slot_of(generation);
  wire::SlotHead& head = layout_.head_of(base_, slot);
  const uint64_t before = head.state.load(std::memory_order_relaxed);
  const bool first = std::exchange(told_[slot], generation) != generation;
  // SYNC POINT publish, the writer's half.
  head.state.store(wire::state_word(generation, final_rows), std::memory_order_release);
  Outgoing rows{&layout_,   base_, number_, 0, generation, first ? 0 : wire::final_rows_of(before),
                final_rows, first};
  bool behind = false;
  for (size_t d = 0; d < destinations_.size(); ++d) {
    Link& link = endpoint_.link(destinations_[d]);
    rows.destination = static_cast<uint16_t>(d);
    link.publish(rows);
    behind |= link.sending();
  }
  if (behind) endpoint_.keep_sending();
}

}  // namespace weft
