// The socket of a link whose data goes another way. After the handshake it only tells of the peer's end: a
// goodbye, or that the kernel has closed it, which it does at once, whatever kills the peer.
#pragma once

#include "memory/fd.h"
#include "transport/link.h"

namespace weft {

class LifeLine {
 public:
  explicit LifeLine(Fd socket = {}) : socket_(std::move(socket)) {}

  int fd() const { return socket_.get(); }
  // `up` while there is nothing to tell.
  LinkState look() const;
  void say_goodbye() const;
  // The peer is to notice that we are gone. What it sent before can still be read.
  void cut() const;
  void close() { socket_.reset(); }

 private:
  Fd socket_;
};

}  // namespace weft
