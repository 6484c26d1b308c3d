// The sending half of a tcp link by itself: what its frames say, whatever happens between being queued and
// being sent.
#include "transport/tcp/sender.h"

#include <gtest/gtest.h>

#include <numeric>

#include "support/stream.h"

namespace weft::test {
namespace {

// A publication in plain memory, and a sender for destination 2 of it.
class SenderTest : public testing::Test {
 protected:
  void SetUp() override { use(stream_shape()); }
  void use(const wire::PublicationShape& shape, int buffer = 0) {
    layout.emplace(shape);
    memory.emplace(layout->bytes());
    sockets.emplace(buffer);
    sender.emplace(kStreamEpoch, std::vector<Inbound>{{0, 0, 0, &*layout}});
  }
  wire::SlotHead& head(uint64_t g) { return layout->head_of(memory->data(), layout->slot_of(g)); }
  wire::RowList& list(uint64_t g) { return layout->list_of(memory->data(), layout->slot_of(g), 2); }

  void begin(uint64_t g, uint32_t rows, const std::vector<uint32_t>& taken, bool routed) {
    head(g).rows = rows;
    head(g).tag = static_cast<uint32_t>(g * 10);
    head(g).flags = routed ? wire::kRouted : 0;
    list(g).count = static_cast<uint32_t>(taken.size());
    std::copy(taken.begin(), taken.end(), list(g).rows);
    published = 0;
  }
  void advance(uint64_t g, uint32_t to, bool first) {
    head(g).state = wire::state_word(g, to);
    EXPECT_TRUE(sender->enqueue({&*layout, memory->data(), 5, 2, g, first ? 0 : published, to, first}));
    published = to;
  }
  // The frames that the peer gets, by their headers; the gate has passed them all.
  std::vector<wire::Frame> frames() {
    std::vector<std::byte> bytes;
    for (bool more = true; more;) {
      more = sender->flush(sockets->near.get());
      const auto some = sockets->drain();
      more |= !some.empty();
      bytes.insert(bytes.end(), some.begin(), some.end());
    }
    std::vector<wire::Frame> all;
    for (size_t at = 0; at + sizeof(wire::Frame) <= bytes.size();) {
      std::memcpy(&all.emplace_back(), bytes.data() + at, sizeof(wire::Frame));
      EXPECT_EQ(validate(all.back(), {kStreamEpoch, 5, 2, &*layout}), Code::ok) << "frame " << all.size();
      at += sizeof(wire::Frame) + all.back().body_bytes;
    }
    return all;
  }

  std::optional<wire::PublicationLayout> layout;
  std::optional<Pages> memory;
  std::optional<SocketPair> sockets;
  std::optional<TcpSender> sender;
  uint32_t published = 0;
};

TEST_F(SenderTest, RangesThatWaitBehindEachOtherBecomeOneFrame) {
  begin(1, 8, {}, false);
  advance(1, 2, true);
  advance(1, 5, false);
  advance(1, 8, false);
  const auto sent = frames();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, wire::kBegin);
  EXPECT_EQ(sent[0].count, 8u);
  EXPECT_EQ(sent[0].final_rows, 8u);
  EXPECT_FALSE(sender->pending());
}

TEST_F(SenderTest, RangesOfDifferentRoundsStayApart) {
  begin(1, 8, {}, false);
  advance(1, 3, true);
  begin(2, 4, {}, false);
  advance(2, 4, true);
  published = 3;
  advance(1, 8, false);
  const auto sent = frames();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].generation, 1u);
  EXPECT_EQ(sent[0].count, 8u);
  EXPECT_EQ(sent[1].generation, 2u);
}

TEST_F(SenderTest, ALongRangeTravelsAsFramesThatEachMoveTheWatermark) {
  use({3, 1000, 4, true, 16, {4000}});
  begin(1, 1000, {}, false);
  advance(1, 1000, true);
  const auto sent = frames();
  ASSERT_GT(sent.size(), 1u);
  uint32_t rows = 0;
  for (size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(sent[i].first, rows);
    rows += sent[i].count;
    EXPECT_EQ(sent[i].final_rows, rows);
    EXPECT_EQ(sent[i].flags, i == 0 ? wire::kBegin : 0);
    EXPECT_EQ(sent[i].tag, 10u);
  }
  EXPECT_EQ(rows, 1000u);
}

TEST_F(SenderTest, ARoutedRangeIsCutByTheRowsThatAreTaken) {
  use({3, 1000, 4, true, 16, {4000}});
  std::vector<uint32_t> taken(500);
  for (uint32_t i = 0; i < 500; ++i) taken[i] = 2 * i + 1;
  begin(1, 1000, taken, true);
  advance(1, 1000, true);
  const auto sent = frames();
  ASSERT_GT(sent.size(), 1u);
  ASSERT_LT(sent.size(), 12u) << "2 MB in frames of a quarter each";
  uint32_t rows = 0;
  for (const wire::Frame& frame : sent) {
    EXPECT_EQ(frame.first, rows);
    rows += frame.count;
    EXPECT_EQ(frame.final_rows, rows < 500 ? taken[rows] : 1000u)
        << "exactly what is taken below it has come";
  }
  EXPECT_EQ(rows, 500u);
}

