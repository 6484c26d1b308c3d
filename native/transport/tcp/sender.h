// The sending half of a tcp link: a bounded queue of row ranges, sent as frames gathered from the publisher's slots.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <span>
#include <vector>

#include "transport/transport.h"
#include "wire/frame.h"

namespace weft {

class TcpSender {
 public:
  TcpSender(uint32_t epoch, std::span<const Inbound> inbound);

  // Ranges of one round that wait behind each other are merged, so the queue can't outgrow what it was made for:
  // at most one range being sent and one waiting for every round in flight.
  void enqueue(const Outgoing& rows);
  void enqueue_goodbye();
  // Sends what the socket takes; true if that was anything. Errors are left for the receiving half to find, which
  // first delivers what the peer sent before it went away.
  bool flush(int socket);
  bool pending() const { return pending_.load(std::memory_order_relaxed); }
  bool failed() const { return failed_; }

 private:
  struct Entry {
    Outgoing rows{};         // [from, to) not sent yet, the frame's included
    uint32_t frame_to = 0;   // the frame carries [rows.from, frame_to)
    wire::Frame frame{};
    size_t frame_bytes = 0;
    size_t sent = 0;  // of frame_bytes
    bool sealed = false;
    bool goodbye = false;
  };

  Entry& at(size_t i) { return entries_[(head_ + i) % entries_.size()]; }
  Entry& push();
  void seal(Entry& entry) const;
  size_t gather(const Entry& entry, std::span<iovec> out) const;

  uint32_t epoch_;
  std::vector<Entry> entries_;
  size_t head_ = 0, size_ = 0;
  std::atomic<bool> pending_{false};
  bool failed_ = false;
};

}  // namespace weft
