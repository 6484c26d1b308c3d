#include "transport/tcp/sender.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace weft {

namespace {

constexpr size_t kMaxPieces = 64;

// Long ranges go out as several frames, so that the receiver can work on the first rows while the rest are on
// their way, and finds them in its cache.
constexpr size_t kFrameBytes = 256 * 1024;

// Collects pieces of memory into iovecs, leaving out the first `skip` bytes.
class Gather {
 public:
  Gather(std::span<iovec> out, size_t skip) : out_(out), skip_(skip) {}

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

TcpSender::TcpSender(uint32_t epoch, std::span<const Inbound> inbound) : epoch_(epoch) {
  size_t rounds = 0;
  for (const Inbound& in : inbound)
    rounds += in.layout->shape().depth;  // depth is the same in both directions
  entries_.resize(2 * rounds + 2);
}

TcpSender::Entry& TcpSender::push() {
  Entry& entry = at(size_++);
  entry = Entry{};
  entry.frame.epoch = epoch_;
  return entry;
}

bool TcpSender::enqueue(const Outgoing& rows) {
  if (failed_) return true;
  const auto& layout = *rows.layout;
  const uint32_t slot = layout.slot_of(rows.generation);
  const wire::SlotHead& head = layout.head_of(rows.base, slot);
  const bool routed = (head.flags & wire::kRouted) != 0;
  const wire::RowList* list = routed ? &layout.list_of(rows.base, slot, rows.destination) : nullptr;
  const auto taken_below = [&](uint32_t row) {
    return routed ? static_cast<uint32_t>(std::lower_bound(list->rows, list->rows + list->count, row) -
                                          list->rows)
                  : row;
  };
  for (size_t i = 0; i < size_; ++i) {
    Entry& waiting = at(i);
    if (waiting.rows.generation != rows.generation || waiting.rows.publication != rows.publication) continue;
    waiting.rows.to = rows.to;
    waiting.end = taken_below(rows.to);
    return true;
  }
  if (size_ + 1 == entries_.size()) return false;  // the last place is the goodbye's
  Entry& entry = push();
  entry.rows = rows;
  entry.first = taken_below(rows.from);
  entry.end = taken_below(rows.to);
  wire::Frame& frame = entry.frame;
  frame.flags = static_cast<uint16_t>((rows.begin ? wire::kBegin : 0) | (routed ? wire::kRoutedFrame : 0));
  frame.generation = rows.generation;
  frame.publication = rows.publication;
  frame.destination = rows.destination;
  frame.rows = head.rows;
  frame.taken = routed ? list->count : head.rows;
  frame.tag = head.tag;
  frame.meta_bytes = head.meta_bytes;
  return true;
}

void TcpSender::enqueue_goodbye() {
  Entry& entry = push();
  entry.goodbye = true;
  entry.frame.kind = wire::FrameKind::goodbye;
}

// The next frame of the entry.
void TcpSender::seal(Entry& entry) const {
  wire::Frame& frame = entry.frame;
  if (!entry.goodbye) {
    const Outgoing& rows = entry.rows;
    const auto& layout = *rows.layout;
    const auto most = static_cast<uint32_t>(std::max<size_t>(1, kFrameBytes / layout.row_bytes()));
    frame.first = entry.first;
    frame.count = std::min(entry.end - entry.first, most);
    const uint32_t next = entry.first + frame.count;
    // The watermark tells of exactly the rows that have been sent.
    if (next == entry.end)
      frame.final_rows = rows.to;
    else if (frame.flags & wire::kRoutedFrame)
      frame.final_rows =
          layout.list_of(rows.base, layout.slot_of(rows.generation), rows.destination).rows[next];
    else
      frame.final_rows = next;
    frame.body_bytes = static_cast<uint32_t>(wire::body_bytes_of(frame, layout));
  }
  wire::seal(frame);
  entry.frame_bytes = sizeof frame + frame.body_bytes;
  entry.sent = 0;
  entry.sealed = true;
}

size_t TcpSender::gather(const Entry& entry, std::span<iovec> out) const {
  Gather pieces(out, entry.sent);
  const wire::Frame& frame = entry.frame;
  pieces.add(&frame, sizeof frame);
  if (entry.goodbye) return pieces.count();
  const auto& layout = *entry.rows.layout;
  const std::byte* base = entry.rows.base;
  const uint32_t slot = layout.slot_of(frame.generation);
  const bool routed = (frame.flags & wire::kRoutedFrame) != 0;
  const uint32_t* list = routed ? layout.list_of(base, slot, frame.destination).rows : nullptr;
  if (frame.flags & wire::kBegin) {
    if (routed) pieces.add(list, size_t{frame.taken} * sizeof(uint32_t));
    pieces.add(base + layout.meta(slot), frame.meta_bytes);
  }
  const auto& column_bytes = layout.shape().column_bytes;
  const uint32_t end = frame.first + frame.count;
  for (uint32_t c = 0; c < column_bytes.size() && !pieces.full(); ++c) {
    const std::byte* column = base + layout.column(slot, c);
    const size_t row_bytes = column_bytes[c];
    if (!routed) {
      pieces.add(column + frame.first * row_bytes, frame.count * row_bytes);
      continue;
    }
    for (uint32_t i = frame.first; i < end && !pieces.full();) {
      uint32_t run = i + 1;
      while (run < end && list[run] == list[run - 1] + 1) ++run;
      pieces.add(column + list[i] * row_bytes, (run - i) * row_bytes);
      i = run;
    }
  }
  return pieces.count();
}

bool TcpSender::flush(int socket) {
  bool moved = false, full = false;
  std::array<iovec, kMaxPieces> pieces;
  while (size_ > 0) {
    Entry& entry = at(0);
    if (!entry.sealed) seal(entry);
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = gather(entry, pieces);
    const ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      full = errno == EAGAIN || errno == EWOULDBLOCK;
      if (!full) {
        failed_ = true;
        size_ = 0;
      }
      break;
    }
    moved = true;
    entry.sent += static_cast<size_t>(n);
    if (entry.sent < entry.frame_bytes) continue;
    if (!entry.goodbye && entry.frame.final_rows < entry.rows.to) {
      entry.first += entry.frame.count;
      entry.frame.flags &= static_cast<uint16_t>(~wire::kBegin);
      entry.sealed = false;
      continue;
    }
    head_ = (head_ + 1) % entries_.size();
    --size_;
  }
  pending_.store(full, std::memory_order_relaxed);
  return moved;
}

}  // namespace weft
