// A lane by hand: room, order, what a hostile owner may put there, and what is withdrawn.
#include "transport/shm/lane.h"

#include <gtest/gtest.h>

#include "support/random.h"

namespace weft::test {
namespace {

constexpr uint32_t kEpoch = 7;

class Lanes : public testing::Test {
 protected:
  // Lanes are all zeros at first.
  struct Memory {
    Lane out{}, back{};
  };
  Code write(uint64_t at, size_t source, size_t bytes, uint64_t& number, uint64_t generation = 1) {
    Writing writing;
    writing.ticket.generation = generation;
    writing.at = at;
    writing.from = arena.data() + source;
    writing.bytes = bytes;
    return sender.outbox().enqueue(writing, number);
  }
  Code take_all() {
    for (;;) {
      const auto taken = receiver.take();
      if (!taken) return taken.error().code;
      if (!*taken) return Code::ok;
    }
  }
  // Puts a frame as somebody would who does not keep to the rules.
  void forge(wire::LeaseFrame frame) {
    frame.epoch = kEpoch;
    wire::Frame& place = memory->out.frames[memory->out.put % Lane::kFrames];
    place = as_frame(frame);
    seal(place);
    memory->out.put.fetch_add(1);
  }

  std::unique_ptr<Memory> memory = std::make_unique<Memory>();
  std::vector<std::byte> arena = std::vector<std::byte>(2'000'000);
  std::vector<std::byte> target = std::vector<std::byte>(2'000'000);
  Leases leases;
  uint16_t lease = leases.open(target, 1)->lease;
  LaneSender sender{kEpoch, arena, memory->out, memory->back};
  LaneReceiver receiver{kEpoch, arena, memory->back, memory->out, leases};
};

TEST_F(Lanes, WritesAreCopiedInOrderAndDoneWithWhenTheyAre) {
  const Seed seed;
  Random random(seed.value);
  random.fill(arena);
  uint64_t last = 0;
  uint64_t bytes = 0;
  for (int i = 0; i < 2000; ++i) {
    const size_t size = random.chance(5) ? random.between(1, 900'000) : random.between(1, 3000);
    const size_t source = random.below(static_cast<uint32_t>(arena.size() - size));
    const size_t at = random.below(static_cast<uint32_t>(target.size() - size));
    while (write(at, source, size, last) == Code::again) {
      sender.flush();
      ASSERT_EQ(take_all(), Code::ok);
    }
    bytes += size;
    if (random.chance(30)) sender.flush();
    while (last - sender.written() > 0 && random.chance(50)) {
      sender.flush();
      ASSERT_EQ(take_all(), Code::ok);
    }
    if (sender.written() == last) {
      ASSERT_TRUE(std::equal(arena.begin() + static_cast<ptrdiff_t>(source),
                             arena.begin() + static_cast<ptrdiff_t>(source + size),
                             target.begin() + static_cast<ptrdiff_t>(at)));
      EXPECT_EQ((*leases.counters(lease))[0].load(), bytes);
    }
  }
}

TEST_F(Lanes, WhatIsNotTakenIsNotDoneWithAndHoldsUpTheRest) {
  uint64_t last = 0;
  for (int i = 0; i < 256; ++i) ASSERT_EQ(write(0, 0, 10, last), Code::ok);
  sender.flush();
  EXPECT_TRUE(sender.pending());
  EXPECT_EQ(memory->out.put, 255u);
  EXPECT_EQ(sender.written(), 0u);
  EXPECT_FALSE(sender.idle());
  ASSERT_EQ(take_all(), Code::ok);
  EXPECT_EQ(sender.written(), 255u);
  EXPECT_TRUE(sender.flush());
  ASSERT_EQ(take_all(), Code::ok);
  EXPECT_EQ(sender.written(), last);
  EXPECT_TRUE(sender.idle());
}

TEST_F(Lanes, WhatIsDroppedIsDoneWith) {
  uint64_t last = 0;
  for (int i = 0; i < 100; ++i) ASSERT_EQ(write(0, 0, 10, last, 1), Code::ok);
  sender.outbox().drop_writes(0, 1);
  sender.flush();
  EXPECT_EQ(memory->out.put, 0u);
  EXPECT_EQ(sender.written(), last);
  EXPECT_EQ(write(0, 0, 10, last, 1), Code::state);
  EXPECT_EQ(write(0, 0, 10, last, 2), Code::ok);
}

TEST_F(Lanes, WhatIsWithdrawnIsNotCounted) {
  uint64_t last = 0;
  ASSERT_EQ(write(0, 0, 10, last), Code::ok);
  sender.flush();
  sender.withdraw();
  EXPECT_EQ(take_all(), Code::peer_lost);
  EXPECT_EQ((*leases.counters(lease))[0].load(), 0u);
}

TEST_F(Lanes, NonsenseIsRefused) {
  wire::LeaseFrame honest;
  honest.generation = 1;
  honest.body_bytes = 100;
  const auto refused = [&](const auto& change) {
    wire::LeaseFrame frame = honest;
    change(frame);
    memory = std::make_unique<Memory>();
    LaneReceiver fresh{kEpoch, arena, memory->back, memory->out, leases};
    forge(frame);
    const auto taken = fresh.take();
    return !taken && taken.error().code == Code::protocol;
  };
  EXPECT_FALSE(refused([](wire::LeaseFrame&) {}));
  EXPECT_TRUE(refused([](wire::LeaseFrame& f) { f.source = 2'000'000; }));
  EXPECT_TRUE(refused([](wire::LeaseFrame& f) { f.source = 2'000'000 - 99; }));
  EXPECT_TRUE(refused([](wire::LeaseFrame& f) { f.source = UINT64_MAX; }));
  EXPECT_TRUE(refused([](wire::LeaseFrame& f) { f.at = 2'000'000; }));
  EXPECT_TRUE(refused([](wire::LeaseFrame& f) { f.lease = 1; }));
  EXPECT_TRUE(refused([](wire::LeaseFrame& f) { f.lease = UINT16_MAX; }));
  EXPECT_TRUE(refused([](wire::LeaseFrame& f) { f.counter = 1; }));
  EXPECT_TRUE(refused([](wire::LeaseFrame& f) { f.generation = 2; }));
  EXPECT_TRUE(refused([](wire::LeaseFrame& f) { f.body_bytes = 0; }));
  EXPECT_TRUE(refused([](wire::LeaseFrame& f) { f.kind = wire::FrameKind::revoked, f.body_bytes = 0; }));
  EXPECT_TRUE(refused([](wire::LeaseFrame& f) { f.kind = wire::FrameKind::goodbye, f.body_bytes = 0; }));
  EXPECT_TRUE(refused([](wire::LeaseFrame& f) { f.kind = wire::FrameKind::rows; }));
}

TEST_F(Lanes, ACursorThatLeapsIsRefusedAndOneThatGoesBackIsNotBelieved) {
  memory->out.put = Lane::kFrames + 1;
  EXPECT_EQ(take_all(), Code::protocol);
  memory->back.taken = 17;
  EXPECT_EQ(sender.written(), 0u);
}

}  // namespace
}  // namespace weft::test
