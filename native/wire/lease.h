// Page push on the wire: the ticket that lets a peer write into memory that is leased to it, and the frame of
// such a write. docs/protocol.md "Leases".
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/status.h"
#include "wire/frame.h"

namespace weft::wire {

constexpr uint32_t kTicketMagic = 0x4B545754;  // "TWTK"
constexpr uint8_t kTicketVersion = 1;
constexpr size_t kMaxTicketKeys = 4;
// Of one frame; longer writes are several.
constexpr uint32_t kMaxWriteBytes = 1 << 20;
constexpr uint16_t kMaxCounters = 4096;

// What the holder of a lease gives to the peer that is to write, by whatever way they talk.
struct Ticket {
  uint32_t magic = kTicketMagic;
  uint8_t version = kTicketVersion;
  uint8_t reserved = 0;
  uint16_t lease = 0;       // its number on the link
  uint64_t generation = 0;  // of all leases that had the number, no two have the same
  uint64_t bytes = 0;
  // For peers whose devices write by themselves: the address of the first byte, and the key on each rail.
  uint64_t address = 0;
  uint32_t keys[kMaxTicketKeys] = {};
  uint32_t epoch = 0;  // low 32 bits
  uint32_t from = 0;   // the member whose memory it is
  uint32_t to = 0;     // the member that may write
  uint16_t counters = 0;
  uint16_t reserved1 = 0;
  uint32_t reserved2 = 0;
  uint32_t crc = 0;  // CRC-32C of the bytes before it
};
static_assert(sizeof(Ticket) == 72 && std::is_trivially_copyable_v<Ticket>);
static_assert(offsetof(Ticket, keys) == 32 && offsetof(Ticket, epoch) == 48 && offsetof(Ticket, crc) == 68);

void seal(Ticket& ticket);
// Magic, version, checksum, and that it is for `to` from `from` in this epoch.
Code validate(const Ticket& ticket, uint32_t epoch, uint32_t from, uint32_t to);

// A frame of the kinds write, revoke and revoked. Its body, of a write, belongs at `at` of the lease.
struct LeaseFrame {
  uint32_t magic = kFrameMagic;
  uint8_t version = kFrameVersion;
  FrameKind kind = FrameKind::write;
  uint16_t flags = 0;
  uint64_t generation = 0;  // of the lease
  uint32_t epoch = 0;       // low 32 bits
  uint16_t lease = 0;
  uint16_t counter = 0;  // of the lease: counts the bytes
  uint64_t at = 0;
  uint64_t source = 0;  // shared memory: where the body lies in the writer's arena
  uint32_t reserved[3] = {};
  uint32_t body_bytes = 0;
  uint32_t reserved1 = 0;
  uint32_t crc = 0;  // CRC-32C of the bytes before it
};
static_assert(sizeof(LeaseFrame) == sizeof(Frame) && std::is_trivially_copyable_v<LeaseFrame>);
static_assert(offsetof(LeaseFrame, generation) == offsetof(Frame, generation) &&
              offsetof(LeaseFrame, epoch) == offsetof(Frame, epoch) &&
              offsetof(LeaseFrame, body_bytes) == offsetof(Frame, body_bytes) &&
              offsetof(LeaseFrame, crc) == offsetof(Frame, crc));

inline bool of_lease(const Frame& frame) {
  return frame.kind == FrameKind::write || frame.kind == FrameKind::revoke ||
         frame.kind == FrameKind::revoked;
}
// What people count as messages.
inline bool brings_data(const Frame& frame) {
  return frame.kind == FrameKind::rows || frame.kind == FrameKind::write;
}
inline LeaseFrame as_lease_frame(const Frame& frame) { return std::bit_cast<LeaseFrame>(frame); }
inline Frame as_frame(const LeaseFrame& frame) { return std::bit_cast<Frame>(frame); }

}  // namespace weft::wire
