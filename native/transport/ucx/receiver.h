// The receiving half of a ucx link: puts messages in order, and frames together, in the mirrors.
#pragma once

#include "transport/ucx/engine.h"

#if WEFT_HAVE_UCX

#include <array>
#include <utility>

#include "transport/mirrors.h"
#include "transport/ucx/message.h"

namespace weft {

// A message as UCX delivers it.
struct UcxArrival {
  UcxMessage message;
  bool begins;          // a frame
  void* data;           // the payload, or UCX's handle for it (rendezvous)
  size_t bytes;         // of the payload
  uint64_t attributes;  // UCP_AM_RECV_ATTR_*
  bool rendezvous() const { return (attributes & UCP_AM_RECV_ATTR_FLAG_RNDV) != 0; }
};

class UcxReceiver {
 public:
  UcxReceiver(UcxEngine& engine, uint32_t epoch, std::vector<Inbound> inbound,
              std::shared_ptr<Mapping> memory, Leases& leases);
  ~UcxReceiver();
  UcxReceiver(const UcxReceiver&) = delete;

  // From UCX's callback; what it returns says whether UCX keeps the payload for us.
  ucs_status_t take(const UcxArrival& arrival);
  void release(size_t inbound, uint64_t generation) { mirrors_.release(inbound, generation); }
  // The lease is closed: what comes for it goes nowhere, but for what UCX is writing already.
  void forget(uint16_t lease);
  bool writes_into(uint16_t lease) const;
  // What the peer told us to write no more to since the last call.
  std::vector<wire::LeaseFrame> take_revokes() { return std::exchange(revokes_, {}); }
  // Lets go of messages that are held back; nothing more is applied.
  void stop();
  // When nothing is under way any more: the mirrors are plain memory from here on.
  void forget_memory();

  bool saw_goodbye() const { return saw_goodbye_; }
  bool saw_nonsense() const { return saw_nonsense_; }
  ucs_status_t failure() const { return failure_; }
  uint64_t arrivals() const { return arrivals_.read(); }
  // Payloads that UCX is writing into the mirrors.
  size_t under_way() const { return under_way_; }

  const std::byte* mirror(size_t i) const { return mirrors_.mirror(i); }
  const std::shared_ptr<Mapping>& memory() const { return mirrors_.memory(); }

 private:
  // Frames that are being put together, the oldest first. Those of rows are of different slots, and all
  // become visible in order.
  struct Open {
    UcxReceiver* receiver;
    wire::Frame frame;
    size_t inbound = 0;
    size_t to_come = 0;    // bytes of the body that no message has brought
    size_t under_way = 0;  // payloads of it
  };
  static constexpr size_t kMostOpen = 8;
  // A message that came early, or whose slot is not free yet.
  struct Held {
    bool taken = false;
    bool kept_by_ucx = false;
    UcxArrival arrival;
    std::vector<std::byte> copy;
  };

  bool is_of(const Open& open, uint16_t lease) const {
    return open.frame.kind == wire::FrameKind::write && as_lease_frame(open.frame).lease == lease;
  }
  Open& open(size_t i) { return open_[(first_open_ + i) % kMostOpen]; }
  bool must_wait(const UcxArrival& arrival);
  // Starts a message that is next in order; true when UCX goes on with its payload.
  bool start(const UcxArrival& arrival);
  bool begin(const wire::Frame& frame);
  ucs_status_ptr_t receive(const UcxArrival& arrival, Open& open);
  bool put(const UcxArrival& arrival);
  void apply();
  void start_held();
  ucs_status_t hold(const UcxArrival& arrival);
  Held& held(uint64_t sequence) { return held_[sequence % held_.size()]; }
  void nonsense();
  static void done(void* request, ucs_status_t status, size_t bytes, void* open);

  UcxEngine& engine_;
  Mirrors mirrors_;
  Leases& leases_;
  std::vector<wire::LeaseFrame> revokes_;
  std::vector<std::byte> nowhere_;
  ucp_mem_h memory_ = nullptr;
  uint64_t next_ = 0;  // sequence number
  std::vector<Held> held_;
  std::array<Open, kMostOpen> open_;
  size_t first_open_ = 0, open_count_ = 0;
  Body body_;  // of the last open frame: what no message has brought yet
  size_t under_way_ = 0;
  bool saw_goodbye_ = false, saw_nonsense_ = false, stopped_ = false;
  ucs_status_t failure_ = UCS_OK;
  Counter arrivals_;
};

}  // namespace weft

#endif  // WEFT_HAVE_UCX
