// The sending half of a tcp link: a bounded queue of row ranges, sent as frames gathered from the publisher's
// slots.
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

  // Ranges of one round are merged: there is one entry for each that has something to send. Rounds in flight
  // are at most depth, and a round may wait for which the peer has replied already (its last frames had no
  // rows for it), so an honest peer never fills the queue. False: it is full.
  bool enqueue(const Outgoing& rows);
  void enqueue_goodbye();
  // Sends what the socket takes; true if that was anything. Errors are left for the receiving half to find,
  // which first delivers what the peer sent before it went away.
  bool flush(int socket);
  // The socket was full: there is something left for when it has room. Not set while the first try is under
  // way, or another thread would find the socket writable again and again, and us at it.
  bool pending() const { return pending_.load(std::memory_order_relaxed); }
  bool empty() const { return size_ == 0; }
  bool failed() const { return failed_; }

 private:
  struct Entry {
    Outgoing rows{};
    // Of the rows that the destination takes, by index: those that are not sent yet, the frame's included.
    // Worked out when they are queued, as is what the frame says of the round: with first == end the slot may
    // be another round's.
    uint32_t first = 0, end = 0;
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
