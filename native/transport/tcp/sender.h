// The sending half of a tcp link: frames, gathered from the publisher's slots.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <span>

#include "transport/outbox.h"

namespace weft {

class TcpSender {
 public:
  TcpSender(uint32_t epoch, std::span<const Inbound> inbound) : outbox_(epoch, inbound) {}

  bool enqueue(const Outgoing& rows) { return failed_ || outbox_.enqueue(rows); }
  Outbox& outbox() { return outbox_; }
  const Outbox& outbox() const { return outbox_; }
  // Sends what the socket takes; true if that was anything. Of page push at most so many frames. Errors are
  // left for the receiving half to find, which first delivers what the peer sent before it went away.
  bool flush(int socket, int most_writes = 1);
  // There is something left, for when the socket has room. Not set while the first try is under way, or
  // another thread would find the socket writable again and again, and us at it.
  bool pending() const { return pending_.load(std::memory_order_relaxed); }
  bool failed() const { return failed_; }
  // A frame is a message, a system call a request.
  const Sent& counts() const { return counts_; }

 private:
  size_t gather(std::span<iovec> out) const;

  Outbox outbox_;
  size_t sent_ = 0;  // bytes of the sealed frame
  std::atomic<bool> pending_{false};
  bool failed_ = false;
  Sent counts_;
};

}  // namespace weft
