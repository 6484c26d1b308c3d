// The sending half of a ucx link: frames as active messages, straight from the publisher's slots.
#pragma once

#include "transport/ucx/engine.h"

#if WEFT_HAVE_UCX

#include <array>

#include "transport/outbox.h"
#include "transport/ucx/message.h"

namespace weft {

class UcxSender {
 public:
  UcxSender(UcxEngine& engine, uint32_t epoch, std::span<const Inbound> inbound);
  UcxSender(const UcxSender&) = delete;

  void address(uint64_t their_link) { their_link_ = their_link; }
  // Long messages are cut to so many bytes, which UCX sends without asking the receiver first.
  void cut_to(size_t bytes) { most_bytes_ = bytes; }
  bool enqueue(const Outgoing& rows) { return outbox_.enqueue(rows); }
  Outbox& outbox() { return outbox_; }
  // Hands UCX as much as may be under way at once.
  void pump(ucp_ep_h peer);
  // Something waits to be handed over, or UCX is still at it.
  bool busy() const { return busy_.load(std::memory_order_relaxed); }
  size_t under_way() const { return under_way_; }
  uint64_t written() const { return written_.load(std::memory_order_acquire); }
  // UCX_OK, or why nothing more can be sent.
  ucs_status_t failure() const { return failure_; }
  void stop() { outbox_.clear(); }
  // A frame is a message, an active message a request.
  const Sent& counts() const { return counts_; }

 private:
  // Consecutive bytes of a frame's body in the publisher's memory.
  struct Run {
    const std::byte* data;
    size_t bytes;
  };
  static constexpr size_t kPlaces = 16;
  static constexpr size_t kMostRuns = 64;
  static constexpr size_t kPackedBytes = 2048;
  // A message that UCX has not finished: what it reads stays here.
  struct Place {
    UcxSender* sender;
    bool taken = false;
    uint64_t written = 0;  // by the outbox, before this message
    UcxMessage message;
    std::array<ucp_dt_iov_t, kMostRuns> runs;
    std::array<std::byte, kPackedBytes> packed;
  };

  Place* free_place();
  void open_frame();
  bool send_next(ucp_ep_h peer, Place& place);
  void note_written();
  static void done(void* request, ucs_status_t status, void* place);

  UcxEngine& engine_;
  Outbox outbox_;
  uint64_t their_link_ = 0;
  size_t most_bytes_ = SIZE_MAX;
  uint64_t sequence_ = 0;
  std::vector<Run> runs_;  // of the frame at hand, and how many of them have been sent
  size_t sent_ = 0;
  bool opened_ = false;                                 // the frame's first message is out
  std::array<std::unique_ptr<Place>, kPlaces> places_;  // made when so many are wanted
  size_t under_way_ = 0;
  std::atomic<uint64_t> written_{0};
  ucs_status_t failure_ = UCS_OK;
  std::atomic<bool> busy_{false};
  Sent counts_;
};

}  // namespace weft

#endif  // WEFT_HAVE_UCX
