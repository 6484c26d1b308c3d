// What waits to be sent to a peer: row ranges and writes into its memory, each a bounded queue, which go out
// as frames, and the pieces of our memory that a frame's body consists of. Rows go first.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "transport/link.h"
#include "wire/frame.h"
#include "wire/lease.h"

namespace weft {

class Outbox {
 public:
  Outbox(uint32_t epoch, std::span<const Inbound> inbound);

  // Ranges of one round are merged: there is one entry for each that has something to send. Rounds in flight
  // are at most depth, and a round may wait for which the peer has replied already (its last frames had no
  // rows for it), so an honest peer never fills the queue. False: it is full.
  bool enqueue(const Outgoing& rows);
  void enqueue_goodbye();
  bool empty() const { return size_ == 0 && !has_writes() && notes_.empty(); }
  void clear();

  // `again`: the queue is full; `state`: the lease is over. ok: what written() is when it is done with.
  Code enqueue(const Writing& write, uint64_t& number);
  // revoke and revoked.
  void enqueue(const wire::LeaseFrame& note);
  // Writes into a lease, up to that generation of it, are not wanted any more; a sealed frame is, though.
  void drop_writes(uint16_t lease, uint64_t generation);
  // Of all writes that were queued, how many have been sent or dropped: the first so many.
  uint64_t written() const { return written_.load(std::memory_order_acquire); }
  // What the sealed frame writes, and the ticket for it.
  const Writing& write() const { return writes_[first_write_ % kMostWrites].what; }

  // The frame that is next: made by seal(), of at most that many bytes unless a single row has more, and the
  // same until it is sent().
  bool sealed() const { return sealed_ != nullptr; }
  // The sealed frame is all that is queued of writes.
  bool ends_writes() const;
  // What seal() would make: bulk can wait, and rows go past what has no room.
  bool next_is_write() const { return sealed_ == nullptr && !has_rows() && notes_.empty() && has_writes(); }
  bool next_is_of_lease() const {
    return sealed_ == nullptr && !has_rows() && (has_writes() || !notes_.empty());
  }
  void seal(size_t most_bytes = SIZE_MAX);
  const wire::Frame& frame() const { return *sealed_; }
  const Outgoing& rows() const { return at(0).rows; }
  // Calls f(data, bytes) for each piece of the sealed frame's body, in order, until it returns false.
  template <class F>
  void for_each_piece(F&& f) const;
  void sent();

 private:
  struct Entry {
    Outgoing rows{};
    // Of the rows that the destination takes, by index: those that are not sent yet, the frame's included.
    // Worked out when they are queued, as is what the frame says of the round: with first == end the slot may
    // be another round's.
    uint32_t first = 0, end = 0;
    wire::Frame frame{};
  };
  struct WriteEntry {
    Writing what{};
    uint64_t sent = 0;  // bytes
  };
  static constexpr size_t kMostWrites = 256;

  bool has_rows() const { return size_ > 0 && at(0).frame.kind == wire::FrameKind::rows; }
  bool has_writes() const { return first_write_ < end_write_; }
  void seal_rows(size_t most_bytes);
  void seal_write(size_t most_bytes);
  void pass_finished_writes();

  const Entry& at(size_t i) const { return entries_[(head_ + i) % entries_.size()]; }
  Entry& at(size_t i) { return entries_[(head_ + i) % entries_.size()]; }
  Entry& push();

  uint32_t epoch_;
  std::vector<Entry> entries_;
  size_t head_ = 0, size_ = 0;
  std::deque<wire::LeaseFrame> notes_;
  std::vector<WriteEntry> writes_;  // made with the first; a ring, whose places are numbered without end
  uint64_t first_write_ = 0, end_write_ = 0;
  std::atomic<uint64_t> written_{0};
  std::vector<uint64_t> revoked_;  // by lease: the generations that are over
  wire::Frame lease_frame_;        // what is sealed, if it is not a frame of rows or a goodbye
  const wire::Frame* sealed_ = nullptr;
};

// Calls f(data, bytes, at) for each piece of a sealed frame's body, in order; `at` is the place in a mirror
// of the publication where it belongs. Ends early when f returns false.
template <class F>
void for_each_piece(const wire::Frame& frame, const Outgoing& rows, F&& f) {
  const auto& layout = *rows.layout;
  const uint32_t slot = layout.slot_of(frame.generation);
  const bool routed = (frame.flags & wire::kRoutedFrame) != 0;
  const uint32_t* list = routed ? layout.list_of(rows.base, slot, frame.destination).rows : nullptr;
  if (frame.flags & wire::kBegin) {
    const size_t list_at = layout.list(slot, frame.destination) + offsetof(wire::RowList, rows);
    if (routed &&
        !f(reinterpret_cast<const std::byte*>(list), size_t{frame.taken} * sizeof(uint32_t), list_at))
      return;
    if (frame.meta_bytes > 0 && !f(rows.base + layout.meta(slot), frame.meta_bytes, layout.meta(slot)))
      return;
  }
  wire::for_each_column(frame, layout, [&](uint32_t c, uint32_t first, uint32_t count) {
    const size_t at = layout.column(slot, c);
    const size_t row_bytes = layout.shape().column_bytes[c];
    const uint32_t end = first + count;
    for (uint32_t i = first; i < end;) {
      uint32_t run = routed ? i + 1 : end;
      while (run < end && list[run] == list[run - 1] + 1) ++run;
      const uint32_t row = routed ? list[i] : i;
      if (!f(rows.base + at + row * row_bytes, (run - i) * row_bytes, at + i * row_bytes)) return false;
      i = run;
    }
    return true;
  });
}

template <class F>
void Outbox::for_each_piece(F&& f) const {
  if (sealed_->kind == wire::FrameKind::rows)
    weft::for_each_piece(*sealed_, rows(),
                         [&](const std::byte* data, size_t bytes, size_t) { return f(data, bytes); });
  else if (sealed_->kind == wire::FrameKind::write)
    f(write().from + writes_[first_write_ % kMostWrites].sent, size_t{sealed_->body_bytes});
}

}  // namespace weft
