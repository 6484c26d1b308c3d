// Operations left to the service thread, and closing while waits are under way.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "support/later.h"
#include "support/process.h"
#include "support/scale.h"
#include "support/steps.h"

namespace weft::test {
namespace {

using Service = OnTransports;

// A collect that nothing satisfies.
Collect& endless(Steps& steps, double deadline_ms = 30'000) {
  Collect& collect = steps.ffn(0).collect();
  collect.aim(Gather::any, 1, 0, false, false);
  collect.rearm(deadline_after_ms(deadline_ms));
  return collect;
}

TEST_P(Service, EndsWhatHasBecomeReady) {
  Steps steps(GetParam(), plain_config({1, 1}));
  Later later(endless(steps));
  ASSERT_TRUE(steps.ffn_endpoint(0).submit(later));
  EXPECT_EQ(later.outcome(20), Code::again);
  steps.dispatch(0, 2);
  EXPECT_EQ(later.outcome(), Code::ok);
  EXPECT_EQ(steps.collected(0), std::vector<uint32_t>{0});
}

TEST_P(Service, EndsWhatHasMetItsDeadline) {
  Steps steps(GetParam(), plain_config({1, 1}));
  Later later(endless(steps, 30));
  const int64_t start = now_ns();
  ASSERT_TRUE(steps.ffn_endpoint(0).submit(later));
  EXPECT_EQ(later.outcome(), Code::deadline);
  EXPECT_GE(now_ns() - start, 29'000'000);
  EXPECT_LT(now_ns() - start, 1'000'000'000);
}

TEST_P(Service, EndsWhatWasCancelled) {
  Steps steps(GetParam(), plain_config({1, 1}));
  Later later(endless(steps));
  ASSERT_TRUE(steps.ffn_endpoint(0).submit(later));
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const int64_t start = now_ns();
  later.cancel();
  steps.ffn_endpoint(0).nudge();
  EXPECT_EQ(later.outcome(), Code::aborted);
  EXPECT_LT(now_ns() - start, 1'000'000'000);
}

TEST_P(Service, TakesManyAtOnceAndSaysWhenItIsFull) {
  Steps steps(GetParam(), plain_config({1, 1}));
  Collect& collect = endless(steps);
  std::vector<std::unique_ptr<Later>> all;
  for (int i = 0; i < 64; ++i) {
    all.push_back(std::make_unique<Later>(collect));
    ASSERT_TRUE(steps.ffn_endpoint(0).submit(*all.back()));
  }
  Later late(collect);
  EXPECT_FALSE(steps.ffn_endpoint(0).submit(late));
  all[17]->cancel();
  steps.ffn_endpoint(0).nudge();
  EXPECT_EQ(all[17]->outcome(), Code::aborted);
  EXPECT_TRUE(steps.ffn_endpoint(0).submit(late));
  steps.ffn_endpoint(0).close();
  for (auto& one : all) EXPECT_EQ(one->endings(), 1);
  EXPECT_EQ(late.outcome(), Code::closed);
}

TEST_P(Service, CloseEndsWhatIsUnderWay) {
  Steps steps(GetParam(), plain_config({1, 1}));
  Later later(endless(steps));
  ASSERT_TRUE(steps.ffn_endpoint(0).submit(later));
  steps.ffn_endpoint(0).close();
  EXPECT_EQ(later.outcome(), Code::closed);
  EXPECT_EQ(later.endings(), 1);
  Later after(endless(steps));
  EXPECT_FALSE(steps.ffn_endpoint(0).submit(after));
  EXPECT_EQ(steps.ffn_endpoint(0).wait(after), Code::closed);
}

TEST_P(Service, CloseFromAnotherThreadEndsABlockingWait) {
  for (const WaitMode mode : {WaitMode::adaptive, WaitMode::spin, WaitMode::yield, WaitMode::park}) {
    WaitPolicy policy;
    policy.mode = mode;
    Steps steps(GetParam(), plain_config({1, 1}), policy);
    std::jthread closer([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      steps.ffn_endpoint(0).close();
    });
    const int64_t start = now_ns();
    EXPECT_EQ(steps.ffn_endpoint(0).wait(endless(steps)), Code::closed);
    EXPECT_LT(now_ns() - start, 2'000'000'000);
  }
}

TEST_P(Service, AnInterruptedEndpointServesNothingAnyMore) {
  Steps steps(GetParam(), plain_config({1, 1}));
  Later later(endless(steps));
  ASSERT_TRUE(steps.ffn_endpoint(0).submit(later));
  steps.ffn_endpoint(0).interrupt();
  EXPECT_EQ(steps.ffn_endpoint(0).wait(endless(steps)), Code::closed);
  steps.dispatch(0, 2);
  EXPECT_EQ(later.outcome(50), Code::again);
  steps.ffn_endpoint(0).interrupt();
  steps.ffn_endpoint(0).close();
  EXPECT_EQ(later.outcome(), Code::closed);
  EXPECT_EQ(later.endings(), 1);
}

// Exiting takes down the libraries that engines use, under a thread that polls them.
TEST_P(Service, AProcessExitsInTheMiddleOfItsWaits) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "what such a process leaves to the kernel is a leak to AddressSanitizer";
#endif
  for (uint32_t i = 0; i < scaled(5); ++i) {
    Child child([&] {
      WaitPolicy policy;
      policy.mode = WaitMode::spin;
      Steps steps(GetParam(), plain_config({1, 1}), policy);
      Later later(endless(steps));
      ASSERT_TRUE(steps.ffn_endpoint(0).submit(later));
      usleep(1000 * i);
      for (Endpoint* endpoint : {&steps.attention_endpoint(0), &steps.ffn_endpoint(0)}) endpoint->interrupt();
      std::exit(testing::Test::HasFailure() ? 1 : 0);
    });
    ASSERT_EQ(child.wait(), 0);
  }
}

TEST_P(Service, EverySubmitThatWasTakenEndsOnceHoweverCloseComesBetween) {
  for (uint32_t i = 0; i < scaled(30); ++i) {
    Steps steps(GetParam(), plain_config({1, 1}));
    Collect& collect = endless(steps);
    std::vector<std::unique_ptr<Later>> taken;
    std::jthread submitter([&] {
      for (int n = 0; n < 60; ++n) {
        auto later = std::make_unique<Later>(collect);
        if (steps.ffn_endpoint(0).submit(*later)) taken.push_back(std::move(later));
      }
    });
    std::this_thread::sleep_for(std::chrono::microseconds(i * 6));
    steps.ffn_endpoint(0).close();
    submitter.join();
    for (auto& later : taken) ASSERT_EQ(later->outcome(5000), Code::closed);
    for (auto& later : taken) ASSERT_EQ(later->endings(), 1);
  }
}

TEST_P(Service, AWaitAndSubmittedOperationsSideBySide) {
  auto config = plain_config({1, 1}, 8, 4);
  Steps steps(GetParam(), config);
  for (uint32_t i = 0; i < scaled(200); ++i) {
    // The attention side leaves two combines to the service thread and blocks on the third.
    std::vector<uint64_t> g;
    for (int n = 0; n < 3; ++n) g.push_back(steps.dispatch(0, 4));
    std::vector<std::byte> out[3];
    std::vector<std::unique_ptr<Later>> later;
    for (size_t n = 0; n < 3; ++n) {
      out[n].resize(4 * 8 * 2);
      Combine& combine = steps.attention(0).combine(g[n]);
      combine.aim(out[n].data(), false);
      combine.rearm(deadline_after_ms(20'000));
      if (n == 2) break;
      later.push_back(std::make_unique<Later>(combine));
      ASSERT_TRUE(steps.attention_endpoint(0).submit(*later.back()));
    }
    std::jthread ffn([&] {
      for (int n = 0; n < 3; ++n) {
        ASSERT_EQ(steps.collect(0), Code::ok);
        ASSERT_EQ(steps.reply(0, 0, 1), Code::ok);
      }
    });
    ASSERT_EQ(steps.attention_endpoint(0).wait(steps.attention(0).combine(g[2])), Code::ok);
    for (auto& one : later) ASSERT_EQ(one->outcome(), Code::ok);
    for (const uint64_t one : g) steps.attention(0).finish(one, Code::ok);
    ASSERT_EQ(out[0], out[1]);
    ASSERT_EQ(out[0], out[2]);
  }
}

WEFT_ON_TRANSPORTS(Service);

}  // namespace
}  // namespace weft::test
