// Rounds so large that UCX moves them by rendezvous, which takes both ends: what becomes of them when one end
// stops, dies or is given up.
#include <gtest/gtest.h>
#include <signal.h>

#include "support/process.h"
#include "support/steps.h"

namespace weft::test {
namespace {

constexpr uint32_t kLargeRows = 1024;
constexpr int64_t kBoundedNs = 3'000'000'000;

ExchangeConfig large(uint32_t depth = 3) {
  auto config = plain_config({1, 1}, kLargeRows, depth);
  config.hidden = 2048;  // 4 MiB
  return config;
}

class UcxLarge : public testing::Test {
 protected:
  void SetUp() override { WEFT_WANTS_FABRIC("ucx"); }

  // The member's process: `body`, and then nothing more, with every thread of it stopped.
  Child stopped(uint32_t member, const std::function<void(Rank&)>& body) {
    return Child([this, member, body] {
      Rank rank = join(plan, *board, member);
      body(rank);
      board->members[member].stage = 1;
      raise(SIGSTOP);
    });
  }
  static void publish(Rank& rank, uint32_t rounds) {
    for (uint32_t i = 0; i < rounds; ++i) {
      uint64_t g = 0;
      ASSERT_EQ(rank.attention->claim(g), Code::ok);
      ASSERT_EQ(rank.attention->publish(g, kLargeRows, kLargeRows, 0, 0), Code::ok);
    }
  }
  static Code collect(Rank& rank, double within_ms) {
    Collect& collect = rank.ffn->collect();
    collect.aim(Gather::any, 1, 0, false, false);
    collect.rearm(deadline_after_ms(within_ms));
    return rank.endpoint->wait(collect);
  }
  static Code combine(Rank& rank, uint64_t g, double within_ms) {
    static std::vector<std::byte> out(size_t{kLargeRows} * 2048 * 2);
    Combine& combine = rank.attention->combine(g);
    combine.aim(out.data(), false);
    combine.rearm(deadline_after_ms(within_ms));
    return rank.endpoint->wait(combine);
  }

  MeshPlan plan{"ucx", large()};
  Shared<Board> board;
};

TEST_F(UcxLarge, ArriveAsTheyWereSent) {
  Steps steps("ucx", large());
  for (uint64_t i = 0; i < 8; ++i) {
    const uint64_t g = steps.dispatch(0, kLargeRows);
    ASSERT_EQ(steps.collect(0), Code::ok);
    ASSERT_EQ(steps.reply(0, 0, 1), Code::ok);
    ASSERT_EQ(steps.combine(0, g), Code::ok);
    for (const uint32_t row : {0u, 1u, 100u, kLargeRows / 2, kLargeRows - 1}) {
      const float sent = Steps::f32(Steps::bf16(static_cast<float>(row + 1)));
      EXPECT_EQ(steps.result(row), Steps::f32(Steps::bf16(sent + 1))) << "row " << row;
    }
  }
}

TEST_F(UcxLarge, ThoseToADeadPeerEnd) {
  Child ffn = stopped(1, [](Rank&) {});
  Rank rank = join(plan, *board, 0);
  ASSERT_TRUE(until([&] { return board->members[1].stage == 1; }));
  publish(rank, 2);
  EXPECT_EQ(combine(rank, 1, 200), Code::deadline);
  ffn.signal(SIGKILL);
  const int64_t killed = now_ns();
  EXPECT_EQ(combine(rank, 1, 10'000), Code::peer_lost);
  rank.endpoint->close();
  EXPECT_LT(now_ns() - killed, kBoundedNs);
}

TEST_F(UcxLarge, ThoseToAPeerThatIsGivenUpEnd) {
  Child ffn = stopped(1, [](Rank&) {});
  Rank rank = join(plan, *board, 0);
  ASSERT_TRUE(until([&] { return board->members[1].stage == 1; }));
  publish(rank, 2);
  EXPECT_EQ(combine(rank, 1, 200), Code::deadline);
  const int64_t start = now_ns();
  rank.endpoint->drop(0);
  EXPECT_EQ(combine(rank, 1, 10'000), Code::peer_lost);
  uint64_t g = 0;
  EXPECT_EQ(rank.attention->claim(g), Code::ok) << "nobody reads the slots any more";
  rank.endpoint->close();
  EXPECT_LT(now_ns() - start, kBoundedNs);
}

TEST_F(UcxLarge, ClosingDoesNotWaitForAPeerThatIsStopped) {
  Child ffn = stopped(1, [](Rank&) {});
  Rank rank = join(plan, *board, 0);
  ASSERT_TRUE(until([&] { return board->members[1].stage == 1; }));
  publish(rank, 2);
  const int64_t start = now_ns();
  rank.endpoint->close();
  EXPECT_LT(now_ns() - start, kBoundedNs);
}

TEST_F(UcxLarge, ThoseFromADeadPeerEnd) {
  Child attention = stopped(0, [](Rank& rank) { publish(rank, 2); });
  Rank rank = join(plan, *board, 1);
  ASSERT_TRUE(until([&] { return board->members[0].stage == 1; }));
  // A device may fetch them from a process that is stopped.
  while (collect(rank, 200) == Code::ok) {
  }
  attention.signal(SIGKILL);
  const int64_t killed = now_ns();
  const Code code = collect(rank, 10'000);
  EXPECT_TRUE(code == Code::peer_lost || code == Code::unavailable) << static_cast<int>(code);
  rank.endpoint->close();
  EXPECT_LT(now_ns() - killed, kBoundedNs);
}

TEST_F(UcxLarge, ThoseFromAPeerThatIsGivenUpEnd) {
  Child attention = stopped(0, [](Rank& rank) { publish(rank, 2); });
  Rank rank = join(plan, *board, 1);
  ASSERT_TRUE(until([&] { return board->members[0].stage == 1; }));
  while (collect(rank, 200) == Code::ok) {
  }
  const int64_t start = now_ns();
  rank.endpoint->drop(0);
  rank.endpoint->close();
  EXPECT_LT(now_ns() - start, kBoundedNs);
}

}  // namespace
}  // namespace weft::test
