// What waits to be sent to a peer: a bounded queue of row ranges, which goes out as frames, and the pieces of
// the publisher's slot that a frame's body consists of.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "transport/link.h"
#include "wire/frame.h"

namespace weft {

class Outbox {
 public:
  Outbox(uint32_t epoch, std::span<const Inbound> inbound);

  // Ranges of one round are merged: there is one entry for each that has something to send. Rounds in flight
  // are at most depth, and a round may wait for which the peer has replied already (its last frames had no
  // rows for it), so an honest peer never fills the queue. False: it is full.
  bool enqueue(const Outgoing& rows);
  void enqueue_goodbye();
  bool empty() const { return size_ == 0; }
  void clear() { size_ = 0; }

  // The frame at the head of the queue: made by seal(), of at most that many bytes unless a single row has
  // more, and the same until it is sent().
  bool sealed() const { return sealed_; }
  void seal(size_t most_bytes = SIZE_MAX);
  const wire::Frame& frame() const { return at(0).frame; }
  const Outgoing& rows() const { return at(0).rows; }
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

  const Entry& at(size_t i) const { return entries_[(head_ + i) % entries_.size()]; }
  Entry& at(size_t i) { return entries_[(head_ + i) % entries_.size()]; }
  Entry& push();

  uint32_t epoch_;
  std::vector<Entry> entries_;
  size_t head_ = 0, size_ = 0;
  bool sealed_ = false;
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
  const auto& column_bytes = layout.shape().column_bytes;
  const uint32_t end = frame.first + frame.count;
  for (uint32_t c = 0; c < column_bytes.size(); ++c) {
    const size_t at = layout.column(slot, c);
    const size_t row_bytes = column_bytes[c];
    for (uint32_t i = frame.first; i < end;) {
      uint32_t run = routed ? i + 1 : end;
      while (run < end && list[run] == list[run - 1] + 1) ++run;
      const uint32_t row = routed ? list[i] : i;
      if (!f(rows.base + at + row * row_bytes, (run - i) * row_bytes, at + i * row_bytes)) return;
      i = run;
    }
  }
}

}  // namespace weft
