// Where the frame that opens a round lands at the receiver, and what an immediate says. docs/protocol.md
// "Verbs".
//
// Behind each mirror lies a record for every slot. The first frame of a round is written there, and what
// follows it in the same write is its body, if that is small; a large one has been written to its place in
// the mirror before. Later frames of a round need none: their immediate says it all. Only rows that live in
// the heads of slots, where peers can't write, always come in a record, one for each watermark.
#pragma once

#include "wire/frame.h"
#include "wire/publication.h"

namespace weft::verbs {

class Records {
 public:
  explicit Records(const wire::PublicationLayout& layout)
      : layout_(&layout),
        per_slot_(layout.rows_in_heads() ? layout.shape().max_rows + 1 : 1),
        stride_(layout.rows_in_heads() ? 256 : 1024) {}

  size_t bytes() const { return size_t{layout_->shape().depth} * per_slot_ * stride_; }
  size_t at(uint32_t slot, uint32_t final_rows) const {
    return (size_t{slot} * per_slot_ + (per_slot_ > 1 ? final_rows : 0)) * stride_;
  }
  bool has_one(const wire::Frame& frame) const {
    return (frame.flags & wire::kBegin) != 0 || layout_->rows_in_heads();
  }
  // Bytes of the body that come in the record: all of it, or its rows, or nothing.
  size_t body_bytes(const wire::Frame& frame) const {
    if (frame.body_bytes <= stride_ - sizeof(wire::Frame)) return frame.body_bytes;
    return layout_->rows_in_heads() ? wire::row_bytes_of(frame, *layout_) : 0;
  }

 private:
  const wire::PublicationLayout* layout_;
  uint32_t per_slot_;
  size_t stride_;
};

// From the most significant bit: what it tells of (2), which slot (10), the watermark (20). The queue pair
// says who sent it.
enum class Tells : uint32_t { rows = 0, share_of_rows = 1, notes = 2, goodbye = 3 };

struct Immediate {
  Tells tells;
  uint32_t slot;  // number of the window * depth + slot
  uint32_t final_rows;
};
constexpr uint32_t kMaxSlots = 1024;

constexpr uint32_t encode(const Immediate& i) {
  return static_cast<uint32_t>(i.tells) << 30 | i.slot << wire::kRowBits | i.final_rows;
}
constexpr Immediate decode(uint32_t bits) {
  return {static_cast<Tells>(bits >> 30), bits >> wire::kRowBits & (kMaxSlots - 1), bits & wire::kMaxRows};
}

}  // namespace weft::verbs
