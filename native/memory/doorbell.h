// The doorbell: how a writer wakes a reader that sleeps, and costs nothing while it doesn't.
//
// SYNC POINT doorbell
//   reader: parked |= bay (seq_cst); fence; look at the condition again; sleep in poll(2) on the bay's
//   eventfd writer: store the condition (release); fence (seq_cst); load parked; write the eventfd of each
//   bay that is set
// One of the two loads comes after the other side's store in the single order of the fences, so either the
// reader sees the condition or the writer sees the reader parked. A late ring is harmless: readers look
// again.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "core/status.h"
#include "memory/fd.h"

namespace weft {

// A process sleeps in at most two places: its caller's thread and its service thread. Each has an eventfd of
// its own, so that one can't swallow the other's ring.
enum class Bay : uint32_t { caller = 0, service = 1 };
constexpr size_t kBays = 2;
// In `parked`, set by a service thread that sleeps for what comes in lanes alone: rows do not concern it.
constexpr uint32_t kLanesBit = 1u << kBays;

class Doorbell {
 public:
  Doorbell() = default;
  Doorbell(const std::atomic<uint32_t>* parked, std::array<Fd, kBays> bells)
      : parked_(parked), bells_(std::move(bells)) {}

  // Call after the release store that made the condition true.
  void ring() const {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (const uint32_t mask = parked_->load(std::memory_order_relaxed); mask != 0) wake(mask);
  }
  // After something was put into a lane.
  void ring_for_lane() const {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    uint32_t mask = parked_->load(std::memory_order_relaxed);
    if (mask & kLanesBit) mask |= 1u << static_cast<uint32_t>(Bay::service);
    if (mask != 0) wake(mask);
  }
  void wake(uint32_t mask) const;
  void close() { bells_ = {}; }
  int fd(Bay bay) const { return bells_[static_cast<size_t>(bay)].get(); }

  static Expected<std::array<Fd, kBays>> create();

 private:
  const std::atomic<uint32_t>* parked_ = nullptr;
  std::array<Fd, kBays> bells_;
};

}  // namespace weft
