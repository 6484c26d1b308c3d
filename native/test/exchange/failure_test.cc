// Processes that die, stop or leave, wherever they are in a round: who has to do with them learns it at once,
// the other pairs carry on, and nothing is left behind.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <cerrno>

#include "support/cluster.h"
#include "support/descriptors.h"
#include "support/scale.h"
#include "support/transports.h"

namespace weft::test {
namespace {

constexpr int64_t kAtOnceNs = kSanitized ? 2'000'000'000 : 500'000'000;
const uint64_t kMoreRounds = scaled(200);
constexpr uint32_t kNobody = 99;

struct Case {
  std::string transport;
  uint32_t victim;
  Place place;
};

class Failure : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override { left_in_shm = entries_of("/dev/shm"); }
  void TearDown() override {
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
    EXPECT_EQ(errno, ECHILD);
    EXPECT_EQ(entries_of("/dev/shm"), left_in_shm);
  }
  // Those who are connected to the victim.
  static std::vector<uint32_t> other_side(uint32_t victim) {
    return Cluster::is_attention(victim) ? std::vector<uint32_t>{2, 3} : std::vector<uint32_t>{0, 1};
  }

  size_t left_in_shm = 0;
};

TEST_P(Failure, AKilledPeerIsNoticedAtOnceAndTheOtherPairsCarryOn) {
  const auto [transport, victim, place] = GetParam();
  Cluster cluster(transport, victim, place, Exit::stays);
  ASSERT_TRUE(cluster.victim_is_there());
  // Rank 0 of the attention side waits for the victim then; there is nothing to go on with yet.
  const int64_t killed = now_ns();
  cluster.child(victim).signal(SIGKILL);
  for (const uint32_t m : other_side(victim)) {
    const Entry& entry = cluster.board().members[m];
    // One may have met its own deadline before, while the victim just stood there.
    ASSERT_TRUE(until([&] { return entry.code == static_cast<uint32_t>(Code::peer_lost); }))
        << "member " << m;
    EXPECT_EQ(entry.blamed, static_cast<int32_t>(victim));
    EXPECT_LT(entry.noticed_ns - killed, kAtOnceNs) << "member " << m;
  }
  EXPECT_TRUE(cluster.goes_on(victim, kMoreRounds));
  EXPECT_EQ(cluster.child(victim).wait(), -SIGKILL);
  EXPECT_TRUE(cluster.stop(victim));
}

TEST_P(Failure, APeerThatClosesIsNoticedAtOnceAndTheOtherPairsCarryOn) {
  const auto [transport, victim, place] = GetParam();
  Cluster cluster(transport, victim, place, Exit::closes);
  ASSERT_TRUE(cluster.victim_is_there());
  const int64_t closed = now_ns();
  for (const uint32_t m : other_side(victim)) {
    const Entry& entry = cluster.board().members[m];
    if (Cluster::is_attention(m)) {
      ASSERT_TRUE(until([&] { return entry.code == static_cast<uint32_t>(Code::peer_closed); }))
          << "member " << m;
      EXPECT_EQ(entry.blamed, static_cast<int32_t>(victim));
      EXPECT_LT(entry.noticed_ns - closed, kAtOnceNs);
    }
  }
  EXPECT_TRUE(cluster.goes_on(victim, kMoreRounds));
  for (const uint32_t m : other_side(victim))
    EXPECT_EQ(Cluster::is_attention(m) || cluster.board().members[m].code == 0, true)
        << "an error for who collects";
  EXPECT_EQ(cluster.child(victim).wait(), 0) << "it left nothing behind";
  EXPECT_TRUE(cluster.stop(victim));
}

TEST_P(Failure, AStoppedPeerMeetsDeadlinesAndItsRoundsEndWhenItGoesOn) {
  const auto [transport, victim, place] = GetParam();
  Cluster cluster(transport, victim, place, Exit::stays);
  ASSERT_TRUE(cluster.victim_is_there());
  cluster.child(victim).signal(SIGSTOP);
  if (!Cluster::is_attention(victim)) {
    for (const uint32_t m : other_side(victim)) {
      const Entry& entry = cluster.board().members[m];
      ASSERT_TRUE(until([&] { return entry.noticed_ns != 0; }))
          << "member " << m << " waits without a deadline";
      EXPECT_EQ(entry.code, static_cast<uint32_t>(Code::deadline));
    }
  } else {
    EXPECT_TRUE(cluster.goes_on(victim, kMoreRounds)) << "the other attention rank has nothing to do with it";
  }
  cluster.child(victim).signal(SIGCONT);
  cluster.board().go = 1;
  EXPECT_TRUE(cluster.goes_on(kNobody, kMoreRounds)) << "its rounds included";
  for (uint32_t m = 0; m < Cluster::kMembers; ++m)
    EXPECT_NE(cluster.board().members[m].code, static_cast<uint32_t>(Code::peer_lost));
  EXPECT_TRUE(cluster.stop(kNobody));
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::string& transport : process_transports()) {
    all.push_back({transport, 0, Place::idle});
    all.push_back({transport, 0, Place::after_dispatch});
    all.push_back({transport, 1, Place::in_stream});
    all.push_back({transport, 2, Place::idle});
    all.push_back({transport, 3, Place::in_reply});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Transports, Failure, testing::ValuesIn(cases()), [](const auto& info) {
  return info.param.transport + (Cluster::is_attention(info.param.victim) ? "_Attention" : "_Ffn") +
         name_of(info.param.place);
});

}  // namespace
}  // namespace weft::test
