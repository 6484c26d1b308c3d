#include "transport/life_line.h"

#include <sys/socket.h>

#include <cerrno>

namespace weft {

namespace {
constexpr char kGoodbye = 'g';
}

LinkState LifeLine::look() const {
  char byte;
  const ssize_t n = recv(socket_.get(), &byte, 1, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return LinkState::up;
  if (n <= 0) return LinkState::lost;
  return byte == kGoodbye ? LinkState::closed : LinkState::broken;
}

void LifeLine::say_goodbye() const { send(socket_.get(), &kGoodbye, 1, MSG_NOSIGNAL | MSG_DONTWAIT); }

void LifeLine::cut() const {
  if (socket_) shutdown(socket_.get(), SHUT_RDWR);
}

}  // namespace weft
