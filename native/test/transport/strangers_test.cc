// Whoever knocks while a member connects, and isn't the peer it waits for, is turned away, and costs it
// nothing.
#include <gtest/gtest.h>

#include <thread>

#include "support/configs.h"
#include "support/random.h"
#include "support/transports.h"
#include "support/visitor.h"

namespace weft::test {
namespace {

// A ffn rank that connects, for as long as the test likes, to M attention ranks.
class Strangers : public OnTransports {
 protected:
  void open(uint32_t attention) {
    plan.emplace(GetParam(), config_of(kKinds[0], {attention, 1}, 8, 4, 2));
    addresses.resize(plan->members());
    auto rank = Rank::listen(*plan, attention, addresses[attention]);
    ASSERT_TRUE(rank);
    ffn = std::move(*rank);
    connecting = std::jthread(
        [this, attention] { outcome = ffn.connect(*plan, attention, addresses, deadline_after_ms(20'000)); });
  }
  Visitor knock() { return Visitor(*plan, addresses[plan->config.attention]); }
  // The peers that are really waited for come, and the ffn rank is content.
  void real_peers_connect(uint32_t first = 0) {
    const int64_t start = now_ns();
    for (uint32_t a = first; a < plan->config.attention; ++a) {
      std::string unused;
      auto rank = Rank::listen(*plan, a, unused);
      ASSERT_TRUE(rank);
      const auto done = rank->connect(*plan, a, addresses, deadline_after_ms(10'000));
      EXPECT_TRUE(done) << done.error().what;
      peers.push_back(std::move(*rank));
    }
    connecting.join();
    EXPECT_TRUE(outcome) << outcome.error().what;
    EXPECT_LT(now_ns() - start, 2'500'000'000) << "strangers held the connect up";
  }

  std::optional<MeshPlan> plan;
  std::vector<std::string> addresses;
  Rank ffn;
  std::vector<Rank> peers;
  Expected<void> outcome;
  std::jthread connecting;
};

TEST_P(Strangers, AWrongProofIsRefusedAndGetsNoDescriptors) {
  open(1);
  Visitor stranger = knock();
  wire::Hello hello = stranger.honest(0, 1);
  hello.proof[5] ^= 1;
  stranger.say(hello);
  EXPECT_EQ(stranger.reject(), Code::auth);
  EXPECT_TRUE(stranger.fds.empty());
  EXPECT_TRUE(stranger.is_closed());
  real_peers_connect();
}

TEST_P(Strangers, AnotherMeshAnotherMemberOrAnotherEpochIsRefused) {
  open(1);
  const auto refused_for = [&](const auto& change) {
    Visitor stranger = knock();
    wire::Hello hello = stranger.honest(0, 1);
    change(hello);
    stranger.say(hello);
    return stranger.reject();
  };
  EXPECT_EQ(refused_for([](wire::Hello& h) { h.mesh_id[0] ^= 1; }), Code::auth);
  EXPECT_EQ(refused_for([](wire::Hello& h) { h.from = 7; }), Code::auth);
  EXPECT_EQ(refused_for([](wire::Hello& h) { h.to = 0; }), Code::protocol);
  EXPECT_EQ(refused_for([](wire::Hello& h) { ++h.epoch; }), Code::protocol);
  EXPECT_EQ(refused_for([](wire::Hello& h) { h.kind = wire::HelloKind::ready; }), Code::protocol);
  // Without the proof nobody learns that the configuration differs.
  EXPECT_EQ(refused_for([](wire::Hello& h) { h.proof = {}, h.config_hash[0] ^= 1; }), Code::auth);
  real_peers_connect();
}

TEST_P(Strangers, SilentOnesDoNotHoldUpTheConnect) {
  open(1);
  std::vector<Visitor> silent;
  for (int i = 0; i < 5; ++i) silent.push_back(knock());
  std::byte half[64]{};
  silent[0].say(half, sizeof half);
  real_peers_connect();
}

TEST_P(Strangers, GarbageIsDropped) {
  open(1);
  const Seed seed;
  Random random(seed.value);
  for (int i = 0; i < 30; ++i) {
    Visitor stranger = knock();
    std::vector<std::byte> garbage(random.below(2000));
    random.fill(garbage);
    stranger.say(garbage.data(), garbage.size());
    if (random.chance(50)) stranger.leave();
  }
  Visitor browser = knock();
  browser.say("GET / HTTP/1.1\r\n\r\n", 18);
  real_peers_connect();
}

TEST_P(Strangers, HundredsThatComeAndGoLeaveRoomForThePeer) {
  open(1);
  for (int i = 0; i < 400; ++i) knock().leave();
  real_peers_connect();
}

TEST_P(Strangers, AReplayOfAHelloThatWasUsedIsRefused) {
  open(2);
  std::string unused;
  auto first = Rank::listen(*plan, 0, unused);
  ASSERT_TRUE(first->connect(*plan, 0, addresses, deadline_after_ms(5000)));
  peers.push_back(std::move(*first));
  // The acceptor installs its link a moment after the dialler has.
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  Visitor replay = knock();
  replay.say(replay.honest(0, 2));
  EXPECT_EQ(replay.reject(), Code::state);
  EXPECT_TRUE(replay.fds.empty());
  real_peers_connect(1);
}

WEFT_OVER(process_transports(), Strangers);

TEST(Peers, MoreConnectThanMayKnockAtOnce) {
  constexpr uint32_t kMany = 300;  // more than kMaxStrangers
  const MeshPlan plan("tcp", config_of(kKinds[0], {kMany, 1}, 8, 2, 2));
  std::vector<std::string> addresses(plan.members());
  auto ffn = Rank::listen(plan, kMany, addresses[kMany]);
  ASSERT_TRUE(ffn);
  Expected<void> outcome;
  std::jthread connecting([&] { outcome = ffn->connect(plan, kMany, addresses, deadline_after_ms(20'000)); });
  std::vector<Visitor> visitors;
  for (uint32_t a = 0; a < kMany; ++a) {
    Visitor& visitor = visitors.emplace_back(plan, addresses[kMany]);
    visitor.say(visitor.honest(a, kMany));
    const auto accept = visitor.hear();
    ASSERT_TRUE(accept) << "peer " << a << " was not answered";
    ASSERT_EQ(accept->kind, wire::HelloKind::accept);
    visitor.say(visitor.honest(a, kMany, wire::HelloKind::ready));
  }
  connecting.join();
  EXPECT_TRUE(outcome) << outcome.error().what;
}

}  // namespace
}  // namespace weft::test
