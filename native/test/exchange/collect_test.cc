// Gathering: any, all, at least so many; who leaves; who comes first.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "support/process.h"
#include "support/steps.h"

namespace weft::test {
namespace {

using Collecting = OnTransports;

std::vector<uint32_t> sorted(std::vector<uint32_t> ranks) {
  std::sort(ranks.begin(), ranks.end());
  return ranks;
}

TEST_P(Collecting, AnyTakesEveryRankThatIsReady) {
  Steps steps(GetParam(), plain_config({3, 1}));
  EXPECT_EQ(steps.collect(0, Gather::any, 5), Code::deadline);
  steps.dispatch(1, 1);
  ASSERT_EQ(steps.collect(0), Code::ok);
  EXPECT_EQ(steps.collected(0), std::vector<uint32_t>{1});
  const uint64_t g0 = steps.dispatch(0, 1), g2 = steps.dispatch(2, 1);
  RoundView view;
  ASSERT_TRUE(until([&] {
    return steps.ffn(0).subscriber(0).look(g0, view) == Code::ok &&
           steps.ffn(0).subscriber(2).look(g2, view) == Code::ok;
  })) << "the service thread brings them";
  ASSERT_EQ(steps.collect(0), Code::ok);
  EXPECT_EQ(sorted(steps.collected(0)), (std::vector<uint32_t>{0, 2}));
}

TEST_P(Collecting, AllWaitsForEveryRankThatIsThere) {
  Steps steps(GetParam(), plain_config({3, 1}));
  steps.dispatch(0, 1);
  steps.dispatch(1, 0);
  EXPECT_EQ(steps.collect(0, Gather::all, 20), Code::deadline);
  steps.dispatch(2, 3);
  ASSERT_EQ(steps.collect(0, Gather::all), Code::ok);
  EXPECT_EQ(sorted(steps.collected(0)), (std::vector<uint32_t>{0, 1, 2}));
  for (uint32_t a = 0; a < 3; ++a) ASSERT_EQ(steps.reply(0, a), Code::ok);
  steps.attention_endpoint(1).close();
  steps.dispatch(0, 1);
  steps.dispatch(2, 1);
  ASSERT_EQ(steps.collect(0, Gather::all), Code::ok) << "who left is not waited for";
  EXPECT_EQ(sorted(steps.collected(0)), (std::vector<uint32_t>{0, 2}));
}

TEST_P(Collecting, AtLeastTakesWhatIsThereWhenItsTimeIsUp) {
  Steps steps(GetParam(), plain_config({3, 1}));
  steps.dispatch(0, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  int64_t start = now_ns();
  ASSERT_EQ(steps.collect(0, Gather::at_least, 5000, 2, 30), Code::ok);
  EXPECT_GE(now_ns() - start, 29'000'000) << "one of two: it was worth waiting";
  EXPECT_LT(now_ns() - start, 1'000'000'000);
  EXPECT_EQ(steps.collected(0), std::vector<uint32_t>{0});
  steps.dispatch(1, 1);
  steps.dispatch(2, 1);
  start = now_ns();
  ASSERT_EQ(steps.collect(0, Gather::at_least, 5000, 2, 3000), Code::ok);
  EXPECT_LT(now_ns() - start, 1'000'000'000) << "two of two: nothing to wait for";
  EXPECT_EQ(sorted(steps.collected(0)), (std::vector<uint32_t>{1, 2}));
}

TEST_P(Collecting, AtLeastOfMoreThanThereAreMeansAll) {
  Steps steps(GetParam(), plain_config({2, 1}));
  steps.dispatch(0, 1);
  steps.dispatch(1, 1);
  ASSERT_EQ(steps.collect(0, Gather::at_least, 5000, 100, 1e9), Code::ok);
  EXPECT_EQ(steps.collected(0).size(), 2u);
}

TEST_P(Collecting, ItsOwnDeadlineComesBeforeTheGatheringTime) {
  Steps steps(GetParam(), plain_config({2, 1}));
  steps.dispatch(0, 1);
  // Any time to gather is legal, forever included.
  Collect& collect = steps.ffn(0).collect();
  collect.aim(Gather::at_least, 2, kNever, false, false);
  collect.rearm(deadline_after_ms(40));
  const int64_t start = now_ns();
  EXPECT_EQ(steps.ffn_endpoint(0).wait(collect), Code::deadline);
  EXPECT_GE(now_ns() - start, 39'000'000);
  ASSERT_EQ(steps.collect(0), Code::ok) << "nothing was lost by it";
}

TEST_P(Collecting, WhoLeavesOnPurposeIsNoErrorAndTheLastOneEndsIt) {
  Steps steps(GetParam(), plain_config({2, 1}));
  steps.dispatch(0, 1);
  ASSERT_EQ(steps.collect(0), Code::ok);
  steps.attention_endpoint(0).close();
  EXPECT_EQ(steps.collect(0, Gather::any, 50), Code::deadline);
  steps.attention_endpoint(1).close();
  EXPECT_EQ(steps.collect(0), Code::unavailable);
  EXPECT_EQ(steps.collect(0), Code::unavailable);
}

TEST_P(Collecting, WhatWasDispatchedBeforeItsRankLeftIsCollected) {
  Steps steps(GetParam(), plain_config({1, 1}));
  steps.dispatch(0, 3);
  steps.attention_endpoint(0).close();
  ASSERT_EQ(steps.collect(0), Code::ok);
  const auto* x = reinterpret_cast<const uint16_t*>(steps.ffn(0).subscriber(0).column(1, 0));
  EXPECT_EQ(Steps::f32(x[2 * 8]), 3);
  EXPECT_EQ(steps.reply(0, 0), Code::ok) << "nobody reads it, but it is no error";
  EXPECT_EQ(steps.collect(0), Code::unavailable);
}

TEST_P(Collecting, RoundsOfOneRankComeInOrder) {
  Steps steps(GetParam(), plain_config({1, 1}, 8, 4));
  for (uint32_t i = 1; i <= 4; ++i) steps.dispatch(0, i);
  for (uint32_t i = 1; i <= 4; ++i) {
    ASSERT_EQ(steps.collect(0), Code::ok);
    EXPECT_EQ(steps.ffn(0).collected(0), i);
    EXPECT_EQ(steps.ffn(0).part(0, i).view.rows, i);
  }
}

TEST_P(Collecting, NobodyIsAlwaysFirst) {
  Steps steps(GetParam(), plain_config({3, 1}));
  std::vector<int> first(3);
  for (int i = 0; i < 12; ++i) {
    for (uint32_t a = 0; a < 3; ++a) steps.dispatch(a, 1);
    ASSERT_EQ(steps.collect(0, Gather::all), Code::ok);
    ASSERT_EQ(steps.collected(0).size(), 3u);
    ++first[steps.collected(0)[0]];
    for (const uint32_t a : std::vector(steps.collected(0))) ASSERT_EQ(steps.reply(0, a), Code::ok);
    for (uint32_t a = 0; a < 3; ++a) ASSERT_EQ(steps.combine(a, static_cast<uint64_t>(i) + 1), Code::ok);
  }
  EXPECT_EQ(first, (std::vector<int>{4, 4, 4}));
}

TEST_P(Collecting, ARankThatIsAlwaysReadyStarvesNobody) {
  Steps steps(GetParam(), plain_config({2, 1}, 8, 2));
  steps.dispatch(1, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  bool seen = false;
  for (uint64_t g = 1; !seen; ++g) {
    ASSERT_LE(g, 3u) << "rank 0 was served again and again";
    steps.dispatch(0, 1);
    for (bool served = false; !served;) {
      ASSERT_EQ(steps.collect(0), Code::ok);
      for (const uint32_t a : std::vector(steps.collected(0))) {
        (a == 0 ? served : seen) = true;
        ASSERT_EQ(steps.reply(0, a), Code::ok);
      }
    }
    ASSERT_EQ(steps.combine(0, g), Code::ok);
  }
}

WEFT_ON_TRANSPORTS(Collecting);

}  // namespace
}  // namespace weft::test
