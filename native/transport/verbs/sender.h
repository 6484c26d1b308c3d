// The sending half of a verbs link: a frame becomes a chain of writes on each rail that has a share of it,
// gathered from the publisher's slot, and the last write of a chain carries the immediate.
#pragma once

#include "transport/outbox.h"
#include "transport/verbs/queue_pair.h"
#include "transport/verbs/records.h"

#if WEFT_HAVE_VERBS

namespace weft::verbs {

// What a rail needs to send: its queue pair and the keys of our memory on its device.
struct Lane {
  std::unique_ptr<QueuePair> pair;
  uint32_t arena_key = 0;
  uint32_t records_key = 0;
};

class Sender {
 public:
  // `records`: registered memory in which frames and small bodies are put together, as many bytes as the
  // records of all of the peer's windows have.
  Sender(uint32_t epoch, std::span<const Inbound> inbound, std::vector<Lane> lanes, const Card& peer,
         std::byte* records);

  bool enqueue(const Outgoing& rows) { return outbox_.enqueue(rows); }
  void enqueue_goodbye() { outbox_.enqueue_goodbye(); }
  // Posts what there is room for; false: a queue pair has failed.
  bool flush();
  // There is more than there was room for.
  bool pending() const { return pending_.load(); }
  bool idle() const;  // everything was sent, and the peer has it
  void discard() { outbox_.clear(); }

  std::vector<Lane>& lanes() { return lanes_; }
  // An immediate is a message.
  const Sent& counts() const { return counts_; }

 private:
  class Chain;
  void start();
  bool may_begin();
  uint32_t& end_of(size_t lane) { return ends_[slot_ * lanes_.size() + lane]; }
  bool send_share(size_t lane);
  bool send_goodbye(size_t lane);
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
  bool failed_ = false;
  std::atomic<bool> pending_{false};
  Sent counts_;
};

}  // namespace weft::verbs

#endif
