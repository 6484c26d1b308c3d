#include "transport/outbox.h"

namespace weft {

Outbox::Outbox(uint32_t epoch, std::span<const Inbound> inbound) : epoch_(epoch) {
  size_t rounds = 0;
  for (const Inbound& in : inbound)
    rounds += in.layout->shape().depth;  // depth is the same in both directions
  entries_.resize(2 * rounds + 2);
}

Outbox::Entry& Outbox::push() {
  Entry& entry = at(size_++);
  entry = Entry{};
  entry.frame.epoch = epoch_;
  return entry;
}

bool Outbox::enqueue(const Outgoing& rows) {
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

void Outbox::enqueue_goodbye() { push().frame.kind = wire::FrameKind::goodbye; }

void Outbox::seal(size_t most_bytes) {
  Entry& entry = at(0);
  wire::Frame& frame = entry.frame;
  if (frame.kind == wire::FrameKind::rows) {
    const Outgoing& rows = entry.rows;
    const auto& layout = *rows.layout;
    const auto most = std::max<size_t>(1, most_bytes / layout.row_bytes());
    frame.first = entry.first;
    frame.count = static_cast<uint32_t>(std::min<size_t>(entry.end - entry.first, most));
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
  sealed_ = true;
}

void Outbox::sent() {
  Entry& entry = at(0);
  sealed_ = false;
  if (entry.frame.kind == wire::FrameKind::rows && entry.frame.final_rows < entry.rows.to) {
    entry.first += entry.frame.count;
    entry.frame.flags &= static_cast<uint16_t>(~wire::kBegin);
    return;
  }
  head_ = (head_ + 1) % entries_.size();
  --size_;
}

}  // namespace weft
