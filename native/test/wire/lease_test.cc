// The gates of page push: frames of leases, and tickets.
#include "wire/lease.h"

#include <gtest/gtest.h>

#include <cstring>

#include "wire/crc32c.h"

namespace weft::test {
namespace {

using wire::FrameKind;
using wire::LeaseFrame;

constexpr uint32_t kTicketEpoch = 0xAABBCCDD;

Code gate(LeaseFrame frame) {
  wire::Frame sealed = as_frame(frame);
  seal(sealed);
  return validate(sealed, {kTicketEpoch, 0, 0, nullptr});
}

LeaseFrame a_write() {
  LeaseFrame write;
  write.epoch = kTicketEpoch;
  write.generation = 7;
  write.lease = 3;
  write.counter = 2;
  write.at = 0x0102030405060708;
  write.source = 0x1112131415161718;
  write.body_bytes = 77;
  return write;
}

TEST(LeaseFrames, HaveTheirFieldsWhereTheProtocolSays) {
  const LeaseFrame write = a_write();
  uint8_t b[64];
  std::memcpy(b, &write, 64);
  EXPECT_EQ(std::memcmp(b, "TWFR", 4), 0);
  EXPECT_EQ(b[5], 3);      // kind
  EXPECT_EQ(b[8], 7);      // generation
  EXPECT_EQ(b[16], 0xDD);  // epoch
  EXPECT_EQ(b[20], 3);     // lease
  EXPECT_EQ(b[22], 2);     // counter
  EXPECT_EQ(b[24], 8);     // at
  EXPECT_EQ(b[32], 0x18);  // source
  EXPECT_EQ(b[52], 77);    // body bytes
}

TEST(LeaseFrames, PassWhenTheyAreRight) {
  EXPECT_EQ(gate(a_write()), Code::ok);
  for (const FrameKind kind : {FrameKind::revoke, FrameKind::revoked}) {
    LeaseFrame note = a_write();
    note.kind = kind;
    note.body_bytes = 0;
    EXPECT_EQ(gate(note), Code::ok);
  }
}

TEST(LeaseFrames, AreRefusedWhenAFieldIsWrong) {
  const auto after = [](const auto& change) {
    LeaseFrame frame = a_write();
    change(frame);
    return gate(frame);
  };
  EXPECT_EQ(after([](LeaseFrame& f) { f.epoch ^= 1; }), Code::protocol);
  EXPECT_EQ(after([](LeaseFrame& f) { f.generation = 0; }), Code::protocol);
  EXPECT_EQ(after([](LeaseFrame& f) { f.body_bytes = 0; }), Code::protocol);
  EXPECT_EQ(after([](LeaseFrame& f) { f.body_bytes = wire::kMaxWriteBytes; }), Code::ok);
  EXPECT_EQ(after([](LeaseFrame& f) { f.body_bytes = wire::kMaxWriteBytes + 1; }), Code::protocol);
  EXPECT_EQ(after([](LeaseFrame& f) { f.kind = FrameKind::revoke; }), Code::protocol) << "with a body";
  wire::Frame damaged = as_frame(a_write());
  seal(damaged);
  damaged.crc ^= 1;
  EXPECT_EQ(validate(damaged, {kTicketEpoch, 0, 0, nullptr}), Code::protocol);
}

TEST(Tickets, AreForOnePeerOfOneEpochAndUndamaged) {
  wire::Ticket ticket;
  ticket.generation = 1;
  ticket.bytes = 4096;
  ticket.counters = 2;
  ticket.epoch = kTicketEpoch;
  ticket.from = 5;
  ticket.to = 9;
  seal(ticket);
  EXPECT_EQ(validate(ticket, kTicketEpoch, 5, 9), Code::ok);
  EXPECT_EQ(validate(ticket, kTicketEpoch + 1, 5, 9), Code::protocol);
  EXPECT_EQ(validate(ticket, kTicketEpoch, 9, 5), Code::protocol);
  EXPECT_EQ(validate(ticket, kTicketEpoch, 5, 8), Code::protocol);
  for (size_t bit = 0; bit < sizeof ticket * 8; ++bit) {
    wire::Ticket damaged = ticket;
    reinterpret_cast<uint8_t*>(&damaged)[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_EQ(validate(damaged, kTicketEpoch, 5, 9), Code::protocol) << "bit " << bit;
  }
  const auto after = [&](const auto& change) {
    wire::Ticket other = ticket;
    change(other);
    seal(other);
    return validate(other, kTicketEpoch, 5, 9);
  };
  EXPECT_EQ(after([](wire::Ticket& t) { t.generation = 0; }), Code::protocol);
  EXPECT_EQ(after([](wire::Ticket& t) { t.bytes = 0; }), Code::protocol);
  EXPECT_EQ(after([](wire::Ticket& t) { t.counters = 0; }), Code::protocol);
  EXPECT_EQ(after([](wire::Ticket& t) { t.counters = wire::kMaxCounters + 1; }), Code::protocol);
  EXPECT_EQ(after([](wire::Ticket& t) { t.address = UINT64_MAX - 4094; }), Code::protocol) << "wraps around";
}

}  // namespace
}  // namespace weft::test
