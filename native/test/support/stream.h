// A pair of connected stream sockets, and a publication in plain memory with a sender or a receiver on it:
// what the tests of the two halves of a tcp link run on.
#pragma once

#include <sys/socket.h>

#include <cstring>
#include <memory>
#include <vector>

#include "memory/fd.h"
#include "memory/mapping.h"
#include "transport/tcp/receiver.h"
#include "transport/tcp/sender.h"

namespace weft::test {

constexpr uint32_t kStreamEpoch = 0xFEDCBA98;

// `buffer`: bytes that each side buffers, about; 0 leaves it to the kernel. The kernel has a lower limit of
// its own.
struct SocketPair {
  explicit SocketPair(int buffer = 0) {
    int fds[2] = {-1, -1};
    (void)socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);
    near = Fd(fds[0]);
    far = Fd(fds[1]);
    if (buffer == 0) return;
    for (const int fd : fds) {
      setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    }
  }
  // All that can be read from `far` now.
  std::vector<std::byte> drain() const {
    std::vector<std::byte> all;
    std::byte chunk[65536];
    for (ssize_t n; (n = recv(far.get(), chunk, sizeof chunk, MSG_DONTWAIT)) > 0;)
      all.insert(all.end(), chunk, chunk + n);
    return all;
  }
  Fd near, far;
};

// Publication memory with nothing published, page aligned.
class Pages {
 public:
  explicit Pages(size_t bytes) : mapping_(*Mapping::anonymous(bytes)) {}
  std::byte* data() const { return mapping_->data(); }
  const std::shared_ptr<Mapping>& mapping() const { return mapping_; }

 private:
  std::shared_ptr<Mapping> mapping_;
};

inline wire::PublicationShape stream_shape() { return {3, 8, 4, true, 16, {4, 1}}; }

// A receiver whose one mirror stands in memory between two painted pages.
class MirrorBench {
 public:
  explicit MirrorBench(const wire::PublicationShape& shape, uint16_t publication = 5,
                       uint16_t destination = 2)
      : layout(shape),
        memory_(layout.bytes() + 2 * kGuard),
        receiver(kStreamEpoch, {{publication, destination, kGuard, &layout}}, memory_.mapping(), leases) {
    std::memset(memory_.data(), 0xA5, kGuard);
    std::memset(memory_.data() + kGuard + layout.bytes(), 0xA5, kGuard);
  }

  std::byte* mirror() const { return memory_.data() + kGuard; }
  const wire::SlotHead& head(uint64_t generation) const {
    return layout.head_of(static_cast<const std::byte*>(mirror()), layout.slot_of(generation));
  }
  uint64_t state(uint64_t generation) const { return head(generation).state.load(); }
  const wire::RowList& list(uint64_t generation, uint32_t destination = 2) const {
    return layout.list_of(static_cast<const std::byte*>(mirror()), layout.slot_of(generation), destination);
  }
  std::byte* column(uint64_t generation, uint32_t c) const {
    return mirror() + layout.column(layout.slot_of(generation), c);
  }
  bool guards_intact() const {
    for (size_t i = 0; i < kGuard; ++i)
      if (memory_.data()[i] != std::byte{0xA5} ||
          memory_.data()[kGuard + layout.bytes() + i] != std::byte{0xA5})
        return false;
    return true;
  }
  // Writes all bytes to the receiver's socket and lets it work until it has nothing more or has ended.
  Received feed(const std::vector<std::byte>& bytes, size_t chunk = SIZE_MAX) {
    Received last = Received::nothing;
    for (size_t at = 0; at < bytes.size();) {
      const ssize_t n = send(sockets.near.get(), bytes.data() + at, std::min(chunk, bytes.size() - at),
                             MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) at += static_cast<size_t>(n);
      for (Received now; (now = receiver.receive(sockets.far.get())) != Received::nothing;) {
        last = now;
        if (now == Received::nonsense || now == Received::goodbye || now == Received::end) return now;
      }
    }
    return last;
  }

  const wire::PublicationLayout layout;

 private:
  static constexpr size_t kGuard = 4096;
  Pages memory_;

 public:
  Leases leases;
  TcpReceiver receiver;
  SocketPair sockets;
};

}  // namespace weft::test
