#include "memory/fd_passing.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/clock.h"

namespace weft {

namespace {

// No wake-up is tied to a stop flag; it is looked at this often.
constexpr int64_t kStopPollMs = 10;

Expected<void> wait_for(int socket, short events, int64_t deadline, const std::atomic<bool>* stop) {
  pollfd p{socket, events, 0};
  const int64_t turn_ms = stop != nullptr ? kStopPollMs : 1000;
  for (;;) {
    if (stop != nullptr && stop->load()) return fail(Code::aborted, "the handshake was broken off");
    const int64_t left = deadline == kNever ? 1000 : (deadline - now_ns()) / 1'000'000;
    if (left < 0) return fail(Code::deadline, "the peer did not answer the handshake in time");
    const int n = poll(&p, 1, static_cast<int>(std::min<int64_t>(left + 1, turn_ms)));
    if (n > 0) return {};
    if (n < 0 && errno != EINTR) return fail(Code::system, "poll", errno);
  }
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

Expected<void> send_with_fds(int socket, std::span<const std::byte> bytes, std::span<const int> fds,
                             int64_t deadline, const std::atomic<bool>* stop) {
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxPassedFds * sizeof(int))] = {};
  bool attach = !fds.empty();
  while (!bytes.empty()) {
    iovec iov{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    if (attach) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(fds.size_bytes());
      cmsghdr* head = CMSG_FIRSTHDR(&message);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN(fds.size_bytes());
      std::memcpy(CMSG_DATA(head), fds.data(), fds.size_bytes());
    }
    const ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (!would_block()) return fail(Code::peer_lost, "the peer went away during the handshake", errno);
      if (auto ready = wait_for(socket, POLLOUT, deadline, stop); !ready) return ready;
      continue;
    }
    attach = false;
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Expected<void> recv_with_fds(int socket, std::span<std::byte> bytes, std::vector<Fd>& fds, int64_t deadline,
                             const std::atomic<bool>* stop) {
  while (!bytes.empty()) {
    alignas(cmsghdr) char control[CMSG_SPACE(kMaxPassedFds * sizeof(int))];
    iovec iov{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n == 0) return fail(Code::peer_lost, "the peer closed the connection during the handshake");
    if (n < 0) {
      if (!would_block()) return fail(Code::peer_lost, "the peer went away during the handshake", errno);
      if (auto ready = wait_for(socket, POLLIN, deadline, stop); !ready) return ready;
      continue;
    }
    for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr; head = CMSG_NXTHDR(&message, head)) {
      if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
      const size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof fd);
        fds.emplace_back(fd);
      }
    }
    if (fds.size() > kMaxPassedFds) return fail(Code::protocol, "the peer passed too many descriptors");
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Expected<PeerCredentials> peer_credentials(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    return fail(Code::system, "SO_PEERCRED", errno);
  return PeerCredentials{credentials.pid, credentials.uid};
}

}  // namespace weft
