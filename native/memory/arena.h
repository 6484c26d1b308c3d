// A process's registered memory: one memfd that it alone writes and that peers map read-only.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "core/cpu.h"
#include "core/status.h"
#include "memory/fd.h"
#include "memory/mapping.h"

namespace weft {

constexpr uint64_t kArenaMagic = 0x414E455241465754;  // "TWFARENA" little-endian
constexpr uint32_t kArenaVersion = 1;
constexpr size_t kArenaHeaderBytes = 4096;

// docs/protocol.md "Arena". Written once by the owner before the arena is handed to anybody, except `parked`.
struct ArenaHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t member;
  uint64_t epoch;
  uint64_t bytes;
  std::byte pad0[kNoSharing - 32];
  // A bit for each of the owner's threads that sleeps (Bay). SYNC POINT doorbell: see memory/doorbell.h.
  alignas(kNoSharing) std::atomic<uint32_t> parked;
};
static_assert(offsetof(ArenaHeader, parked) == 128);
static_assert(sizeof(ArenaHeader) <= kArenaHeaderBytes);

// Behind the arena, in the same file, lies a lane for each member: what the owner tells it besides the rows.
// Pages of it that nobody uses are none.
constexpr size_t kLaneBytes = 20 * 1024;
constexpr size_t kLanes = 1024;

// Bytes of an arena.
struct ArenaRange {
  size_t from = 0, bytes = 0;
};

class Arena {
 public:
  // `hot`: what is used in every round, ascending.
  static Expected<std::unique_ptr<Arena>> create(size_t bytes, uint32_t member, uint64_t epoch,
                                                 std::span<const ArenaRange> hot = {});

  ArenaHeader& header() const { return *reinterpret_cast<ArenaHeader*>(mapping_->data()); }
  const std::shared_ptr<Mapping>& mapping() const { return mapping_; }
  std::byte* data() const { return mapping_->data(); }
  size_t size() const { return mapping_->size(); }
  // To the member of that number, which is below kLanes.
  std::byte* lane(uint32_t member) const { return lanes_->data() + member * kLaneBytes; }
  // Where its lane lies in the file of an arena of that size.
  static size_t lane_at(size_t arena_bytes, uint32_t member) { return arena_bytes + member * kLaneBytes; }
  // A read-only descriptor of the file, for peers.
  int shared_fd() const { return read_only_.get(); }
  // No more peers will come. The memory stays for as long as anybody holds the mapping.
  void close() { read_only_.reset(); }

 private:
  std::shared_ptr<Mapping> mapping_, lanes_;
  Fd read_only_;
};

}  // namespace weft
