// The receiving half of a tcp link: takes frames apart and applies them to the mirrors of the peer's
// publications.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "transport/transport.h"
#include "wire/frame.h"

struct iovec;

namespace weft {

enum class Received { nothing, bytes, round, goodbye, end, nonsense };

class TcpReceiver {
 public:
  TcpReceiver(uint32_t epoch, std::vector<Inbound> inbound, std::shared_ptr<Mapping> memory);

  // One system call's worth; applies every frame that is complete.
  Received receive(int socket);
  // From the reading side's thread: `generation` of this inbound publication is no longer read.
  void release(size_t inbound, uint64_t generation);

  const std::byte* mirror(size_t i) const { return memory_->data() + inbound_[i].offset; }
  const std::shared_ptr<Mapping>& memory() const { return memory_; }

 private:
  struct Slot {
    // SYNC POINT release: the reader stores (release) when it is done reading; accept() loads (acquire)
    // before the mirror's slot is overwritten.
    std::atomic<uint64_t> released{0};
    uint32_t taken = 0;  // of the generation in the slot, the rows received so far
  };
  struct Piece {
    std::byte* data;
    size_t bytes;
  };

  std::byte* mirror(size_t i) { return memory_->data() + inbound_[i].offset; }
  Slot& slot(size_t inbound, uint32_t slot) { return slots_[inbound][slot]; }
  Code accept();           // a whole header lies in frame_: the gate, and where its body goes
  Code apply();            // the body is complete: makes it visible
  bool take_staged();      // moves staged bytes to where they belong; false: nonsense
  void advance(size_t n);  // n bytes of the body have come

  uint32_t epoch_;
  std::vector<Inbound> inbound_;
  std::vector<std::unique_ptr<Slot[]>> slots_;
  std::shared_ptr<Mapping> memory_;

  wire::Frame frame_;
  bool in_body_ = false;
  size_t inbound_of_frame_ = 0;
  std::vector<Piece> body_;
  size_t body_at_ = 0;  // first piece that isn't complete
  std::vector<std::byte> staging_;
  size_t staged_from_ = 0, staged_to_ = 0;
  bool saw_round_ = false, saw_goodbye_ = false;
};

}  // namespace weft
