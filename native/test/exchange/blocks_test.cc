// Blocks of experts: each is handed over when its last row has come, not before and not later, and what a
// rank that is lost does to them.
#include <gtest/gtest.h>

#include <thread>

#include "support/experts.h"
#include "support/later.h"
#include "support/process.h"
#include "support/test_mesh.h"
#include "support/transports.h"

namespace weft::test {
namespace {

constexpr int32_t kNone = -1;

class ExpertBlocks : public OnTransports {
 protected:
  // Two ranks with two experts each; a round that both have begun, without rows. To rank 0 go:
  // expert 0: rows 0 and 2 of rank 1; expert 1: row 0 of rank 0, rows 1 and 4 of rank 1.
  void SetUp() override {
    auto config = symmetric(2, 4, 6);
    config.top_k = 2;
    auto made = TestMesh::make(GetParam(), config);
    ASSERT_TRUE(made) << made.error().what;
    mesh = std::move(*made);
    begin(0, {{1, kNone}});
    begin(1, {{0, kNone}, {kNone, 1}, {3, 0}, {kNone, kNone}, {2, 1}, {2, kNone}});
    Collect& collect = expert().rounds().collect();
    collect.aim(Gather::all, 0, 0, true, false);
    collect.rearm(deadline_after_ms(10'000));
    ASSERT_EQ(rank(0).endpoint->wait(collect), Code::ok);
    ASSERT_EQ(expert().group(g), Code::ok);
    ASSERT_EQ(expert().grouping(g).count, (std::vector<uint32_t>{2, 3})) << "choices come first";
  }

  Rank& rank(uint32_t r) { return mesh->attention[r]; }
  ExpertSide& expert() { return *rank(0).expert; }

  void begin(uint32_t r, const std::vector<std::array<int32_t, 2>>& choices) {
    AttentionSide& side = *rank(r).attention;
    ASSERT_EQ(side.claim(g), Code::ok);
    const uint32_t column = dispatch_columns(side.config()).experts;
    auto* experts = reinterpret_cast<int32_t*>(side.publisher().column(g, column));
    for (const auto& row : choices) experts = std::copy(row.begin(), row.end(), experts);
    rows[r] = static_cast<uint32_t>(choices.size());
    publish(r, 0);
  }
  void publish(uint32_t r, uint32_t final_rows) {
    ASSERT_EQ(rank(r).attention->publish(g, rows[r], final_rows, 0, 0), Code::ok);
  }
  Code wait(double within_ms, bool skip_lost = false) {
    BlockArrival& arrival = expert().arrival(g);
    arrival.aim(g, seen, skip_lost);
    arrival.rearm(deadline_after_ms(within_ms));
    const Code code = rank(0).endpoint->wait(arrival);
    if (code == Code::ok) seen = static_cast<uint32_t>(expert().blocks(g).ready().size());
    return code;
  }
  std::vector<uint32_t> ready() {
    const auto span = expert().blocks(g).ready();
    return {span.begin(), span.end()};
  }

  std::unique_ptr<TestMesh> mesh;
  uint64_t g = 0;
  uint32_t rows[2] = {};
  uint32_t seen = 0;
};

TEST_P(ExpertBlocks, AreCompleteWithTheLastRowOfEverySource) {
  EXPECT_EQ(wait(10), Code::deadline);
  EXPECT_TRUE(expert().waits_for(g, 0) && expert().waits_for(g, 1));
  publish(0, 1);
  publish(1, 2);
  EXPECT_EQ(wait(200), Code::deadline);
  EXPECT_FALSE(expert().waits_for(g, 0));
  EXPECT_TRUE(expert().waits_for(g, 1));
  EXPECT_FALSE(expert().complete(g));
  publish(1, 3);
  ASSERT_EQ(wait(10'000), Code::ok);
  EXPECT_EQ(ready(), std::vector<uint32_t>{0});
  EXPECT_EQ(expert().reply(g, 2), Code::ok) << "its outputs may go";
  publish(1, 4);
  EXPECT_EQ(wait(200), Code::deadline);
  EXPECT_EQ(expert().reply(g, 5), Code::again) << "a complete reply says that all rows were read";
  publish(1, 5);
  ASSERT_EQ(wait(10'000), Code::ok);
  EXPECT_EQ(ready(), (std::vector<uint32_t>{0, 1}));
  // The last row of rank 1 is not for us.
  EXPECT_TRUE(expert().complete(g));
  EXPECT_EQ(expert().reply(g, 5), Code::ok);
}

TEST_P(ExpertBlocks, SeveralMayBeCompleteTogether) {
  publish(0, 1);
  publish(1, 6);
  while (seen < 2) ASSERT_EQ(wait(10'000), Code::ok);
  EXPECT_EQ(ready(), (std::vector<uint32_t>{0, 1}));
}

TEST_P(ExpertBlocks, ALossIsToldOnceAndWhatIsLeftIsHandedOver) {
  publish(0, 1);
  publish(1, 3);
  ASSERT_EQ(wait(10'000), Code::ok);
  rank(1).endpoint->close();
  EXPECT_EQ(wait(10'000), Code::peer_closed);
  EXPECT_EQ(expert().arrival(g).blamed, 1);
  ASSERT_EQ(wait(10'000), Code::ok);
  EXPECT_EQ(ready(), (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(expert().reply(g, 5), Code::ok);
}

TEST_P(ExpertBlocks, ALossCanBeSkipped) {
  publish(0, 1);
  rank(1).endpoint->close();
  while (seen < 2) ASSERT_EQ(wait(10'000, true), Code::ok);
  EXPECT_EQ(expert().reply(g, 5), Code::ok);
}

// Rank 1 is only slow. Of what was made without its rows it must not make a result.
class SlowRank : public ExpertBlocks {
 protected:
  void give_up_and_reply() {
    rank(0).endpoint->drop(1);
    EXPECT_EQ(wait(10'000), Code::peer_lost);
    while (seen < 2) ASSERT_EQ(wait(10'000), Code::ok);
    ASSERT_EQ(expert().reply(g, 5), Code::ok);
  }
  // It wakes up: publishes the rest, and serves itself.
  void go_on() {
    publish(1, 6);
    Collect& collect = rank(1).expert->rounds().collect();
    collect.aim(Gather::all, 0, 0, true, true);
    collect.rearm(deadline_after_ms(10'000));
    EXPECT_EQ(rank(1).endpoint->wait(collect), Code::ok);
    EXPECT_EQ(rank(1).expert->group(g), Code::ok);
    EXPECT_EQ(rank(1).expert->reply(g, rank(1).expert->reply_rows(g)), Code::ok);
  }
  Combine& combine() {
    Combine& combine = rank(1).attention->combine(g);
    combine.aim(out.data(), false);
    combine.rearm(deadline_after_ms(10'000));
    return combine;
  }
  std::vector<uint16_t> out = std::vector<uint16_t>(6 * 16);
};

TEST_P(SlowRank, ThatIsGivenUpIsToldSo) {
  publish(0, 1);
  publish(1, 3);
  ASSERT_EQ(wait(10'000), Code::ok);
  give_up_and_reply();
  go_on();
  EXPECT_EQ(rank(1).endpoint->wait(combine()), Code::peer_lost);
  EXPECT_EQ(rank(1).attention->combine(g).blamed, 0);
}

TEST_P(SlowRank, ThatIsGivenUpWhileItCombinesIsToldSo) {
  publish(0, 1);
  publish(1, 3);
  ASSERT_EQ(wait(10'000), Code::ok);
  ASSERT_EQ(expert().reply(g, 2), Code::ok);  // of a block that has all its rows
  Combine& combining = combine();
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(combining.step(), Code::again);
  give_up_and_reply();
  go_on();
  EXPECT_EQ(rank(1).endpoint->wait(combining), Code::peer_lost);
}

WEFT_ON_TRANSPORTS(SlowRank);

TEST_P(ExpertBlocks, ClosingEndsTheWait) {
  rank(0).endpoint->close();
  EXPECT_EQ(wait(10'000), Code::closed);
}

TEST_P(ExpertBlocks, ClosingEndsAWaitOfTheServiceThread) {
  BlockArrival& arrival = expert().arrival(g);
  arrival.aim(g, 0, false);
  arrival.rearm(deadline_after_ms(10'000));
  std::jthread closing([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    rank(0).endpoint->close();
  });
  EXPECT_EQ(wait_for(*rank(0).endpoint, arrival, true), Code::closed);
}

// Nothing is for rank 0: its reply is complete when it says so, not before.
TEST_P(ExpertBlocks, AReplyWithoutRowsWaitsForTheCaller) {
  publish(0, 1);
  publish(1, 6);
  while (seen < 2) ASSERT_EQ(wait(10'000), Code::ok);
  ASSERT_EQ(expert().reply(g, 5), Code::ok);
  begin(0, {});
  begin(1, {{2, kNone}});
  Collect& collect = expert().rounds().collect();
  collect.aim(Gather::all, 0, 0, true, false);
  collect.rearm(deadline_after_ms(10'000));
  ASSERT_EQ(rank(0).endpoint->wait(collect), Code::ok);
  uint64_t next = 0;
  ASSERT_EQ(expert().group(next), Code::ok);
  ASSERT_EQ(next, g);
  EXPECT_EQ(expert().reply_rows(g), 0u);
  const auto& layout = expert().replies().layout();
  const auto* base = rank(0).endpoint->arena().data() + mesh->plan.arena->reply_at(0);
  const wire::SlotHead& head = layout.head_of(base, layout.slot_of(g));
  EXPECT_LT(wire::generation_of(head.state.load()), g);
  EXPECT_EQ(expert().reply(g, 0), Code::ok);
  EXPECT_EQ(wire::generation_of(head.state.load()), g);
}

WEFT_ON_TRANSPORTS(ExpertBlocks);

}  // namespace
}  // namespace weft::test
