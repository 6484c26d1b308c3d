// The frame of transports without shared memory: a 64-byte header, then the body. docs/protocol.md "Frames".
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/status.h"
#include "wire/publication.h"

namespace weft::wire {

constexpr uint32_t kFrameMagic = 0x52465754;  // "TWFR"
constexpr uint8_t kFrameVersion = 1;

enum class FrameKind : uint8_t {
  rows = 1,     // rows of a round; the body is [list][metadata][leading columns][the other columns]
  goodbye = 2,  // the sender closes on purpose; nothing follows
  // Page push, wire/lease.h:
  write = 3,    // the body goes into memory that is leased to the sender
  revoke = 4,   // from the lease's holder: write no more
  revoked = 5,  // the answer, behind all that was written, where devices write by themselves
};

// A round's first frame carries what the slot head, the metadata and the destination's list say, and all rows
// of the columns that lead; later frames of a streamed round carry rows of the other columns only.
enum FrameFlags : uint16_t { kBegin = 1, kRoutedFrame = 2 };

struct Frame {
  uint32_t magic = kFrameMagic;
  uint8_t version = kFrameVersion;
  FrameKind kind = FrameKind::rows;
  uint16_t flags = 0;
  uint64_t generation = 0;
  uint32_t epoch = 0;  // low 32 bits
  uint16_t publication = 0;
  uint16_t destination = 0;
  uint32_t rows = 0;        // of the round at its source
  uint32_t taken = 0;       // of them, the rows this destination takes
  uint32_t first = 0;       // index among the taken rows of the first one in this frame
  uint32_t count = 0;       // rows in this frame
  uint32_t final_rows = 0;  // the state word's row watermark, in rows of the source
  uint32_t tag = 0;
  uint16_t meta_bytes = 0;
  uint16_t reserved = 0;
  uint32_t body_bytes = 0;
  uint32_t reserved1 = 0;
  uint32_t crc = 0;  // CRC-32C of the bytes before it
};
static_assert(sizeof(Frame) == 64 && std::is_trivially_copyable_v<Frame>);
static_assert(offsetof(Frame, generation) == 8 && offsetof(Frame, epoch) == 16 &&
              offsetof(Frame, rows) == 24);
static_assert(offsetof(Frame, meta_bytes) == 48 && offsetof(Frame, body_bytes) == 52 &&
              offsetof(Frame, crc) == 60);

void seal(Frame& frame);

// What the receiver knows of the stream a frame arrives on.
struct FrameExpectation {
  uint32_t epoch;
  uint16_t publication;
  uint16_t destination;
  const PublicationLayout* layout;
};

// The gate: nothing of a frame is acted upon before this says ok. Checks magic, version, checksum, epoch,
// that the stream is the right one, every bound against the agreed layout, and that body_bytes is what the
// fields imply.
Code validate(const Frame& frame, const FrameExpectation& expected);

// The body's size that a rows frame with these fields must have.
uint64_t body_bytes_of(const Frame& frame, const PublicationLayout& layout);

// Calls f(column, first, count) for the rows of columns that a frame carries, in the order of its body, until
// it returns false.
template <class F>
void for_each_column(const Frame& frame, const PublicationLayout& layout, F&& f) {
  const auto columns = static_cast<uint32_t>(layout.shape().column_bytes.size());
  if (frame.flags & kBegin)
    for (uint32_t c = 0; c < columns; ++c)
      if (layout.leads(c) && !f(c, 0u, frame.taken)) return;
  for (uint32_t c = 0; c < columns; ++c)
    if (!layout.leads(c) && !f(c, frame.first, frame.count)) return;
}
// Their bytes: what of the body is rows.
uint64_t row_bytes_of(const Frame& frame, const PublicationLayout& layout);

// The second gate, for row lists: ascending, below `rows`.
Code validate_list(const uint32_t* list, uint32_t count, uint32_t rows);

}  // namespace weft::wire
