// The receiving half of a verbs link by itself: the test writes into the windows as a device would, in any
// order between rails, and tells of it by immediates.
#include "transport/verbs/receiver.h"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>

#include "support/random.h"
#include "support/stream.h"

namespace weft::verbs {
namespace {

using test::kStreamEpoch;
using test::Pages;

constexpr uint16_t kPublication = 5, kDestination = 2;

class WindowBench {
 public:
  WindowBench(const wire::PublicationShape& shape, size_t rails) : layout(shape), records(layout) {
    std::vector<Inbound> inbound{{kPublication, kDestination, 0, &layout}};
    memory_.emplace(place_windows(inbound));
    receiver.emplace(kStreamEpoch, inbound, memory_->mapping(), rails);
  }

  wire::Frame frame(uint64_t generation, uint32_t rows, uint32_t first, uint32_t final_rows) const {
    wire::Frame frame;
    frame.epoch = kStreamEpoch;
    frame.generation = generation;
    frame.publication = kPublication;
    frame.destination = kDestination;
    frame.flags = first == 0 ? wire::kBegin : 0;
    frame.rows = frame.taken = rows;
    frame.first = first;
    frame.count = final_rows - first;
    frame.final_rows = final_rows;
    frame.body_bytes = static_cast<uint32_t>(wire::body_bytes_of(frame, layout));
    return frame;
  }
  // What a frame's record holds, bodies that ride in it included.
  void put_record(wire::Frame frame, const std::vector<std::byte>& body = {}) {
    wire::seal(frame);
    std::byte* at =
        mirror() + layout.bytes() + records.at(layout.slot_of(frame.generation), frame.final_rows);
    std::memcpy(at, &frame, sizeof frame);
    std::copy(body.begin(), body.end(), at + sizeof frame);
  }
  // Rows as the device writes them in place.
  void put_rows(uint64_t generation, uint32_t from, uint32_t to) {
    for (uint32_t c = 0; c < layout.shape().column_bytes.size(); ++c) {
      const size_t width = layout.shape().column_bytes[c];
      for (size_t i = from * width; i < to * width; ++i)
        mirror()[layout.column(layout.slot_of(generation), c) + i] = value(generation, c, i);
    }
  }
  static std::byte value(uint64_t generation, uint32_t c, size_t i) {
    return static_cast<std::byte>(generation * 31 + c * 7 + i);
  }
  Arrived tell(size_t rail, Tells tells, uint64_t generation, uint32_t final_rows) {
    return receiver->arrived(rail, encode({tells, layout.slot_of(generation), final_rows}));
  }
  uint64_t state(uint64_t generation) const {
    return layout.head_of(static_cast<const std::byte*>(mirror()), layout.slot_of(generation)).state.load();
  }
  bool rows_right(uint64_t generation, uint32_t to) const {
    for (uint32_t c = 0; c < layout.shape().column_bytes.size(); ++c)
      for (size_t i = 0; i < size_t{to} * layout.shape().column_bytes[c]; ++i)
        if (mirror()[layout.column(layout.slot_of(generation), c) + i] != value(generation, c, i))
          return false;
    return true;
  }
  std::byte* mirror() const { return receiver->mirrors().mirror(0); }

  const wire::PublicationLayout layout;
  const Records records;
  std::optional<Receiver> receiver;

