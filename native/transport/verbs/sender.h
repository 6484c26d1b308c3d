// The sending half of a verbs link: a frame becomes a chain of writes on each rail that has a share of it,
// gathered from the publisher's slot, and the last write of a chain carries the immediate.
#pragma once

#include <deque>

#include "transport/outbox.h"
#include "transport/verbs/notes.h"
#include "transport/verbs/queue_pair.h"
#include "transport/verbs/records.h"

#if WEFT_HAVE_VERBS

namespace weft::verbs {

// What a rail needs to send: its queue pair and the keys of our memory on its device.
struct Lane {
  std::unique_ptr<QueuePair> pair;
  uint32_t arena_key = 0;
  uint32_t records_key = 0;
  // Notes: sent, and taken by the peer; of the peer's, taken by us, and how many of them it knows of.
  uint32_t notes = 0, their_taken = 0, our_taken = 0, told = 0;
  size_t write_bytes = 0;  // of writes that are posted and not completed
};

class Sender {
 public:
  // `records`: registered memory in which frames and small bodies are put together, as many bytes as the
  // records of all of the peer's windows have, and behind them notes_bytes() of our rails.
  Sender(uint32_t epoch, std::span<const Inbound> inbound, std::vector<Lane> lanes, const Card& peer,
         std::byte* records);

  Outbox& outbox() { return outbox_; }
  bool enqueue(const Outgoing& rows) { return outbox_.enqueue(rows); }
  // Posts what there is room for; false: a queue pair has failed.
  bool flush();
  // There is more than there was room for.
  bool pending() const { return pending_.load(); }
  // Writes into leases: so many are done with their source. Completions tell, when it is unwritten().
  uint64_t written() const { return written_.load(std::memory_order_acquire); }
  bool unwritten() const { return unwritten_.load(); }
  void note_written();
  // The peer has taken so many notes of a rail, and we of its.
  bool their_notes_taken(size_t lane, uint32_t count);
  void our_notes_taken(size_t lane, uint32_t count) { lanes_[lane].our_taken = count; }
  bool idle() const;  // everything was sent, and the peer has it
  void discard() { outbox_.clear(); }

  std::vector<Lane>& lanes() { return lanes_; }
  // An immediate is a message.
  const Sent& counts() const { return counts_; }

 private:
  void start();
  bool may_begin();
  uint32_t& end_of(size_t lane) { return ends_[slot_ * lanes_.size() + lane]; }
  bool send_share(size_t lane);
  bool send_goodbye(size_t lane);
  bool has_room(size_t lane) const;
  bool has_room_for_lease_frame(const Lane& lane) const;
  bool may_seal() const;
  bool send_lease_frame(size_t lane);
  bool owes(const Lane& lane) const { return lane.our_taken - lane.told >= kNotes / 2; }
  bool send_taken();
  wire::Frame share_of(size_t lane) const;
  std::span<const std::byte> put_together(const Records& records, size_t at);
  // The peer's window for the sealed frame; null when it is not what was agreed.
  const WindowCard* find_window() const;

  Outbox outbox_;
  std::vector<Lane> lanes_;
  Card peer_;
  std::byte* records_;
  std::vector<size_t> posted_;  // by lane: bytes of its share of the sealed frame that are posted
  std::vector<bool> done_;      // by lane: its share is, and the immediate
  std::vector<uint32_t> ends_;  // by slot and lane: the request that told the end of the slot's last round
  // Of the sealed frame: the lanes that it goes over; if it brings rows, the peer's window for them and the
  // number of their slot among the slots of all its windows.
  size_t shares_ = 1;
  const WindowCard* window_ = nullptr;
  uint32_t slot_ = 0;
  std::byte* notes_;  // where they are put together
  // Writes that are posted: done with when that request on that lane is.
  struct Posted {
    size_t lane;
    uint32_t request;
    uint64_t written;
    uint32_t bytes;
  };
  std::deque<Posted> writes_;
  uint32_t write_count_ = 0;
  size_t next_lane_ = 0;  // for a write
  std::atomic<uint64_t> written_{0};
  std::atomic<bool> unwritten_{false};
  bool failed_ = false;
  std::atomic<bool> pending_{false};
  Sent counts_;
};

}  // namespace weft::verbs

#endif