TEST_F(SenderTest, OneWhoTakesNothingGetsOneFrame) {
  use({3, 1000, 4, true, 16, {4000}});
  begin(1, 1000, {}, true);
  advance(1, 1000, true);
  const auto sent = frames();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].body_bytes, 0u);
  EXPECT_EQ(sent[0].final_rows, 1000u);
}

// A destination that has its last row may reply before the rest of the round is published, and with all
// replies there the slot is used again: what still waits to be sent of the old round must not be made from
// the new one.
TEST_F(SenderTest, WhatWaitsStaysWhatItWasWhenTheSlotIsUsedAgain) {
  begin(1, 8, {0, 1}, true);
  advance(1, 4, true);
  frames();
  advance(1, 8, false);  // nothing in it that destination 2 takes
  EXPECT_FALSE(sender->outbox().empty());
  begin(4, 3, {0, 1, 2}, true);  // depth 3: the same slot
  advance(4, 3, true);
  const auto sent = frames();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].generation, 1u);
  EXPECT_EQ(sent[0].rows, 8u);
  EXPECT_EQ(sent[0].taken, 2u);
  EXPECT_EQ(sent[0].count, 0u);
  EXPECT_EQ(sent[0].final_rows, 8u);
  EXPECT_EQ(sent[0].tag, 10u);
  EXPECT_EQ(sent[1].generation, 4u);
  EXPECT_EQ(sent[1].count, 3u);
}

TEST_F(SenderTest, APeerThatTakesNothingInFillsNoMoreThanTheQueue) {
  use({3, 8, 4, true, 16, {100'000}}, 4096);
  bool accepted = true;
  uint64_t g = 0;
  while (accepted && ++g < 100) {
    begin(g, 8, {}, false);
    accepted = sender->enqueue({&*layout, memory->data(), 5, 2, g, 0, 8, true});
    sender->flush(sockets->near.get());
  }
  // An honest peer can't be more than depth rounds behind.
  EXPECT_GE(g, 3u);
  EXPECT_LE(g, 9u);
}

TEST_F(SenderTest, AFrameGoesOutInPiecesOfAnySize) {
  use({3, 8, 4, true, 16, {100'000}}, 4096);
  begin(1, 8, {1, 3, 4, 7}, true);
  auto* column = memory->data() + layout->column(layout->slot_of(1), 0);
  for (size_t i = 0; i < 800'000; ++i) column[i] = static_cast<std::byte>(i / 1000);
  advance(1, 8, true);
  std::vector<std::byte> bytes;
  for (int i = 0; !sender->outbox().empty() && i < 10'000; ++i) {
    sender->flush(sockets->near.get());
    const auto some = sockets->drain();
    bytes.insert(bytes.end(), some.begin(), some.end());
  }
  const auto rest = sockets->drain();
  bytes.insert(bytes.end(), rest.begin(), rest.end());
  size_t at = 0;
  std::vector<std::byte> rows;
  for (bool first = true; at < bytes.size(); first = false) {
    wire::Frame frame;
    std::memcpy(&frame, bytes.data() + at, sizeof frame);
    at += sizeof frame + (first ? 4 * sizeof(uint32_t) : 0);
    rows.insert(rows.end(), bytes.begin() + static_cast<ptrdiff_t>(at),
                bytes.begin() + static_cast<ptrdiff_t>(at + frame.count * 100'000));
    at += frame.count * 100'000;
  }
  ASSERT_EQ(rows.size(), 400'000u);
  const uint32_t taken[] = {1, 3, 4, 7};
  for (size_t i = 0; i < 4; ++i)
    EXPECT_EQ(std::memcmp(rows.data() + i * 100'000, column + taken[i] * 100'000, 100'000), 0)
        << "row " << taken[i];
}

TEST_F(SenderTest, APeerThatIsGoneIsNoticedAndNothingIsKept) {
  sockets->far.reset();
  begin(1, 8, {}, false);
  advance(1, 8, true);
  sender->flush(sockets->near.get());
  EXPECT_TRUE(sender->failed());
  EXPECT_FALSE(sender->pending());
  begin(2, 8, {}, false);
  advance(2, 8, true);
  sender->flush(sockets->near.get());
  EXPECT_FALSE(sender->pending());
}

TEST_F(SenderTest, AGoodbyeComesLast) {
  begin(1, 8, {}, false);
  advance(1, 8, true);
  sender->outbox().enqueue_goodbye();
  const auto sent = frames();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[1].kind, wire::FrameKind::goodbye);
}

}  // namespace
}  // namespace weft::test
