// Connecting: who is missing is named, who differs is refused, and a connect() that fails leaves nothing
// behind.
#include <gtest/gtest.h>

#include <thread>

#include "support/configs.h"
#include "support/descriptors.h"
#include "support/process.h"
#include "support/scale.h"
#include "support/test_mesh.h"
#include "support/transports.h"

namespace weft::test {
namespace {

class Handshake : public OnTransports {
 protected:
  // M attention and N ffn members that listen.
  void listen(Shape shape) {
    plan.emplace(GetParam(), config_of(kKinds[0], shape, 8, 4, 2));
    addresses.resize(plan->members());
    for (uint32_t member = 0; member < plan->members(); ++member) {
      auto rank = Rank::listen(*plan, member, addresses[member]);
      ASSERT_TRUE(rank) << rank.error().what;
      ranks.push_back(std::move(*rank));
    }
  }
  Expected<void> connect(uint32_t member, double deadline_ms, const std::atomic<bool>* cancelled = nullptr) {
    return ranks[member].connect(*plan, member, addresses, deadline_after_ms(deadline_ms), cancelled);
  }

  std::optional<MeshPlan> plan;
  std::vector<std::string> addresses;
  std::vector<Rank> ranks;
};

TEST_P(Handshake, APeerThatNeverConnectsIsNamedByWhoListens) {
  listen({2, 1});
  std::jthread other([&] { EXPECT_TRUE(connect(0, 5000)); });
  const int64_t start = now_ns();
  const auto outcome = connect(2, slowly(200));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::deadline);
  EXPECT_EQ(outcome.error().phase, Phase::connect);
  EXPECT_EQ(outcome.error().peer, 1);
  EXPECT_LT(now_ns() - start, slowly(1'500'000'000));
}

TEST_P(Handshake, APeerThatListensButNeverAnswersIsNamedByWhoDials) {
  listen({1, 2});
  std::jthread other([&] { EXPECT_TRUE(connect(1, 5000)); });
  const int64_t start = now_ns();
  const auto outcome = connect(0, slowly(200));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::deadline);
  EXPECT_EQ(outcome.error().phase, Phase::connect);
  EXPECT_EQ(outcome.error().peer, 2);
  EXPECT_LT(now_ns() - start, slowly(1'500'000'000));
}

TEST_P(Handshake, APeerThatDoesNotEvenListenIsNamed) {
  listen({1, 1});
  addresses[1] = is_network(GetParam()) ? "127.0.0.1 1" : "tensorweft-nobody";
  const auto outcome = connect(0, 150);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::deadline);
  EXPECT_EQ(outcome.error().peer, 1);
}

TEST_P(Handshake, APeerThatStartsLateIsWaitedFor) {
  listen({1, 1});
  std::jthread late([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    EXPECT_TRUE(connect(1, 5000));
  });
  EXPECT_TRUE(connect(0, 5000));
}

TEST_P(Handshake, AnotherConfigurationIsAnErrorOnBothSides) {
  listen({1, 1});
  EndpointOptions other = plan->options(0);
  other.config_hash[31] ^= 1;
  ranks[0].endpoint = *Endpoint::create(other);
  Expected<void> ffn;
  std::jthread thread([&] { ffn = connect(1, 5000); });
  const auto attention = connect(0, 5000);
  thread.join();
  ASSERT_FALSE(attention);
  ASSERT_FALSE(ffn);
  EXPECT_EQ(attention.error().code, Code::config_mismatch);
  EXPECT_EQ(attention.error().peer, 1);
  EXPECT_EQ(ffn.error().code, Code::config_mismatch);
  EXPECT_EQ(ffn.error().peer, 0);
}

TEST_P(Handshake, AnAbortEndsItAtOnceOnEitherSide) {
  for (const uint32_t member : {0u, 1u}) {  // one dials a peer that does not answer, one waits to be dialled
    ranks.clear();
    listen({1, 1});
    std::atomic<bool> cancelled{false};
    std::jthread abort([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      cancelled = true;
    });
    const int64_t start = now_ns();
    const auto outcome = connect(member, 20'000, &cancelled);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Code::aborted);
    EXPECT_LT(now_ns() - start, 1'000'000'000);
  }
}

TEST_P(Handshake, OneRefusalDoesNotWaitForOtherPeers) {
  listen({1, 2});  // member 2 listens and never answers
  EndpointOptions other = plan->options(0);
  other.config_hash[0] ^= 1;
  ranks[0].endpoint = *Endpoint::create(other);
  std::jthread thread([&] { EXPECT_FALSE(connect(1, 5000)); });
  const int64_t start = now_ns();
  const auto outcome = connect(0, 20'000);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::config_mismatch);
  EXPECT_LT(now_ns() - start, 2'000'000'000);
}

TEST_P(Handshake, CloseOrInterruptFromAnotherThreadEndsItAtOnce) {
  for (const auto end : {&Endpoint::close, &Endpoint::interrupt})
    for (const uint32_t member : {0u, 1u}) {
      ranks.clear();
      listen({1, 1});
      std::jthread ender([&, member] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        (*ranks[member].endpoint.*end)();
      });
      const int64_t start = now_ns();
      const auto outcome = connect(member, 20'000);
      ASSERT_FALSE(outcome);
      EXPECT_EQ(outcome.error().code, Code::aborted);
      EXPECT_LT(now_ns() - start, 1'000'000'000);
    }
}

TEST_P(Handshake, CloseWhileItSucceedsIsSafe) {
  for (int i = 0; i < 20; ++i) {
    ranks.clear();
    listen({1, 1});
    std::jthread ffn([&] { (void)connect(1, 1000); });
    std::jthread closer([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(i));
      ranks[0].endpoint->close();
    });
    (void)connect(0, 1000);
    closer.join();
    ranks[1].endpoint->close();
  }
}

TEST_P(Handshake, AFailureLeavesNoDescriptorsAndNoThreads) {
  const size_t descriptors = open_descriptors(), threads = running_threads();
  for (int i = 0; i < 3; ++i) {
    listen({2, 2});
    {
      std::jthread a([&] { (void)connect(0, 100); });
      std::jthread f([&] { (void)connect(2, 100); });
    }
    ranks.clear();
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_TRUE(until([&] { return running_threads() == threads; }));
}

TEST_P(Handshake, ThePeersOfAMemberThatFailedSeeItClosed) {
  listen({1, 2});
  std::jthread ffn([&] { EXPECT_TRUE(connect(1, 5000)); });
  EXPECT_FALSE(connect(0, 300));
  ffn.join();
  ranks[0].endpoint->close();
  Collect& collect = ranks[1].ffn->collect();
  collect.aim(Gather::any, 1, 0, false, false);
  collect.rearm(deadline_after_ms(5000));
  EXPECT_EQ(ranks[1].endpoint->wait(collect), Code::unavailable);
}

WEFT_OVER(process_transports(), Handshake);

TEST(Loopback, IsForOneProcessAndShmForOneUser) {
  // The other half, a refusal of another process, is in failure_test.cc: it takes a process.
  EXPECT_NE(find_transport("loopback"), nullptr);
  EXPECT_NE(find_transport("shm"), nullptr);
  EXPECT_NE(find_transport("tcp"), nullptr);
  EXPECT_EQ(find_transport("pigeon"), nullptr);
  for (const char* name : {"loopback", "shm", "tcp"}) EXPECT_EQ(find_transport(name)->unavailable(), "");
}

}  // namespace
}  // namespace weft::test
