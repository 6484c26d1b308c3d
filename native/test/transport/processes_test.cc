// Handshakes between processes: one that dies on the way, and transports that are not for two processes.
#include <gtest/gtest.h>
#include <signal.h>

#include "support/process.h"
#include "support/steps.h"

namespace weft::test {
namespace {

using Processes = OnTransports;

// Stages: 1 listening, 2 connected, 3 failed to connect.
void connect(const MeshPlan& plan, Board& board, uint32_t member, double deadline_ms) {
  Entry& entry = board.members[member];
  std::string address;
  auto rank = Rank::listen(plan, member, address);
  ASSERT_TRUE(rank);
  std::strncpy(entry.address, address.c_str(), sizeof entry.address - 1);
  entry.stage = 1;
  std::vector<std::string> addresses(plan.members());
  for (uint32_t m = 0; m < plan.members(); ++m) {
    // Ranks of the ffn side have to listen before they can be dialled, and may be busy with it for a while.
    if (plan.is_attention(m)) continue;
    ASSERT_TRUE(until([&] { return board.members[m].stage >= 1; }));
    addresses[m] = board.members[m].address;
  }
  const auto done = rank->connect(plan, member, addresses, deadline_after_ms(deadline_ms));
  if (!done) {
    entry.code = static_cast<uint32_t>(done.error().code);
    entry.blamed = done.error().peer;
  }
  entry.stage = done ? 2 : 3;
  if (!done || plan.is_attention(member)) {
    until([&] { return board.go != 0; });
    return;
  }
  Collect& collect = rank->ffn->collect();
  collect.aim(Gather::any, 1, 0, false, false);
  collect.rearm(deadline_after_ms(10'000));
  entry.value[0] = static_cast<uint64_t>(rank->endpoint->wait(collect));
  entry.value[1] = static_cast<uint64_t>(collect.blamed);
  until([&] { return board.go != 0; });
}

TEST_P(Processes, OneThatDiesWhileConnectingIsNamedByWhoWaitsForItAndLostForWhoHasIt) {
  const MeshPlan plan(GetParam(), plain_config({2, 2}));
  Shared<Board> board;
  // The ffn rank 3 listens, but answers only when its peer is dead already.
  Child late([&] {
    Entry& entry = board->members[3];
    std::string address;
    auto rank = Rank::listen(plan, 3, address);
    std::strncpy(entry.address, address.c_str(), sizeof entry.address - 1);
    entry.stage = 1;
    ASSERT_TRUE(until([&] { return board->members[3].value[3] != 0; }));
    const auto done = rank->connect(plan, 3, std::vector<std::string>(4), deadline_after_ms(1500));
    ASSERT_FALSE(done);
    entry.code = static_cast<uint32_t>(done.error().code);
    entry.blamed = done.error().peer;
  });
  Child victim([&] { connect(plan, *board, 0, 20'000); });
  Child other([&] { connect(plan, *board, 1, 3000); });
  Child ffn([&] { connect(plan, *board, 2, 20'000); });
  ASSERT_TRUE(until([&] { return board->members[2].stage == 2; })) << "ffn rank 2 has both its peers";
  victim.signal(SIGKILL);
  EXPECT_EQ(victim.wait(), -SIGKILL);
  board->members[3].value[3] = 1;
  EXPECT_EQ(late.wait(), 0);
  // It found the dead one's knock at its door, or nothing at all.
  const auto code = static_cast<Code>(board->members[3].code.load());
  EXPECT_TRUE(code == Code::deadline || code == Code::peer_lost) << static_cast<int>(code);
  EXPECT_EQ(board->members[3].blamed, 0);
  ASSERT_TRUE(until([&] { return board->members[2].value[0] != 0; }));
  EXPECT_EQ(static_cast<Code>(board->members[2].value[0].load()), Code::peer_lost);
  EXPECT_EQ(board->members[2].value[1], 0u);
  board->go = 1;
  EXPECT_EQ(other.wait(), 0);
  EXPECT_EQ(ffn.wait(), 0);
}

WEFT_OVER(process_transports(), Processes);

TEST(LoopbackProcesses, AnotherProcessIsRefusedWithAHint) {
  const MeshPlan plan("loopback", plain_config({1, 1}));
  Shared<Board> board;
  Child ffn([&] { connect(plan, *board, 1, 400); });
  ASSERT_TRUE(until([&] { return board->members[1].stage >= 1; }));
  std::string unused;
  auto rank = Rank::listen(plan, 0, unused);
  ASSERT_TRUE(rank);
  const auto done = rank->connect(plan, 0, {"", board->members[1].address}, deadline_after_ms(2000));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::unavailable);
  EXPECT_EQ(done.error().peer, 1);
  EXPECT_NE(done.error().what.find("use shm"), std::string::npos);
  board->go = 1;
  EXPECT_EQ(ffn.wait(), 0);
  EXPECT_EQ(static_cast<Code>(board->members[1].code.load()), Code::deadline);
}

}  // namespace
}  // namespace weft::test
