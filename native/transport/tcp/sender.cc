#include "transport/tcp/sender.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace weft {

namespace {

constexpr size_t kMaxPiecesSent = 64;

// Long ranges go out as several frames, so that the receiver can work on the first rows while the rest are on
// their way, and finds them in its cache.
constexpr size_t kFrameBytes = 256 * 1024;

// Collects pieces of memory into iovecs, leaving out the first `skip` bytes.
class Iovecs {
 public:
  Iovecs(std::span<iovec> out, size_t skip) : out_(out), skip_(skip) {}

  void add(const void* data, size_t bytes) {
    if (skip_ >= bytes) {
      skip_ -= bytes;
      return;
    }
    if (full()) return;
    out_[count_++] = {const_cast<std::byte*>(static_cast<const std::byte*>(data)) + skip_, bytes - skip_};
    skip_ = 0;
  }
  bool full() const { return count_ == out_.size(); }
  size_t count() const { return count_; }

 private:
  std::span<iovec> out_;
  size_t skip_;
  size_t count_ = 0;
};

}  // namespace

size_t TcpSender::gather(std::span<iovec> out) const {
  Iovecs pieces(out, sent_);
  const wire::Frame& frame = outbox_.frame();
  pieces.add(&frame, sizeof frame);
  outbox_.for_each_piece([&](const std::byte* data, size_t bytes) {
    pieces.add(data, bytes);
    return !pieces.full();
  });
  return pieces.count();
}

bool TcpSender::flush(int socket, int most_writes) {
  bool moved = false;
  std::array<iovec, kMaxPiecesSent> pieces;
  while (!outbox_.empty()) {
    if (outbox_.next_is_write() && most_writes-- == 0) break;
    if (!outbox_.sealed()) outbox_.seal(kFrameBytes);
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = gather(pieces);
    const ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        failed_ = true;
        outbox_.clear();
      }
      break;
    }
    moved = true;
    sent_ += static_cast<size_t>(n);
    counts_.requests.add(1);
    counts_.bytes.add(static_cast<uint64_t>(n));
    if (sent_ < sizeof(wire::Frame) + outbox_.frame().body_bytes) continue;
    sent_ = 0;
    if (brings_data(outbox_.frame())) counts_.messages.add(1);
    outbox_.sent();
  }
  pending_.store(!outbox_.empty(), std::memory_order_relaxed);
  return moved;
}

}  // namespace weft
