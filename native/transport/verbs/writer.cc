// What a sender does for leases: writes into the peer's memory, and notes.
#include <algorithm>
#include <cstring>

#include "transport/verbs/chain.h"
#include "transport/verbs/sender.h"

#if WEFT_HAVE_VERBS

namespace weft::verbs {

namespace {
static_assert(wire::kMaxWriteBytes <= Chain::kMostBytes);
// So many short ones share a completion, and rows on the same queue pair wait for no more
// bytes than this.
constexpr uint32_t kFewWrites = 8, kManyBytes = 64 * 1024;
constexpr size_t kMostWriteBytes = 4 << 20;
}  // namespace

// Writes come with a note behind them, for which there must be room in the peer's ring.
bool Sender::has_room_for_lease_frame(const Lane& lane) const {
  return lane.pair->room() > 1 && lane.notes - lane.their_taken < kNotes &&
         lane.write_bytes < kMostWriteBytes;
}

bool Sender::send_lease_frame(size_t number) {
  if (!has_room(number)) return false;
  Lane& lane = lanes_[number];
  const wire::LeaseFrame frame = as_lease_frame(outbox_.frame());
  Chain chain(*lane.pair, 0, 0);
  // An answer is behind all that was written, on every lane.
  bool complete = frame.kind != wire::FrameKind::write;
  if (frame.kind == wire::FrameKind::write) {
    const wire::Ticket& ticket = outbox_.write().ticket;
    chain.aim(ticket.address, ticket.keys[number]);
    outbox_.for_each_piece([&](const std::byte* data, size_t bytes) {
      failed_ = chain.add(data, bytes, frame.at, lane.arena_key) < bytes;
      return true;
    });
    if (failed_) return false;  // a device that takes no such requests
    complete = lanes_.size() > 1 || outbox_.ends_writes() || frame.body_bytes >= kManyBytes ||
               ++write_count_ % kFewWrites == 0;
  }
  const size_t at = note_at(number, lane.notes);
  std::memcpy(notes_ + at, &frame, sizeof frame);
  chain.aim(peer_.notes.address, peer_.notes.keys[number]);
  chain.open(at);
  chain.add(notes_ + at, sizeof frame, at, lane.records_key);
  chain.tell(encode({Tells::notes, kANote, lane.notes % kNoteNumbers}));
  ++lane.notes;
  const auto requests = chain.finish();
  failed_ = !lane.pair->post(requests, complete);
  counts_.requests.add(requests.size());
  counts_.bytes.add(chain.bytes());
  counts_.messages.add(frame.kind == wire::FrameKind::write ? 1 : 0);
  if (frame.kind == wire::FrameKind::write) {
    writes_.push_back({number, lane.pair->posted(), 0, frame.body_bytes});
    lane.write_bytes += frame.body_bytes;
  }
  return !failed_;
}

bool Sender::their_notes_taken(size_t number, uint32_t count) {
  Lane& lane = lanes_[number];
  const uint32_t more = (count - lane.their_taken) % kNoteNumbers;
  if (more > lane.notes - lane.their_taken) return false;
  lane.their_taken += more;
  return true;
}

// Tells the peer, before it runs out of room; false: something is still to be told.
bool Sender::send_taken() {
  bool all = true;
  for (size_t number = 0; number < lanes_.size() && !failed_; ++number) {
    Lane& lane = lanes_[number];
    if (!owes(lane)) continue;
    if (lane.pair->room() == 0) {
      all = false;
      continue;
    }
    Chain chain(*lane.pair, peer_.notes.address, peer_.notes.keys[number]);
    chain.open(0);
    chain.tell(encode({Tells::notes, kNotesTaken, lane.our_taken % kNoteNumbers}));
    failed_ = !lane.pair->post(chain.finish(), false);
    lane.told = lane.our_taken;
  }
  return all;
}

// SYNC POINT unwritten: we store it, then look which requests are retired; who retires one stores that, then
// loads it. Both orders are seq_cst.
void Sender::note_written() {
  if (writes_.empty()) return written_.store(outbox_.written(), std::memory_order_release);
  unwritten_.store(true);
  while (!writes_.empty() && lanes_[writes_.front().lane].pair->retired(writes_.front().request)) {
    const Posted& done = writes_.front();
    written_.store(done.written, std::memory_order_release);
    lanes_[done.lane].write_bytes -= done.bytes;
    writes_.pop_front();
  }
  if (!writes_.empty()) return;
  unwritten_.store(false);
  written_.store(outbox_.written(), std::memory_order_release);
}

}  // namespace weft::verbs

#endif
