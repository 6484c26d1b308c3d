#include "wire/frame.h"

#include "wire/crc32c.h"
#include "wire/lease.h"

namespace weft::wire {

void seal(Frame& frame) { frame.crc = crc32c(&frame, offsetof(Frame, crc)); }

uint64_t row_bytes_of(const Frame& frame, const PublicationLayout& layout) {
  const uint64_t first = frame.flags & kBegin ? uint64_t{frame.taken} * layout.leading_bytes() : 0;
  return first + uint64_t{frame.count} * (layout.row_bytes() - layout.leading_bytes());
}

uint64_t body_bytes_of(const Frame& frame, const PublicationLayout& layout) {
  uint64_t bytes = row_bytes_of(frame, layout);
  if (frame.flags & kBegin) {
    bytes += frame.meta_bytes;
    if (frame.flags & kRoutedFrame) bytes += uint64_t{frame.taken} * sizeof(uint32_t);
  }
  return bytes;
}

Code validate(const Frame& frame, const FrameExpectation& expected) {
  if (frame.magic != kFrameMagic || frame.version != kFrameVersion) return Code::protocol;
  if (frame.crc != crc32c(&frame, offsetof(Frame, crc))) return Code::protocol;
  if (frame.epoch != expected.epoch) return Code::protocol;
  if (frame.kind == FrameKind::goodbye) return frame.body_bytes == 0 ? Code::ok : Code::protocol;
  if (of_lease(frame)) {
    const bool body = frame.kind == FrameKind::write
                          ? frame.body_bytes > 0 && frame.body_bytes <= kMaxWriteBytes
                          : frame.body_bytes == 0;
    return body && frame.generation > 0 ? Code::ok : Code::protocol;
  }
  if (frame.kind != FrameKind::rows) return Code::protocol;
  if (frame.publication != expected.publication || frame.destination != expected.destination)
    return Code::protocol;

  const PublicationShape& shape = expected.layout->shape();
  const bool routed = (frame.flags & kRoutedFrame) != 0;
  if ((frame.flags & ~(kBegin | kRoutedFrame)) != 0 || (routed && !shape.lists)) return Code::protocol;
  if (frame.generation == 0 || frame.generation > kMaxGeneration) return Code::protocol;
  if (frame.rows > shape.max_rows || frame.taken > frame.rows || frame.final_rows > frame.rows)
    return Code::protocol;
  if (!routed && frame.taken != frame.rows) return Code::protocol;
  if (frame.first > frame.taken || frame.count > frame.taken - frame.first) return Code::protocol;
  // Rows that a frame carries are final; a complete round has carried all that is taken.
  if (!routed && frame.first + frame.count != frame.final_rows) return Code::protocol;
  if (frame.final_rows == frame.rows && frame.first + frame.count != frame.taken) return Code::protocol;
  if (frame.meta_bytes > shape.meta_capacity) return Code::protocol;
  if (frame.body_bytes != body_bytes_of(frame, *expected.layout)) return Code::protocol;
  return Code::ok;
}

Code validate_list(const uint32_t* list, uint32_t count, uint32_t rows) {
  for (uint32_t i = 0; i < count; ++i) {
    if (list[i] >= rows || (i > 0 && list[i] <= list[i - 1])) return Code::protocol;
  }
  return Code::ok;
}

}  // namespace weft::wire
