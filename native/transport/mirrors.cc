#include "transport/mirrors.h"

#include <algorithm>
#include <cstring>

namespace weft {

void Body::clear() {
  pieces_.clear();
  at_ = 0;
}

void Body::step(size_t bytes) {
  while (at_ < pieces_.size()) {
    Piece& piece = pieces_[at_];
    const size_t part = std::min(bytes, piece.bytes);
    if (piece.data != nullptr) piece.data += part;
    piece.bytes -= part;
    bytes -= part;
    if (piece.bytes > 0) return;
    ++at_;
  }
}

size_t Body::put(const std::byte* from, size_t bytes) {
  size_t done = 0;
  while (done < bytes && at_ < pieces_.size()) {
    const size_t part = std::min(bytes - done, pieces_[at_].bytes);
    if (pieces_[at_].data != nullptr) std::memcpy(pieces_[at_].data, from + done, part);
    done += part;
    step(part);
  }
  return done;
}

void Body::forget() {
  for (size_t i = at_; i < pieces_.size(); ++i) pieces_[i].data = nullptr;
}

size_t place_mirrors(std::vector<Inbound>& inbound) {
  size_t bytes = 4096;  // a stray write before the first one hits nothing
  for (Inbound& in : inbound) {
    in.offset = bytes;
    bytes += in.layout->bytes();
  }
  return bytes;
}

Mirrors::Mirrors(uint32_t epoch, std::vector<Inbound> inbound, std::shared_ptr<Mapping> memory)
    : epoch_(epoch), inbound_(std::move(inbound)), memory_(std::move(memory)) {
  for (const Inbound& in : inbound_) slots_.push_back(std::make_unique<Slot[]>(in.layout->shape().depth));
}

void Mirrors::release(size_t inbound, uint64_t generation) {
  slot(inbound, inbound_[inbound].layout->slot_of(generation))
      .released.store(generation, std::memory_order_release);
}

Code Mirrors::accept(const wire::Frame& frame, size_t& inbound) const {
  const auto match = std::find_if(inbound_.begin(), inbound_.end(), [&](const Inbound& in) {
    return in.publication == frame.publication && in.destination == frame.destination;
  });
  const bool known = match != inbound_.end();
  const Inbound& in = known ? *match : inbound_.front();
  if (const Code gate = validate(frame, {epoch_, in.publication, in.destination, in.layout});
      gate != Code::ok)
    return gate;
  if (frame.kind != wire::FrameKind::rows) return Code::ok;
  if (!known) return Code::protocol;
  inbound = static_cast<size_t>(match - inbound_.begin());
  const bool may = frame.flags & wire::kBegin ? may_begin(frame, inbound) : may_go_on(frame, inbound);
  return may ? Code::ok : Code::protocol;
}

// A new round may overwrite its slot only if the reader has released the round before.
bool Mirrors::may_begin(const wire::Frame& frame, size_t inbound) const {
  const auto& layout = *inbound_[inbound].layout;
  const uint32_t slot_number = layout.slot_of(frame.generation);
  const uint64_t state = layout.head_of(mirror(inbound), slot_number).state.load(std::memory_order_relaxed);
  const uint64_t depth = layout.shape().depth;
  const uint64_t released = slot(inbound, slot_number).released.load(std::memory_order_acquire);
  const bool free = frame.generation <= depth || released + depth >= frame.generation;
  return frame.generation > wire::generation_of(state) && free && frame.first == 0;
}

bool Mirrors::may_go_on(const wire::Frame& frame, size_t inbound) const {
  const Inbound& in = inbound_[inbound];
  const auto& layout = *in.layout;
  const uint32_t slot_number = layout.slot_of(frame.generation);
  const wire::SlotHead& head = layout.head_of(mirror(inbound), slot_number);
  const uint64_t state = head.state.load(std::memory_order_relaxed);
  const bool routed = (frame.flags & wire::kRoutedFrame) != 0;
  return frame.generation == wire::generation_of(state) && frame.first == slot(inbound, slot_number).taken &&
         frame.final_rows >= wire::final_rows_of(state) && frame.rows == head.rows &&
         routed == ((head.flags & wire::kRouted) != 0) &&
         (!routed || frame.taken == layout.list_of(mirror(inbound), slot_number, in.destination).count);
}

bool Mirrors::next_frame(size_t inbound, uint32_t slot_number, uint32_t final_rows,
                         wire::Frame& frame) const {
  const Inbound& in = inbound_[inbound];
  const wire::SlotHead& head = in.layout->head_of(mirror(inbound), slot_number);
  const uint64_t state = head.state.load(std::memory_order_relaxed);
  if (final_rows < wire::final_rows_of(state) || final_rows > head.rows) return false;
  frame = {};
  frame.generation = wire::generation_of(state);
  frame.publication = in.publication;
  frame.destination = in.destination;
  frame.rows = frame.taken = head.rows;
  frame.final_rows = final_rows;
  frame.first = slot(inbound, slot_number).taken;
  uint32_t come = final_rows;
  if (head.flags & wire::kRouted) {
    const wire::RowList& list = in.layout->list_of(mirror(inbound), slot_number, in.destination);
    frame.flags = wire::kRoutedFrame;
    frame.taken = std::min(list.count, head.rows);
    come =
        static_cast<uint32_t>(std::lower_bound(list.rows, list.rows + frame.taken, final_rows) - list.rows);
  }
  if (come < frame.first) return false;
  frame.count = come - frame.first;
  return true;
}

// Row list, metadata, and every column.
size_t Mirrors::most_pieces() const {
  size_t columns = 0;
  for (const Inbound& in : inbound_) columns = std::max(columns, in.layout->shape().column_bytes.size());
  return columns + 2;
}

void Mirrors::body_of(const wire::Frame& frame, size_t inbound, Body& body) {
  const Inbound& in = inbound_[inbound];
  const auto& layout = *in.layout;
  std::byte* base = mirror(inbound);
  const uint32_t slot_number = layout.slot_of(frame.generation);
  body.clear();
  if (frame.flags & wire::kBegin) {
    slot(inbound, slot_number).taken = 0;
    if (frame.flags & wire::kRoutedFrame) {
      wire::RowList& list = layout.list_of(base, slot_number, in.destination);
      body.add(reinterpret_cast<std::byte*>(list.rows), size_t{frame.taken} * sizeof(uint32_t));
    }
    body.add(base + layout.meta(slot_number), frame.meta_bytes);
  }
  wire::for_each_column(frame, layout, [&](uint32_t c, uint32_t first, uint32_t count) {
    const size_t row_bytes = layout.shape().column_bytes[c];
    body.add(base + layout.column(slot_number, c) + first * row_bytes, count * row_bytes);
    return true;
  });
  body.step(0);
}

Code Mirrors::apply(const wire::Frame& frame, size_t inbound) {
  const Inbound& in = inbound_[inbound];
  const auto& layout = *in.layout;
  std::byte* base = mirror(inbound);
  const uint32_t slot_number = layout.slot_of(frame.generation);
  wire::SlotHead& head = layout.head_of(base, slot_number);
  if (frame.flags & wire::kBegin) {
    head.rows = frame.rows;
    head.tag = frame.tag;
    head.meta_bytes = frame.meta_bytes;
    head.flags = frame.flags & wire::kRoutedFrame ? wire::kRouted : 0;
    if (frame.flags & wire::kRoutedFrame) {
      wire::RowList& list = layout.list_of(base, slot_number, in.destination);
      list.count = frame.taken;
      if (const Code gate = wire::validate_list(list.rows, list.count, frame.rows); gate != Code::ok)
        return gate;
    }
  }
  if (frame.flags & wire::kRoutedFrame) {
    // The watermark tells of exactly the rows that have come, or readers would read others.
    const wire::RowList& list = layout.list_of(base, slot_number, in.destination);
    const uint32_t come = frame.first + frame.count;
    if ((come < frame.taken && list.rows[come] < frame.final_rows) ||
        (come > 0 && list.rows[come - 1] >= frame.final_rows))
      return Code::protocol;
  }
  slot(inbound, slot_number).taken = frame.first + frame.count;
  // SYNC POINT publish, the writer's half, in the name of the peer.
  head.state.store(wire::state_word(frame.generation, frame.final_rows), std::memory_order_release);
  return Code::ok;
}

}  // namespace weft
