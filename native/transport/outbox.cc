#include "transport/outbox.h"

#include <utility>

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

void Outbox::clear() {
  size_ = 0;
  sealed_ = nullptr;
  notes_.clear();
  first_write_ = end_write_;
}

Code Outbox::enqueue(const Writing& write, uint64_t& number) {
  const wire::Ticket& ticket = write.ticket;
  if (ticket.lease < revoked_.size() && ticket.generation <= revoked_[ticket.lease]) return Code::state;
  if (end_write_ - first_write_ == kMostWrites) return Code::again;
  if (writes_.empty()) writes_.resize(kMostWrites);
  writes_[end_write_++ % kMostWrites] = {write, 0};
  number = end_write_;
  return Code::ok;
}

void Outbox::enqueue(const wire::LeaseFrame& note) {
  // A later generation says it all, and a peer that takes nothing can't make the queue grow.
  auto place = std::find_if(notes_.begin(), notes_.end(), [&](const wire::LeaseFrame& queued) {
    return queued.kind == note.kind && queued.lease == note.lease;
  });
  if (place == notes_.end()) place = notes_.insert(place, note);
  *place = note;
  place->epoch = epoch_;
}

void Outbox::drop_writes(uint16_t lease, uint64_t generation) {
  if (lease >= Leases::kMost) return;
  if (revoked_.size() <= lease) revoked_.resize(lease + size_t{1});
  revoked_[lease] = std::max(revoked_[lease], generation);
  for (uint64_t i = first_write_; i < end_write_; ++i) {
    WriteEntry& write = writes_[i % kMostWrites];
    if (write.what.ticket.lease != lease || write.what.ticket.generation > generation) continue;
    const bool on_its_way =
        i == first_write_ && sealed_ == &lease_frame_ && sealed_->kind == wire::FrameKind::write;
    write.what.bytes = write.sent + (on_its_way ? sealed_->body_bytes : 0);
  }
  if (sealed_ != &lease_frame_) pass_finished_writes();
}

void Outbox::pass_finished_writes() {
  while (has_writes()) {
    const WriteEntry& write = writes_[first_write_ % kMostWrites];
    if (write.sent < write.what.bytes) break;
    ++first_write_;
  }
  written_.store(first_write_, std::memory_order_release);
}

bool Outbox::ends_writes() const {
  const WriteEntry& write = writes_[first_write_ % kMostWrites];
  return first_write_ + 1 == end_write_ && write.sent + sealed_->body_bytes >= write.what.bytes;
}

void Outbox::seal(size_t most_bytes) {
  if (has_rows()) {
    seal_rows(most_bytes);
    sealed_ = &at(0).frame;
  } else if (!notes_.empty()) {
    lease_frame_ = wire::as_frame(notes_.front());
    notes_.pop_front();
    wire::seal(lease_frame_);
    sealed_ = &lease_frame_;
  } else if (has_writes()) {
    seal_write(most_bytes);
    sealed_ = &lease_frame_;
  } else {
    wire::seal(at(0).frame);
    sealed_ = &at(0).frame;
  }
}

void Outbox::seal_write(size_t most_bytes) {
  const WriteEntry& write = writes_[first_write_ % kMostWrites];
  wire::LeaseFrame frame;
  frame.generation = write.what.ticket.generation;
  frame.epoch = epoch_;
  frame.lease = write.what.ticket.lease;
  frame.counter = write.what.counter;
  frame.at = write.what.at + write.sent;
  frame.body_bytes = static_cast<uint32_t>(
      std::min({write.what.bytes - write.sent, uint64_t{most_bytes}, uint64_t{wire::kMaxWriteBytes}}));
  lease_frame_ = wire::as_frame(frame);
  wire::seal(lease_frame_);
}

void Outbox::seal_rows(size_t most_bytes) {
  Entry& entry = at(0);
  wire::Frame& frame = entry.frame;
  const Outgoing& rows = entry.rows;
  const auto& layout = *rows.layout;
  // What leads comes on top of it: it can't be cut.
  const size_t row_bytes = std::max<size_t>(1, layout.row_bytes() - layout.leading_bytes());
  const auto most = std::max<size_t>(1, most_bytes / row_bytes);
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
  wire::seal(frame);
}

void Outbox::sent() {
  const wire::Frame& frame = *std::exchange(sealed_, nullptr);
  if (&frame == &lease_frame_) {
    if (frame.kind == wire::FrameKind::write) writes_[first_write_ % kMostWrites].sent += frame.body_bytes;
    return pass_finished_writes();  // some may have been dropped meanwhile
  }
  Entry& entry = at(0);
  if (entry.frame.kind == wire::FrameKind::rows && entry.frame.final_rows < entry.rows.to) {
    entry.first += entry.frame.count;
    entry.frame.flags &= static_cast<uint16_t>(~wire::kBegin);
    return;
  }
  head_ = (head_ + 1) % entries_.size();
  --size_;
}

}  // namespace weft
