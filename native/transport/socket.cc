#include "transport/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/clock.h"

namespace weft {

namespace {

constexpr int kBacklog = 1024;
constexpr int64_t kRetryNs = 5'000'000;

// The outcome of a non-blocking connect; 0 or an errno.
int connect_result(int socket, int64_t deadline) {
  pollfd p{socket, POLLOUT, 0};
  const int64_t left_ms =
      deadline == kNever ? 60'000 : std::max<int64_t>(0, (deadline - now_ns()) / 1'000'000);
  if (poll(&p, 1, static_cast<int>(std::min<int64_t>(left_ms + 1, 60'000))) <= 0) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

bool not_there_yet(int error) {
  return error == ECONNREFUSED || error == ENOENT || error == EAGAIN || error == EHOSTUNREACH ||
         error == ENETUNREACH;
}

}  // namespace

Expected<Fd> listen_on(const sockaddr* address, socklen_t size) {
  Fd socket(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail(Code::system, "socket", errno);
  if (bind(socket.get(), address, size) != 0) return fail(Code::system, "bind", errno);
  if (listen(socket.get(), kBacklog) != 0) return fail(Code::system, "listen", errno);
  return socket;
}

Expected<Fd> dial_until(const sockaddr* address, socklen_t size, int64_t deadline) {
  for (;;) {
    Fd socket(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return fail(Code::system, "socket", errno);
    int error = connect(socket.get(), address, size) == 0 ? 0 : errno;
    if (error == EINPROGRESS) error = connect_result(socket.get(), deadline);
    if (error == 0) return socket;
    if (!not_there_yet(error))
      return fail(error == ETIMEDOUT ? Code::deadline : Code::unavailable, "connect", error);
    if (now_ns() + kRetryNs >= deadline) return fail(Code::deadline, "nothing listens there", error);
    usleep(kRetryNs / 1000);
  }
}

Expected<Fd> accept_one(int listener) {
  Fd socket(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) return fail(errno == EAGAIN || errno == EINTR ? Code::again : Code::system, "accept", errno);
  return socket;
}

void tune_tcp(int socket) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // A host that vanished says nothing; keep-alive notices within about 11 s. No TCP_USER_TIMEOUT: it would
  // also end the connection to a process that is merely stopped, which deadlines deal with.
  const int idle_s = 5, interval_s = 2, count = 3;
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

}  // namespace weft
