// What a link does for leases: keys for the peer's device, and the notes that come with its writes.
#include <algorithm>
#include <cstring>

#include "transport/verbs/verbs_link.h"

#if WEFT_HAVE_VERBS

namespace weft::verbs {

Expected<wire::Ticket> VerbsLink::lease(std::span<std::byte> memory, uint16_t counters) {
  std::lock_guard use(use_);
  if (closed_) return fail(Code::closed, "the link is closed");
  std::vector<Region> own;
  uint32_t keys[wire::kMaxTicketKeys] = {};
  const auto take_keys = [&](const std::vector<Region>& regions) {
    for (size_t rail = 0; rail < engine_->rails(); ++rail) keys[rail] = engine_->of_rail(regions, rail).rkey;
  };
  // Registering takes its time, for which nobody else waits.
  if (!engine_->prepared(memory, take_keys)) {
    auto exposed = engine_->expose(memory.data(), memory.size(), true);
    if (!exposed) return std::unexpected(exposed.error());
    own = std::move(*exposed);
    take_keys(own);
  }
  const auto nobody_handles = engine_->hold();
  auto ticket = leases_.open(memory, counters);
  if (!ticket) return ticket;
  ticket->address = reinterpret_cast<uint64_t>(memory.data());
  std::ranges::copy(keys, ticket->keys);
  leased_[ticket->lease].regions = std::move(own);
  return ticket;
}

bool VerbsLink::revoke(uint16_t lease) {
  std::vector<Region> unused;
  std::lock_guard use(use_);
  const auto nobody_handles = closed_ ? std::unique_lock<std::mutex>() : engine_->hold();
  const wire::LeaseFrame note = leases_.close(lease);
  if (state() != LinkState::up) {
    if (!closed_) stop();
    unused = forget(lease);
    return true;
  }
  leased_[lease].unanswered = (1u << engine_->rails()) - 1;
  std::lock_guard hold(send_lock_);
  sender_->outbox().enqueue(note);
  (void)flush();  // a failure is told by its completion
  return false;
}

// What the peer's device was told to write before its answers is there, for they are behind it. A peer that
// does not answer is given up: the reset of the queue pairs is the fence then.
bool VerbsLink::quiet(uint16_t lease) {
  std::vector<Region> unused;
  std::lock_guard use(use_);
  const auto nobody_handles = closed_ ? std::unique_lock<std::mutex>() : engine_->hold();
  if (state() == LinkState::up && leased_[lease].unanswered != 0) return false;
  if (state() != LinkState::up && !closed_) stop();
  unused = forget(lease);
  return true;
}

std::vector<Region> VerbsLink::forget(uint16_t lease) {
  leases_.forget(lease);
  auto node = leased_.extract(lease);
  return node.empty() ? std::vector<Region>() : std::move(node.mapped().regions);
}

Arrived VerbsLink::notes_arrived(size_t rail, const Immediate& immediate) {
  if (immediate.slot == kNotesTaken) {
    std::lock_guard hold(send_lock_);
    if (!sender_->their_notes_taken(rail, immediate.final_rows)) return Arrived::nonsense;
    (void)flush();
    return Arrived::part;
  }
  wire::Frame note;
  if (immediate.slot != kANote || notes_->take(rail, immediate.final_rows, note) != Code::ok)
    return Arrived::nonsense;
  const Arrived outcome = take_note(rail, note);
  if (outcome == Arrived::nonsense) return outcome;
  std::lock_guard hold(send_lock_);
  sender_->our_notes_taken(rail, notes_->taken(rail));
  (void)flush();
  return outcome;
}

Arrived VerbsLink::take_note(size_t rail, const wire::Frame& note) {
  if (!of_lease(note) || validate(note, {engine_->epoch(), 0, 0, nullptr}) != Code::ok)
    return Arrived::nonsense;
  const wire::LeaseFrame frame = as_lease_frame(note);
  if (frame.lease >= Leases::kMost) return Arrived::nonsense;
  if (frame.kind == wire::FrameKind::write) {
    std::byte* to = nullptr;
    if (leases_.accept(frame, to) != Code::ok) return Arrived::nonsense;
    leases_.count(frame);
    arrivals_.add(1);
    return Arrived::rows;
  }
  if (frame.kind == wire::FrameKind::revoke) {
    wire::LeaseFrame answer = frame;
    answer.kind = wire::FrameKind::revoked;
    std::lock_guard hold(send_lock_);
    sender_->outbox().drop_writes(frame.lease, frame.generation);
    sender_->outbox().enqueue(answer);
    return Arrived::rows;  // what was dropped is done with
  }
  const auto leased = leased_.find(frame.lease);
  const uint32_t bit = 1u << rail;
  if (leased == leased_.end() || (leased->second.unanswered & bit) == 0 ||
      frame.generation != leases_.generation(frame.lease))
    return Arrived::nonsense;
  leased->second.unanswered &= ~bit;
  return Arrived::rows;
}

}  // namespace weft::verbs

#endif
