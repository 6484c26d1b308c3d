// Copies of a peer's publications in the reader's process, for transports that don't share memory: the gate
// that every frame passes, where its body belongs, and how it becomes visible.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "memory/mapping.h"
#include "transport/link.h"
#include "wire/frame.h"

namespace weft {

// Where a frame's body goes: pieces of our memory, filled in the order in which its bytes come. A piece
// without memory takes bytes that nobody wants.
class Body {
 public:
  struct Piece {
    std::byte* data;
    size_t bytes;
  };
  explicit Body(size_t most_pieces) { pieces_.reserve(most_pieces); }

  void clear();
  void add(std::byte* data, size_t bytes) { pieces_.push_back({data, bytes}); }
  // What is not filled yet; of the first piece, the rest.
  std::span<const Piece> rest() const { return std::span(pieces_).subspan(at_); }
  // So many bytes have come into it, and empty pieces are passed over.
  void step(size_t bytes);
  // Copies bytes that have come elsewhere; as many as it has place for.
  size_t put(const std::byte* from, size_t bytes);
  // Nobody wants what is still to come.
  void forget();

 private:
  std::vector<Piece> pieces_;
  size_t at_ = 0;
};

class Mirrors {
 public:
  // `inbound[i].offset`: where the i-th mirror lies in `memory`.
  Mirrors(uint32_t epoch, std::vector<Inbound> inbound, std::shared_ptr<Mapping> memory);

  // Which publication a frame is for, if it is in order: whether it may come at all, and now. Then, for
  // frames of rows, apply() with that number once the body is there. Frames of leases are for Leases.
  Code accept(const wire::Frame& frame, size_t& inbound) const;
  // Where an accepted frame's body goes. A body has at most most_pieces().
  void body_of(const wire::Frame& frame, size_t inbound, Body& body);
  size_t most_pieces() const;
  // Makes the rows of an accepted frame visible.
  Code apply(const wire::Frame& frame, size_t inbound);
  // The frame that takes the round in a slot on to a watermark, for transports whose later frames have no
  // header of their own. As good as accepted; false: there is none.
  bool next_frame(size_t inbound, uint32_t slot, uint32_t final_rows, wire::Frame& frame) const;
  // From the reading side's thread: `generation` is no longer read.
  void release(size_t inbound, uint64_t generation);

  size_t count() const { return inbound_.size(); }
  const Inbound& inbound(size_t i) const { return inbound_[i]; }
  std::byte* mirror(size_t i) const { return memory_->data() + inbound_[i].offset; }
  const std::shared_ptr<Mapping>& memory() const { return memory_; }

 private:
  struct Slot {
    // SYNC POINT release: the reader stores (release) when it is done reading; accept() loads (acquire)
    // before the mirror's slot is overwritten.
    std::atomic<uint64_t> released{0};
    uint32_t taken = 0;  // of the generation in the slot, the rows received so far
  };
  Slot& slot(size_t inbound, uint32_t slot) const { return slots_[inbound][slot]; }
  bool may_begin(const wire::Frame& frame, size_t inbound) const;
  bool may_go_on(const wire::Frame& frame, size_t inbound) const;

  uint32_t epoch_;
  std::vector<Inbound> inbound_;
  std::vector<std::unique_ptr<Slot[]>> slots_;
  std::shared_ptr<Mapping> memory_;
};

// Gives each publication a place behind the other, and says how much memory they take.
size_t place_mirrors(std::vector<Inbound>& inbound);

}  // namespace weft
