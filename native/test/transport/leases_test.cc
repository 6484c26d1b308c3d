// What a peer may do with a lease: the table by itself, and the receiving half of a tcp link, fed by hand.
#include "transport/leases.h"

#include <gtest/gtest.h>

#include "support/stream.h"

namespace weft::test {
namespace {

wire::LeaseFrame write(uint16_t lease, uint64_t generation, uint64_t at, uint32_t bytes,
                       uint16_t counter = 0) {
  wire::LeaseFrame frame;
  frame.epoch = kStreamEpoch;
  frame.generation = generation;
  frame.lease = lease;
  frame.counter = counter;
  frame.at = at;
  frame.body_bytes = bytes;
  return frame;
}

class LeaseTable : public testing::Test {
 protected:
  // Where it goes, from the start of the memory; -1: nowhere; -2: refused.
  ptrdiff_t place(const wire::LeaseFrame& frame) {
    std::byte* to = nullptr;
    if (leases.accept(frame, to) != Code::ok) return -2;
    return to == nullptr ? -1 : to - memory;
  }
  Leases leases;
  std::byte memory[100];
};

TEST_F(LeaseTable, WhatLiesInAnOpenLeaseIsPlacedAndCounted) {
  const uint16_t number = leases.open(memory, 2)->lease;
  EXPECT_EQ(place(write(number, 1, 0, 100)), 0);
  EXPECT_EQ(place(write(number, 1, 99, 1)), 99);
  leases.count(write(number, 1, 40, 60, 1));
  leases.count(write(number, 1, 0, 1, 1));
  EXPECT_EQ((*leases.counters(number))[0].load(), 0u);
  EXPECT_EQ((*leases.counters(number))[1].load(), 61u);
  EXPECT_EQ(leases.late(), 0u);
}

TEST_F(LeaseTable, WhatLiesOutsideIsRefused) {
  const uint16_t number = leases.open(memory, 2)->lease;
  EXPECT_EQ(place(write(number, 1, 0, 101)), -2);
  EXPECT_EQ(place(write(number, 1, 100, 1)), -2);
  EXPECT_EQ(place(write(number, 1, UINT64_MAX, 2)), -2);
  EXPECT_EQ(place(write(number, 1, 0, 1, 2)), -2);
  EXPECT_EQ(place(write(number, 2, 0, 1)), -2) << "a generation that is to come";
  EXPECT_EQ(place(write(number + 1, 1, 0, 1)), -2) << "a lease that was never given";
  EXPECT_EQ(place(write(UINT16_MAX, 1, 0, 1)), -2);
}

TEST_F(LeaseTable, WhatIsLateGoesNowhereAndIsCountedAsThat) {
  const uint16_t number = leases.open(memory, 1)->lease;
  leases.close(number);
  EXPECT_EQ(place(write(number, 1, 0, 100)), -1);
  EXPECT_EQ(place(write(number, 1, 0, 1000)), -1) << "whatever it is";
  leases.count(write(number, 1, 0, 10));
  leases.forget(number);
  EXPECT_EQ(place(write(number, 1, 0, 100)), -1);
  EXPECT_EQ(leases.open(memory, 1)->lease, number);
  EXPECT_EQ(place(write(number, 1, 0, 100)), -1);
  EXPECT_EQ(place(write(number, 2, 0, 100)), 0);
  leases.count(write(number, 1, 0, 5));
  EXPECT_EQ((*leases.counters(number))[0].load(), 0u);
  EXPECT_EQ(leases.late(), 15u);
}

TEST_F(LeaseTable, CountersStartAnewHoweverManyThereAre) {
  const uint16_t number = leases.open(memory, 9)->lease;
  leases.count(write(number, 1, 0, 3, 8));
  leases.close(number);
  leases.forget(number);
  ASSERT_EQ(leases.open(memory, 2)->lease, number);
  EXPECT_EQ(place(write(number, 2, 0, 1, 8)), -2) << "a counter of the lease before";
  leases.close(number);
  leases.forget(number);
  ASSERT_EQ(leases.open(memory, 9)->lease, number);
  EXPECT_EQ((*leases.counters(number))[8].load(), 0u);
}

class LeaseStream : public testing::Test {
 protected:
  std::vector<std::byte> bytes_of(wire::LeaseFrame frame, std::byte filling) {
    wire::Frame sealed = as_frame(frame);
    seal(sealed);
    std::vector<std::byte> bytes(sizeof sealed + frame.body_bytes, filling);
    std::memcpy(bytes.data(), &sealed, sizeof sealed);
    return bytes;
  }
  bool all(size_t begin, size_t end, std::byte value) {
    return std::all_of(memory.begin() + static_cast<ptrdiff_t>(begin),
                       memory.begin() + static_cast<ptrdiff_t>(end), [&](std::byte b) { return b == value; });
  }
  MirrorBench bench{stream_shape()};
  std::vector<std::byte> memory = std::vector<std::byte>(200'000, std::byte{1});
  uint16_t lease = bench.leases.open(std::span(memory).subspan(1000, 150'000), 1)->lease;
};

TEST_F(LeaseStream, AWriteIsPlacedWhateverItsPieces) {
  for (const size_t chunk : {size_t{1}, size_t{63}, size_t{70}, size_t{5000}, SIZE_MAX}) {
    std::ranges::fill(memory, std::byte{1});
    const uint64_t before = (*bench.leases.counters(lease))[0].load();
    const uint32_t bytes = chunk == 1 ? 300 : 149'000;
    EXPECT_EQ(bench.feed(bytes_of(write(lease, 1, 10, bytes), std::byte{7}), chunk), Received::round);
    EXPECT_EQ((*bench.leases.counters(lease))[0].load() - before, bytes);
    EXPECT_TRUE(all(0, 1010, std::byte{1}) && all(1010, 1010 + bytes, std::byte{7}) &&
                all(1010 + bytes, memory.size(), std::byte{1}));
  }
}

TEST_F(LeaseStream, OneThatReachesBeyondTheLeaseIsNonsense) {
  EXPECT_EQ(bench.feed(bytes_of(write(lease, 1, 149'000, 1001), std::byte{7})), Received::nonsense);
  EXPECT_TRUE(all(0, memory.size(), std::byte{1}));
}

TEST_F(LeaseStream, WhatIsOnItsWayWhenTheLeaseEndsGoesNowhereAndWhatFollowsIsTaken) {
  const auto late = bytes_of(write(lease, 1, 0, 120'000), std::byte{7});
  const auto half = late.begin() + 60'000;
  bench.feed({late.begin(), half});
  bench.leases.close(lease);
  bench.receiver.forget(lease);
  bench.leases.forget(lease);
  std::ranges::fill(memory, std::byte{2});
  ASSERT_EQ(bench.leases.open(std::span(memory).subspan(1000, 150'000), 1)->lease, lease);
  EXPECT_EQ(bench.feed({half, late.end()}), Received::round);
  EXPECT_TRUE(all(0, memory.size(), std::byte{2}));
  EXPECT_EQ((*bench.leases.counters(lease))[0].load(), 0u);
  EXPECT_EQ(bench.leases.late(), 120'000u);
  EXPECT_EQ(bench.feed(bytes_of(write(lease, 2, 5, 3), std::byte{9})), Received::round);
  EXPECT_EQ((*bench.leases.counters(lease))[0].load(), 3u);
  EXPECT_TRUE(all(0, 1005, std::byte{2}) && all(1005, 1008, std::byte{9}) &&
              all(1008, memory.size(), std::byte{2}));
}

TEST_F(LeaseStream, AnAnswerThatNobodyAskedForIsNonsense) {
  wire::LeaseFrame answer = write(lease, 1, 0, 0);
  answer.kind = wire::FrameKind::revoked;
  EXPECT_EQ(bench.feed(bytes_of(answer, {})), Received::nonsense);
}

TEST_F(LeaseStream, RevocationsAreHandedOn) {
  wire::LeaseFrame note = write(4, 11, 0, 0);
  note.kind = wire::FrameKind::revoke;
  EXPECT_EQ(bench.feed(bytes_of(note, {})), Received::bytes);
  const auto revokes = bench.receiver.take_revokes();
  ASSERT_EQ(revokes.size(), 1u);
  EXPECT_EQ(revokes[0].lease, 4);
  EXPECT_EQ(revokes[0].generation, 11u);
  EXPECT_TRUE(bench.receiver.take_revokes().empty());
}

}  // namespace
}  // namespace weft::test
