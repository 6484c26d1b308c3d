#include "transport/verbs/receiver.h"

#include <algorithm>
#include <cstring>

namespace weft::verbs {

size_t place_windows(std::vector<Inbound>& inbound) {
  size_t bytes = 4096;
  for (Inbound& in : inbound) {
    in.offset = bytes;
    bytes += in.layout->bytes() + align_up(Records(*in.layout).bytes(), 4096);
  }
  return bytes;
}

Receiver::Receiver(uint32_t epoch, std::vector<Inbound> inbound, std::shared_ptr<Mapping> memory,
                   size_t rails)
    : mirrors_(epoch, std::move(inbound), std::move(memory)), rails_(rails), body_(mirrors_.most_pieces()) {
  for (size_t i = 0; i < mirrors_.count(); ++i)
    rounds_.emplace_back(mirrors_.inbound(i).layout->shape().depth);
}

std::span<std::byte> Receiver::window(size_t i) const {
  const auto& layout = *mirrors_.inbound(i).layout;
  return {mirrors_.mirror(i) + layout.bodies(), layout.bytes() - layout.bodies() + Records(layout).bytes()};
}

const std::byte* Receiver::record(size_t inbound, uint32_t slot, uint32_t final_rows) const {
  const auto& layout = *mirrors_.inbound(inbound).layout;
  return mirrors_.mirror(inbound) + layout.bytes() + Records(layout).at(slot, final_rows);
}

Arrived Receiver::arrived(size_t rail, uint32_t bits) {
  const Immediate immediate = decode(bits);
  switch (immediate.tells) {
    case Tells::rows:
    case Tells::share_of_rows:
      return rows(rail, immediate);
    case Tells::goodbye:
      goodbyes_ |= 1u << rail;
      return goodbyes_ + 1 == 1u << rails_ ? Arrived::goodbye : Arrived::part;
    case Tells::notes:
      break;  // of which the link takes care
  }
  return Arrived::nonsense;
}

Arrived Receiver::rows(size_t rail, const Immediate& immediate) {
  uint32_t slot = immediate.slot;
  size_t inbound = 0;
  for (; inbound < rounds_.size() && slot >= rounds_[inbound].size(); ++inbound)
    slot -= static_cast<uint32_t>(rounds_[inbound].size());
  if (inbound == rounds_.size()) return Arrived::nonsense;
  if (immediate.final_rows > mirrors_.inbound(inbound).layout->shape().max_rows) return Arrived::nonsense;
  Round& round = rounds_[inbound][slot];
  const bool shared = immediate.tells == Tells::share_of_rows;
  const auto told = static_cast<int32_t>(immediate.final_rows);
  if ((!shared && rail != 0) || told <= round.told[rail]) return Arrived::nonsense;
  round.told[rail] = told;
  // Rows are there when every rail that has a share of them has told of them.
  const auto end = round.told.begin() + static_cast<ptrdiff_t>(rails_);
  const int32_t final_rows = shared ? *std::min_element(round.told.begin(), end) : told;
  if (final_rows < 0) return Arrived::part;

  const auto mark = static_cast<uint32_t>(final_rows);
  if (!round.begun) {
    if (begin(inbound, slot, mark, shared, round.begun) != Code::ok) return Arrived::nonsense;
    if (!round.begun) return Arrived::part;
  }
  const auto& layout = *mirrors_.inbound(inbound).layout;
  const wire::SlotHead& head = layout.head_of(mirrors_.mirror(inbound), slot);
  const auto visible = [&] { return wire::final_rows_of(head.state.load(std::memory_order_relaxed)); };
  if (mark > visible() && go_on(inbound, slot, mark) != Code::ok) return Arrived::nonsense;
  if (visible() == head.rows) round = Round{};
  return Arrived::rows;
}

// The frame in the record is the peer's, who may write there at any time: what is checked is a copy.
Code Receiver::take_record(size_t inbound, uint32_t slot, uint32_t final_rows, wire::Frame& frame) {
  std::memcpy(&frame, record(inbound, slot, final_rows), sizeof frame);
  size_t of = 0;
  if (const Code code = mirrors_.accept(frame, of); code != Code::ok) return code;
  const auto& layout = *mirrors_.inbound(inbound).layout;
  const bool right =
      frame.kind == wire::FrameKind::rows && of == inbound && layout.slot_of(frame.generation) == slot;
  return right ? Code::ok : Code::protocol;
}

Code Receiver::apply_record(const wire::Frame& frame, size_t inbound, uint32_t slot) {
  const Records records(*mirrors_.inbound(inbound).layout);
  const std::byte* from = record(inbound, slot, frame.final_rows) + sizeof frame;
  const size_t ridden = records.body_bytes(frame);
  mirrors_.body_of(frame, inbound, body_);
  body_.step(frame.body_bytes - ridden);  // came by itself
  body_.put(from, ridden);
  return mirrors_.apply(frame, inbound);
}

// `begun` stays false while the first frame has not come over every rail.
Code Receiver::begin(size_t inbound, uint32_t slot, uint32_t final_rows, bool shared, bool& begun) {
  wire::Frame frame;
  if (const Code code = take_record(inbound, slot, final_rows, frame); code != Code::ok) return code;
  if ((frame.flags & wire::kBegin) == 0) return Code::protocol;
  if (shared && frame.final_rows > final_rows) return Code::ok;
  if (!shared && frame.final_rows != final_rows) return Code::protocol;
  begun = true;
  return apply_record(frame, inbound, slot);
}

Code Receiver::go_on(size_t inbound, uint32_t slot, uint32_t final_rows) {
  wire::Frame frame;
  if (mirrors_.inbound(inbound).layout->rows_in_heads()) {
    if (const Code code = take_record(inbound, slot, final_rows, frame); code != Code::ok) return code;
    if (frame.final_rows != final_rows || (frame.flags & wire::kBegin) != 0) return Code::protocol;
    return apply_record(frame, inbound, slot);
  }
  if (!mirrors_.next_frame(inbound, slot, final_rows, frame)) return Code::protocol;
  return mirrors_.apply(frame, inbound);
}

}  // namespace weft::verbs
