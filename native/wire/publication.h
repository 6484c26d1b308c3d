// The shared-memory layout of a publication: `depth` slots, each with a head that carries the state word, the
// user's metadata, one row list per destination, and one array per column. docs/protocol.md "Publication".
//
// The same layout is used for a mirror: the copy of a peer's publication that a transport without shared
// memory keeps up to date in the reader's own process. Readers can't tell the two apart, except that a mirror
// holds the taken rows packed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/cpu.h"

namespace weft::wire {

// The state word: generation << 20 | final rows. It only grows, so "generation g has at least r final rows"
// is the single comparison state >= state_word(g, r). Zero means that nothing was ever published in the slot.
constexpr unsigned kRowBits = 20;
constexpr uint32_t kMaxRows = (1u << kRowBits) - 1;
constexpr uint64_t kMaxGeneration = (uint64_t{1} << (64 - kRowBits)) - 1;

constexpr uint64_t state_word(uint64_t generation, uint32_t rows) { return generation << kRowBits | rows; }
constexpr uint64_t generation_of(uint64_t state) { return state >> kRowBits; }
constexpr uint32_t final_rows_of(uint64_t state) { return static_cast<uint32_t>(state & kMaxRows); }

enum SlotFlags : uint16_t { kRouted = 1 };  // destinations take the rows of their list, not all

// Rows so small that a whole slot of them fits here live in the head: they arrive with the state word, in one
// cache line transfer.
constexpr size_t kInlineBytes = 40;

// SYNC POINT publish
//   writer: fill the columns, metadata, lists and the fields below; store `state` (release)
//   reader: load `state` (acquire); then read the rest
// The writer touches a slot again only when every reader has released the generation in it.
struct SlotHead {
  std::atomic<uint64_t> state;
  uint32_t rows;  // of the round; final when the state word says so
  uint32_t tag;   // the user's
  uint16_t meta_bytes;
  uint16_t flags;  // SlotFlags
  uint32_t reserved0;
  std::byte inline_rows[kInlineBytes];
  std::byte reserved1[64];
};
static_assert(sizeof(SlotHead) == kNoSharing);
static_assert(offsetof(SlotHead, rows) == 8 && offsetof(SlotHead, tag) == 12 &&
              offsetof(SlotHead, meta_bytes) == 16);
static_assert(offsetof(SlotHead, flags) == 18 && offsetof(SlotHead, inline_rows) == 24);

// A destination's row list: how many rows it takes, then their numbers, ascending.
//
// SYNC POINT void: the writer of a round that has begun may take it back from one destination, whose rows it
// went on without. Writer: store `count` (release), then publish. Reader: after a load of `state` (acquire),
// load `count`: what was published since counts only if it is not kVoidList.
constexpr uint32_t kVoidList = UINT32_MAX;
struct RowList {
  uint32_t count;
  uint32_t reserved[15];
  uint32_t rows[];
};
static_assert(sizeof(RowList) == 64);

struct PublicationShape {
  uint32_t depth = 0;
  uint32_t max_rows = 0;
  uint32_t destinations = 0;
  bool lists = false;  // has row lists
  uint32_t meta_capacity = 0;
  std::vector<uint32_t> column_bytes;  // per row
  // Bit c: column c leads. All its rows are there when a round begins, also of one that becomes final block
  // by block.
  uint32_t leading = 0;
};

class PublicationLayout {
 public:
  PublicationLayout() = default;
  explicit PublicationLayout(PublicationShape shape);

  const PublicationShape& shape() const { return shape_; }
  size_t bytes() const { return bytes_; }
  // Whether rows live in the heads; otherwise all of them lie behind the heads, as lists and metadata do.
  bool rows_in_heads() const { return inline_; }
  size_t bodies() const { return bodies_at_; }
  size_t row_bytes() const { return row_bytes_; }
  bool leads(size_t column) const { return column < 32 && (shape_.leading >> column & 1) != 0; }
  // Of a row, in the columns that lead.
  size_t leading_bytes() const { return leading_bytes_; }
  // generation % depth; a division costs as much as the rest of a look at a slot, so powers of two do
  // without.
  uint32_t slot_of(uint64_t generation) const {
    return static_cast<uint32_t>(mask_ != 0 ? generation & mask_ : generation % shape_.depth);
  }

  // Offsets from the publication's start.
  size_t head(uint32_t slot) const { return size_t{slot} * kNoSharing; }
  size_t meta(uint32_t slot) const { return body(slot); }
  size_t list(uint32_t slot, uint32_t destination) const {
    return body(slot) + lists_at_ + size_t{destination} * list_stride_;
  }
  size_t column(uint32_t slot, uint32_t column) const {
    return inline_ ? head(slot) + offsetof(SlotHead, inline_rows) + columns_at_[column]
                   : body(slot) + columns_at_[column];
  }

  SlotHead& head_of(std::byte* base, uint32_t slot) const {
    return *reinterpret_cast<SlotHead*>(base + head(slot));
  }
  const SlotHead& head_of(const std::byte* base, uint32_t slot) const {
    return *reinterpret_cast<const SlotHead*>(base + head(slot));
  }
  RowList& list_of(std::byte* base, uint32_t slot, uint32_t destination) const {
    return *reinterpret_cast<RowList*>(base + list(slot, destination));
  }
  const RowList& list_of(const std::byte* base, uint32_t slot, uint32_t destination) const {
    return *reinterpret_cast<const RowList*>(base + list(slot, destination));
  }

 private:
  size_t body(uint32_t slot) const { return bodies_at_ + size_t{slot} * body_bytes_; }

  PublicationShape shape_;
  uint64_t mask_ = 0;  // depth - 1 for a power of two
  bool inline_ = false;
  size_t row_bytes_ = 0, leading_bytes_ = 0;
  size_t bodies_at_ = 0, body_bytes_ = 0, bytes_ = 0;
  size_t lists_at_ = 0, list_stride_ = 0;
  std::vector<size_t> columns_at_;
};

}  // namespace weft::wire
