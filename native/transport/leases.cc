#include "transport/leases.h"

namespace weft {

Expected<wire::Ticket> Leases::open(std::span<std::byte> memory, uint16_t counters) {
  for (size_t i = 0; i < kMost; ++i) {
    auto& place = places_[i];
    if (!place) place = std::make_unique<Place>();
    if (place->state != State::free) continue;
    place->counters = std::make_shared<Counters>(counters);
    place->memory = memory;
    place->state = State::open;
    ++place->generation;
    wire::Ticket ticket;
    ticket.lease = static_cast<uint16_t>(i);
    ticket.generation = place->generation;
    ticket.bytes = memory.size();
    ticket.counters = counters;
    return ticket;
  }
  return fail(Code::state, "the peer has 1024 leases of this member; end some");
}

wire::LeaseFrame Leases::close(uint16_t number) {
  places_[number]->state = State::closed;
  wire::LeaseFrame note;
  note.kind = wire::FrameKind::revoke;
  note.lease = number;
  note.generation = places_[number]->generation;
  return note;
}

void Leases::forget(uint16_t number) { places_[number]->state = State::free; }

Code Leases::accept(const wire::LeaseFrame& write, std::byte*& to) const {
  to = nullptr;
  const Place* place = write.lease < kMost ? places_[write.lease].get() : nullptr;
  if (place == nullptr || write.generation > place->generation) return Code::protocol;
  if (write.generation < place->generation || place->state != State::open) return Code::ok;
  const size_t bytes = place->memory.size();
  if (write.counter >= place->counters->size() || write.at > bytes || write.body_bytes > bytes - write.at)
    return Code::protocol;
  to = place->memory.data() + write.at;
  return Code::ok;
}

void Leases::count(const wire::LeaseFrame& write) {
  std::byte* to;
  if (accept(write, to) != Code::ok || to == nullptr) {
    late_.fetch_add(write.body_bytes, std::memory_order_relaxed);
    return;
  }
  auto& counter = (*places_[write.lease]->counters)[write.counter];
  counter.store(counter.load(std::memory_order_relaxed) + write.body_bytes, std::memory_order_release);
}

}  // namespace weft
