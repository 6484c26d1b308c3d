// The queue of what waits to be sent: its order, and what becomes of writes whose lease ends.
#include "transport/outbox.h"

#include <gtest/gtest.h>

#include <array>

namespace weft::test {
namespace {

using wire::FrameKind;

class OutboxOfLeases : public testing::Test {
 protected:
  uint64_t enqueue(uint16_t lease, uint64_t bytes, uint64_t generation = 1) {
    Writing write;
    write.ticket.lease = lease;
    write.ticket.generation = generation;
    write.from = memory.data();
    write.bytes = bytes;
    uint64_t number = 0;
    EXPECT_EQ(outbox.enqueue(write, number), Code::ok);
    return number;
  }
  void note(FrameKind kind, uint16_t lease, uint64_t generation = 1) {
    wire::LeaseFrame frame;
    frame.kind = kind;
    frame.lease = lease;
    frame.generation = generation;
    outbox.enqueue(frame);
  }
  wire::LeaseFrame next(size_t most = SIZE_MAX) {
    outbox.seal(most);
    const auto frame = as_lease_frame(outbox.frame());
    outbox.sent();
    return frame;
  }
  std::array<std::byte, 1000> memory{};
  Outbox outbox{5, {}};
};

TEST_F(OutboxOfLeases, LongWritesAreCutAndDoneWithWhenAllOfThemIsSent) {
  const uint64_t number = enqueue(3, 1000);
  for (const uint64_t at : {0u, 400u, 800u}) {
    EXPECT_LT(outbox.written(), number);
    const wire::LeaseFrame frame = next(400);
    EXPECT_EQ(frame.at, at);
    EXPECT_EQ(frame.body_bytes, at == 800 ? 200u : 400u);
    EXPECT_EQ(frame.epoch, 5u);
  }
  EXPECT_EQ(outbox.written(), number);
  EXPECT_TRUE(outbox.empty());
}

TEST_F(OutboxOfLeases, AWriteThatIsDroppedIsNeverSentWhateverIsSealed) {
  for (const bool sealed : {false, true}) {
    const uint64_t generation = outbox.written() + 1;
    if (sealed) {
      note(FrameKind::revoked, 7);
      outbox.seal();
    }
    enqueue(1, 100, generation);
    const uint64_t last = enqueue(2, 50, generation);
    outbox.drop_writes(1, generation);
    if (sealed) outbox.sent();
    EXPECT_EQ(outbox.written(), last - 1);
    const wire::LeaseFrame frame = next();
    EXPECT_EQ(frame.lease, 2);
    EXPECT_EQ(frame.body_bytes, 50u);
    EXPECT_EQ(outbox.written(), last);
    EXPECT_TRUE(outbox.empty());
  }
}

TEST_F(OutboxOfLeases, WhatIsSealedIsSentAndTheRestOfItIsNot) {
  const uint64_t number = enqueue(1, 1000);
  outbox.seal(300);
  outbox.drop_writes(1, 1);
  EXPECT_LT(outbox.written(), number);
  EXPECT_EQ(outbox.frame().body_bytes, 300u);
  outbox.sent();
  EXPECT_EQ(outbox.written(), number);
  EXPECT_TRUE(outbox.empty());
}

TEST_F(OutboxOfLeases, WritesIntoALeaseThatIsOverAreRefusedAndIntoTheNextAreNot) {
  outbox.drop_writes(1, 4);
  Writing write;
  write.ticket.lease = 1;
  write.bytes = 1;
  uint64_t number = 0;
  write.ticket.generation = 4;
  EXPECT_EQ(outbox.enqueue(write, number), Code::state);
  write.ticket.generation = 5;
  EXPECT_EQ(outbox.enqueue(write, number), Code::ok);
  write.ticket.lease = 0;
  EXPECT_EQ(outbox.enqueue(write, number), Code::ok);
}

TEST_F(OutboxOfLeases, NotesGoFirstAndThereIsOneOfAKindForALease) {
  enqueue(1, 10);
  for (uint64_t generation = 1; generation <= 10'000; ++generation) note(FrameKind::revoked, 9, generation);
  note(FrameKind::revoke, 9, 2);
  const wire::LeaseFrame first = next(), second = next(), third = next();
  EXPECT_EQ(first.kind, FrameKind::revoked);
  EXPECT_EQ(first.generation, 10'000u);
  EXPECT_EQ(second.kind, FrameKind::revoke);
  EXPECT_EQ(third.kind, FrameKind::write);
  EXPECT_TRUE(outbox.empty());
}

TEST_F(OutboxOfLeases, TheQueueHasAnEnd) {
  Writing write;
  write.bytes = 1;
  write.from = memory.data();
  write.ticket.generation = 1;
  uint64_t number = 0, queued = 0;
  while (outbox.enqueue(write, number) == Code::ok) ASSERT_LT(++queued, 10'000u);
  EXPECT_EQ(outbox.enqueue(write, number), Code::again);
  next();
  EXPECT_EQ(outbox.enqueue(write, number), Code::ok);
}

}  // namespace
}  // namespace weft::test