 private:
  std::optional<Pages> memory_;
};

wire::PublicationShape wide() { return {3, 40, 4, true, 16, {96, 4}}; }

TEST(VerbsReceiver, ARoundInOneMessageIsVisibleWhenItIsTold) {
  WindowBench bench(wide(), 1);
  bench.put_rows(1, 0, 40);
  bench.put_record(bench.frame(1, 40, 0, 40));
  EXPECT_EQ(bench.state(1), 0u);
  EXPECT_EQ(bench.tell(0, Tells::rows, 1, 40), Arrived::rows);
  EXPECT_EQ(bench.state(1), wire::state_word(1, 40));
  EXPECT_TRUE(bench.rows_right(1, 40));
}

TEST(VerbsReceiver, LaterBlocksNeedNoRecord) {
  WindowBench bench(wide(), 1);
  bench.put_record(bench.frame(1, 40, 0, 0));
  EXPECT_EQ(bench.tell(0, Tells::rows, 1, 0), Arrived::rows);
  for (const uint32_t rows : {7u, 8u, 39u, 40u}) {
    bench.put_rows(1, 0, rows);
    EXPECT_EQ(bench.tell(0, Tells::rows, 1, rows), Arrived::rows);
    EXPECT_EQ(bench.state(1), wire::state_word(1, rows));
  }
  EXPECT_TRUE(bench.rows_right(1, 40));
}

TEST(VerbsReceiver, SmallBodiesRideInTheRecord) {
  WindowBench bench({2, 4, 1, false, 16, {8}}, 1);  // rows in the heads
  ASSERT_TRUE(bench.layout.rows_in_heads());
  for (uint32_t to = 1; to <= 4; ++to) {
    wire::Frame frame = bench.frame(1, 4, to - 1, to);
    std::vector<std::byte> body;
    for (size_t i = 8 * (to - 1); i < 8 * to; ++i) body.push_back(bench.value(1, 0, i));
    bench.put_record(frame, body);
  }
  // All are written before the first is told of.
  for (uint32_t to = 1; to <= 4; ++to) {
    EXPECT_EQ(bench.tell(0, Tells::rows, 1, to), Arrived::rows);
    EXPECT_EQ(bench.state(1), wire::state_word(1, to));
    EXPECT_TRUE(bench.rows_right(1, to));
  }
}

// Shares of a streamed round over four rails; every rail keeps its own order and nothing else is sure.
TEST(VerbsReceiver, RowsAreVisibleWhenEveryRailHasTold) {
  const test::Seed seed;
  test::Random random(seed.value);
  WindowBench bench(wide(), 4);
  for (uint64_t g = 1; g <= 200; ++g) {
    std::vector<uint32_t> marks{random.below(10)};
    while (marks.back() < 40) marks.push_back(std::min(40u, marks.back() + random.between(1, 15)));
    bench.put_record(bench.frame(g, 40, 0, marks[0]));
    std::vector<size_t> next(4, 0);
    for (size_t left = 4 * marks.size(); left > 0; --left) {
      size_t rail = random.below(4);
      while (next[rail] == marks.size()) rail = (rail + 1) % 4;
      const uint32_t mark = marks[next[rail]++];
      if (mark == 40) bench.put_rows(g, 0, 40);
      const uint64_t before = bench.state(g);
      const size_t slowest = *std::min_element(next.begin(), next.end());
      const Arrived arrived = bench.tell(rail, Tells::share_of_rows, g, mark);
      ASSERT_EQ(arrived, slowest == 0 ? Arrived::part : Arrived::rows) << "round " << g;
      const uint64_t expected = slowest == 0 ? before : wire::state_word(g, marks[slowest - 1]);
      ASSERT_EQ(bench.state(g), expected) << "round " << g;
    }
    ASSERT_TRUE(bench.rows_right(g, 40));
    bench.receiver->mirrors().release(0, g);
  }
}

TEST(VerbsReceiver, AGoodbyeCountsWhenItCameOverEveryRail) {
  WindowBench bench(wide(), 2);
  const uint32_t goodbye = encode({Tells::goodbye, 0, 0});
  EXPECT_EQ(bench.receiver->arrived(1, goodbye), Arrived::part);
  EXPECT_EQ(bench.receiver->arrived(0, goodbye), Arrived::goodbye);
}

TEST(VerbsReceiver, NonsenseIsFound) {
  const auto fresh = [] { return std::make_unique<WindowBench>(wide(), 2); };
  {
    auto bench = fresh();
    EXPECT_EQ(bench->tell(0, Tells::rows, 1, 3), Arrived::nonsense) << "no record";
  }
  {
    auto bench = fresh();
    EXPECT_EQ(bench->receiver->arrived(0, encode({Tells::rows, 3, 0})), Arrived::nonsense) << "no such slot";
    EXPECT_EQ(bench->receiver->arrived(0, encode({Tells{2}, 0, 0})), Arrived::nonsense) << "no such kind";
  }
  {
    auto bench = fresh();
    bench->put_record(bench->frame(1, 40, 0, 5));
    EXPECT_EQ(bench->tell(1, Tells::rows, 1, 5), Arrived::nonsense)
        << "whole rounds come over the first rail";
  }
  {
    auto bench = fresh();
    bench->put_record(bench->frame(1, 40, 0, 5));
    EXPECT_EQ(bench->tell(0, Tells::rows, 1, 6), Arrived::nonsense) << "the record says 5";
  }
  {
    auto bench = fresh();
    bench->put_record(bench->frame(1, 40, 0, 5));
    EXPECT_EQ(bench->tell(0, Tells::rows, 1, 5), Arrived::rows);
    EXPECT_EQ(bench->tell(0, Tells::rows, 1, 5), Arrived::nonsense) << "told twice";
  }
  {
    auto bench = fresh();
    bench->put_record(bench->frame(1, 40, 0, 5));
    EXPECT_EQ(bench->tell(0, Tells::rows, 1, 5), Arrived::rows);
    EXPECT_EQ(bench->tell(0, Tells::rows, 1, 41), Arrived::nonsense) << "more rows than the round has";
  }
  {
    auto bench = fresh();
    bench->put_record(bench->frame(1, 40, 0, 40));
    EXPECT_EQ(bench->tell(0, Tells::rows, 1, 40), Arrived::rows);
    bench->put_record(bench->frame(4, 40, 0, 40));
    EXPECT_EQ(bench->tell(0, Tells::rows, 4, 40), Arrived::nonsense) << "the slot is still read";
  }
  {
    auto bench = fresh();
    bench->put_record(bench->frame(2, 40, 0, 40));
    EXPECT_EQ(bench->tell(0, Tells::rows, 1, 40), Arrived::nonsense) << "the record of another slot";
  }
}

// Each watermark has a record of its own there: one that no round has would be read from beyond the window.
TEST(VerbsReceiver, AWatermarkThatNoRoundHasIsNonsense) {
  WindowBench bench({2, 4, 1, false, 16, {8}}, 1);
  EXPECT_EQ(bench.receiver->arrived(0, encode({Tells::rows, 1, 5})), Arrived::nonsense);
  EXPECT_EQ(bench.receiver->arrived(0, encode({Tells::rows, 1, wire::kMaxRows})), Arrived::nonsense);
}

// Whatever a peer writes into its window and tells, the state words only grow and stay within bounds.
TEST(VerbsReceiver, RandomRecordsAndImmediatesBreakNothing) {
  const test::Seed seed;
  test::Random random(seed.value);
  for (int turn = 0; turn < 3000; ++turn) {
    WindowBench bench(random.chance(50) ? wide() : wire::PublicationShape{2, 4, 1, true, 16, {8}}, 2);
    const uint32_t depth = bench.layout.shape().depth, max_rows = bench.layout.shape().max_rows;
    std::vector<uint64_t> seen(depth, 0);
    for (int step = 0; step < 20; ++step) {
      const uint64_t g = random.between(1, 2 * depth);
      const uint32_t to = random.below(max_rows + 1), first = random.below(to + 1);
      wire::Frame frame =
          bench.frame(g, random.chance(80) ? max_rows : random.below(max_rows + 2), first, to);
      if (random.chance(20)) frame.flags ^= static_cast<uint16_t>(1u << random.below(3));
      if (random.chance(10)) frame.taken = random.below(max_rows + 1);
      if (random.chance(70))
        frame.body_bytes = static_cast<uint32_t>(wire::body_bytes_of(frame, bench.layout));
      if (frame.final_rows <= max_rows) bench.put_record(frame);
      if (random.chance(30)) {
        const auto window = bench.receiver->window(0);
        window[random.below(static_cast<uint32_t>(window.size()))] =
            static_cast<std::byte>(random.below(256));
      }
      const auto told = random.chance(90) ? encode({Tells(random.below(2)), bench.layout.slot_of(g), to})
                                          : static_cast<uint32_t>(random.next());
      const Arrived arrived = bench.receiver->arrived(random.below(2), told);
      if (arrived == Arrived::nonsense) break;  // the link is not read from any more
      for (uint32_t slot = 0; slot < depth; ++slot) {
        const wire::SlotHead& head =
            bench.layout.head_of(static_cast<const std::byte*>(bench.mirror()), slot);
        const uint64_t state = head.state.load();
        ASSERT_GE(state, seen[slot]);
        seen[slot] = state;
        if (state == 0) continue;
        ASSERT_LE(head.rows, max_rows);
        ASSERT_LE(wire::final_rows_of(state), head.rows);
        ASSERT_EQ(bench.layout.slot_of(wire::generation_of(state)), slot);
      }
    }
  }
}

}  // namespace
}  // namespace weft::verbs
