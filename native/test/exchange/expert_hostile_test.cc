// A rank of a symmetric exchange that writes nonsense into its own memory: the others find out before they
// use it.
#include <gtest/gtest.h>

#include <functional>

#include "support/experts.h"
#include "support/test_mesh.h"

namespace weft::test {
namespace {

class HostileExperts : public testing::Test {
 protected:
  void open(const ExchangeConfig& config) {
    auto made = TestMesh::make("shm", config);
    ASSERT_TRUE(made) << made.error().what;
    mesh = std::move(*made);
    columns = dispatch_columns(config);
  }
  Rank& rank(uint32_t r) { return mesh->attention[r]; }
  const ExchangeConfig& config() const { return mesh->plan.config; }

  // Every token chooses expert 0 first, then the next ones.
  void dispatch(uint32_t r, uint32_t rows) {
    uint64_t g = 0;
    AttentionSide& side = *rank(r).attention;
    ASSERT_EQ(side.claim(g), Code::ok);
    auto* experts = reinterpret_cast<int32_t*>(side.publisher().column(g, columns.experts));
    for (uint32_t i = 0; i < rows * config().top_k; ++i)
      experts[i] = static_cast<int32_t>(i % config().top_k);
    ASSERT_EQ(side.publish(g, rows, rows, 0, 0), Code::ok);
  }
  Code serve(uint32_t r, uint64_t& g) {
    Collect& collect = rank(r).expert->rounds().collect();
    collect.aim(Gather::all, 0, 0, false, false);
    collect.rearm(deadline_after_ms(10'000));
    if (const Code code = rank(r).endpoint->wait(collect); code != Code::ok) return code;
    return rank(r).expert->group(g);
  }
  Code combine(uint32_t r, uint64_t g) {
    std::vector<uint16_t> out(size_t{config().max_tokens} * config().hidden);
    Combine& combine = rank(r).attention->combine(g);
    combine.aim(out.data(), false);
    combine.rearm(deadline_after_ms(10'000));
    const Code code = rank(r).endpoint->wait(combine);
    blamed = combine.blamed;
    rank(r).attention->finish(g, code);
    return code;
  }
  // Rank 0 has served `g` without rank 1, which does all it should but for what it wrote.
  void go_on_without_rank_1(uint64_t g) {
    for (uint32_t r = 1; r < 3; ++r) {
      uint64_t same = 0;
      ASSERT_EQ(serve(r, same), Code::ok);
      ASSERT_EQ(same, g);
    }
    for (uint32_t r = 0; r < 3; ++r)
      ASSERT_EQ(rank(r).expert->reply(g, rank(r).expert->reply_rows(g)), Code::ok);
    EXPECT_EQ(combine(2, g), Code::ok);
    // And the next round, of which rank 0 is first told why rank 1 is not in it.
    for (const uint32_t r : {0u, 2u}) dispatch(r, 1);
    dispatch(1, 1);
    uint64_t next = 0;
    EXPECT_EQ(serve(0, next), Code::protocol);
    ASSERT_EQ(serve(0, next), Code::ok);
    EXPECT_EQ(next, g + 1);
    EXPECT_TRUE(rank(0).expert->sent_by(next, 2));
  }
  wire::RowList& list_of_rank_1(uint64_t g) { return rank(1).expert->replies().list(g, 0); }
  std::byte* rows_of_rank_1(uint64_t g, uint32_t column) {
    return rank(1).attention->publisher().column(g, column);
  }

  std::unique_ptr<TestMesh> mesh;
  DispatchColumns columns;
  int32_t blamed = kNoPeer;
};

TEST_F(HostileExperts, RepliesWhoseListCannotBeAreRefused) {
  const std::function<void(wire::RowList&)> wrongs[] = {
      [](wire::RowList& list) { list.count = 0; },
      [](wire::RowList& list) { ++list.count; },
      [](wire::RowList& list) { list.count = UINT32_MAX - 1; },
      [](wire::RowList& list) { list.rows[1] = list.rows[0]; },
      [](wire::RowList& list) { std::swap(list.rows[0], list.rows[1]); },
      [](wire::RowList& list) { list.rows[list.count - 1] = 1u << 30; },
  };
  for (const auto& wrong : wrongs) {
    auto config = symmetric(2, 4, 6);
    config.top_k = 4;
    open(config);
    for (uint32_t r = 0; r < 2; ++r) dispatch(r, 3);
    uint64_t g = 0;
    for (uint32_t r = 0; r < 2; ++r) {
      ASSERT_EQ(serve(r, g), Code::ok);
      ASSERT_EQ(rank(r).expert->reply(g, rank(r).expert->reply_rows(g)), Code::ok);
    }
    wrong(list_of_rank_1(g));
    EXPECT_EQ(combine(0, g), Code::protocol);
    EXPECT_EQ(blamed, 1);
    // To the other one nothing was done.
    EXPECT_EQ(combine(1, g), Code::ok);
  }
}

TEST_F(HostileExperts, ChoicesThatCannotBeAreTakenForNone) {
  auto config = symmetric(2, 4, 6);
  config.top_k = 4;
  open(config);
  for (uint32_t r = 0; r < 2; ++r) dispatch(r, 3);
  auto* experts = reinterpret_cast<int32_t*>(rows_of_rank_1(1, columns.experts));
  const int32_t wrong[] = {
      -7, INT32_MIN, 4, INT32_MAX, choice_of(0, 1), choice_of(1, 2047), choice_of(5, 0), 1 << 19, 0, 1};
  std::copy(std::begin(wrong), std::end(wrong), experts);
  uint64_t g = 0;
  ASSERT_EQ(serve(0, g), Code::ok);
  const Grouping& grouping = rank(0).expert->grouping(g);
  // Our own three rows for each of our two experts, and the two that rank 1 did not spoil.
  EXPECT_EQ(grouping.count[0], 4u);
  EXPECT_EQ(grouping.count[1], 4u);
}

TEST_F(HostileExperts, ARowThatIsForNobodyHereIsNotWaitedFor) {
  open(symmetric(2, 4, 6));
  for (uint32_t r = 0; r < 2; ++r) {
    uint64_t g = 0;
    AttentionSide& side = *rank(r).attention;
    ASSERT_EQ(side.claim(g), Code::ok);
    auto* experts = reinterpret_cast<int32_t*>(side.publisher().column(g, columns.experts));
    for (const int32_t e : {0, 3, 1, 3}) *experts++ = e;
    ASSERT_EQ(side.publish(g, 4, r == 0 ? 4 : 0, 0, 0), Code::ok);
  }
  // Rank 1 says that rank 0 takes its last row too, which it never publishes.
  wire::RowList& list = rank(1).attention->publisher().list(1, 0);
  list.rows[list.count++] = 3;
  Collect& collect = rank(0).expert->rounds().collect();
  collect.aim(Gather::all, 0, 0, true, false);
  collect.rearm(deadline_after_ms(10'000));
  ASSERT_EQ(rank(0).endpoint->wait(collect), Code::ok);
  uint64_t g = 0;
  ExpertSide& expert = *rank(0).expert;
  ASSERT_EQ(expert.group(g), Code::ok);
  EXPECT_EQ(expert.reply(g, 4), Code::again);
  ASSERT_EQ(rank(1).attention->publish(g, 4, 3, 0, 0), Code::ok);
  uint32_t lost = 0;
  EXPECT_EQ(expert.look(g, false, lost), Code::ok);
  EXPECT_EQ(expert.blocks(g).ready().size(), 2u);
  EXPECT_EQ(expert.reply(g, 4), Code::ok);
}

TEST_F(HostileExperts, MoreRowsThanAnExpertHasPlacesForEndTheLinkAndTheOthersGoOn) {
  auto config = symmetric(3, 6, 6);
  config.top_k = 2;
  config.expert_rows = 3 * config.max_tokens;
  open(config);
  for (uint32_t r = 0; r < 3; ++r) dispatch(r, 6);
  std::fill_n(reinterpret_cast<int32_t*>(rows_of_rank_1(1, columns.experts)), 12, 0);
  uint64_t g = 0;
  ASSERT_EQ(serve(0, g), Code::ok);
  EXPECT_TRUE(rank(0).expert->sent_by(g, 0));
  EXPECT_FALSE(rank(0).expert->sent_by(g, 1));
  EXPECT_TRUE(rank(0).expert->sent_by(g, 2));
  EXPECT_EQ(rank(0).expert->grouping(g).count[0], 12u);
  EXPECT_EQ(rank(0).endpoint->peer_state(1), Code::protocol);
  go_on_without_rank_1(g);
}

TEST_F(HostileExperts, RowsBeyondTheRoundAreRefusedAndTheOthersGoOn) {
  for (uint32_t start = 0; start < 3; ++start) {  // collecting begins with another rank each time
    open(symmetric(3, 6, 4));
    uint64_t g = 0;
    for (uint32_t round = 0; round < start; ++round) {
      for (uint32_t r = 0; r < 3; ++r) dispatch(r, 1);
      for (uint32_t r = 0; r < 3; ++r) {
        ASSERT_EQ(serve(r, g), Code::ok);
        ASSERT_EQ(rank(r).expert->reply(g, rank(r).expert->reply_rows(g)), Code::ok);
      }
      for (uint32_t r = 0; r < 3; ++r) ASSERT_EQ(combine(r, g), Code::ok);
    }
    for (uint32_t r = 0; r < 3; ++r) dispatch(r, 2);
    rank(1).attention->publisher().list(start + 1, 0).rows[0] = 3;
    ASSERT_EQ(serve(0, g), Code::ok);
    EXPECT_TRUE(rank(0).expert->sent_by(g, 0));
    EXPECT_FALSE(rank(0).expert->sent_by(g, 1));
    EXPECT_TRUE(rank(0).expert->sent_by(g, 2));
    EXPECT_EQ(rank(0).endpoint->peer_state(1), Code::protocol);
    go_on_without_rank_1(g);
  }
}

// R gives A up while A, which is there, has yet to read a reply; R then goes on, and uses the reply's slot
// again.
TEST_F(HostileExperts, AResultIsNeverMadeOfASlotThatIsUsedAgain) {
  auto config = symmetric(2, 2, 4);
  config.depth = 2;
  config.top_k = 2;  // every token chooses an expert of each rank
  open(config);
  uint64_t g = 0;
  for (uint32_t r = 0; r < 2; ++r) dispatch(r, 2);
  for (uint32_t r = 0; r < 2; ++r) {
    ASSERT_EQ(serve(r, g), Code::ok);
    ASSERT_EQ(rank(r).expert->reply(g, rank(r).expert->reply_rows(g)), Code::ok);
  }
  ASSERT_EQ(combine(1, g), Code::ok);
  rank(1).endpoint->drop(0);
  for (int round = 0; round < 2; ++round) {
    dispatch(1, 2);
    uint64_t next = 0;
    Code code;
    while ((code = serve(1, next)) == Code::peer_lost) continue;
    ASSERT_EQ(code, Code::ok);
    if (next == g + config.depth) break;
    ASSERT_EQ(rank(1).expert->reply(next, rank(1).expert->reply_rows(next)), Code::ok);
    Combine& combining = rank(1).attention->combine(next);
    std::vector<uint16_t> out(64 * 16);
    combining.aim(out.data(), false, OnLoss::skip);
    combining.rearm(deadline_after_ms(10'000));
    const Code outcome = rank(1).endpoint->wait(combining);
    rank(1).attention->finish(next, outcome);
    ASSERT_EQ(outcome, Code::ok);
  }
  // Grouped, its outputs are being written: nothing was published.
  EXPECT_NE(combine(0, g), Code::ok);
}

}  // namespace
}  // namespace weft::test
