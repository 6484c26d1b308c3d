// Page push in shared memory: each end of a link has a lane in its own memory, where it puts frames that say
// which bytes of its arena belong where, and how far it has come with the peer's. The receiver copies, so
// what comes late is not copied at all. docs/protocol.md "Lanes".
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "core/cpu.h"
#include "memory/arena.h"
#include "transport/leases.h"
#include "transport/outbox.h"

namespace weft {

// SYNC POINT lane: the owner puts frames and stores `put` (release); the peer loads it (acquire) and reads
// them, and the bytes they name. It stores how many it is done with into `taken` of its own lane (release);
// the owner loads that (acquire) before it puts others in their place, or calls their writes written. SYNC
// POINT withdraw: the owner stores `withdrawn`, fences, and may then use the memory of all its writes for
// something else; the peer copies, fences, loads `withdrawn`, and counts what it copied only if that is not
// set.
struct Lane {
  static constexpr uint64_t kFrames = 256;
  alignas(kNoSharing) std::atomic<uint64_t> put;
  alignas(kNoSharing) std::atomic<uint64_t> taken;
  alignas(kNoSharing) std::atomic<uint32_t> withdrawn;
  alignas(kNoSharing) wire::Frame frames[kFrames];
};
static_assert(sizeof(Lane) <= kLaneBytes);

// The owner's half of its lane.
class LaneSender {
 public:
  LaneSender(uint32_t epoch, std::span<const std::byte> arena, Lane& ours, const Lane& theirs)
      : outbox_(epoch, {}), arena_(arena), ours_(ours), theirs_(theirs) {}

  Outbox& outbox() { return outbox_; }
  // Puts what there is room for; true: something.
  bool flush();
  // Nothing that the peer has not taken yet counts any more.
  void withdraw();
  bool pending() const { return pending_.load(std::memory_order_relaxed); }
  // The peer has taken all writes.
  bool idle() const { return theirs_.taken.load(std::memory_order_acquire) >= last_write_ && !pending(); }
  // Not while flush() runs.
  uint64_t written() const;
  const Sent& counts() const { return counts_; }

 private:
  // One less than there are places: written_at_ of what was taken last is read.
  static constexpr uint64_t kMostUnderWay = Lane::kFrames - 1;

  Outbox outbox_;
  std::span<const std::byte> arena_;
  Lane& ours_;
  const Lane& theirs_;
  uint64_t put_ = 0;
  uint64_t last_write_ = 0;                           // so many frames with it
  std::array<uint64_t, Lane::kFrames> written_at_{};  // by frame: writes done with when it is taken
  std::atomic<bool> pending_{false};
  Sent counts_;
};

// The reader's half of the peer's lane.
class LaneReceiver {
 public:
  LaneReceiver(uint32_t epoch, std::span<const std::byte> theirs, Lane& ours, const Lane& lane,
               Leases& leases)
      : epoch_(epoch), their_arena_(theirs), ours_(ours), lane_(lane), leases_(leases) {}

  // Takes a turn's worth of frames; true: some. `protocol`: one is not in order; `peer_lost`: the rest was
  // withdrawn.
  Expected<bool> take();
  std::vector<wire::LeaseFrame> take_revokes() { return std::exchange(revokes_, {}); }
  uint64_t arrivals() const { return arrivals_.read(); }

 private:
  Code apply(const wire::Frame& frame);

  uint32_t epoch_;
  std::span<const std::byte> their_arena_;
  Lane& ours_;
  const Lane& lane_;
  Leases& leases_;
  uint64_t taken_ = 0;
  bool withdrawn_ = false;
  std::vector<wire::LeaseFrame> revokes_;
  Counter arrivals_;
};

}  // namespace weft
