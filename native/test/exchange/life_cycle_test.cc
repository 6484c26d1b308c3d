// A slot's life: claimed, published, combined, free; given back, abandoned, failed, quiesced.
#include <gtest/gtest.h>

#include "support/steps.h"

namespace weft::test {
namespace {

using LifeCycle = OnTransports;

TEST_P(LifeCycle, GenerationsCountUpAndDepthOfThemAreInFlight) {
  Steps steps(GetParam(), plain_config({1, 1}, 8, 3));
  EXPECT_EQ(steps.dispatch(0, 1), 1u);
  EXPECT_EQ(steps.dispatch(0, 2), 2u);
  EXPECT_EQ(steps.dispatch(0, 3), 3u);
  uint64_t g = 99;
  EXPECT_EQ(steps.attention(0).claim(g), Code::slot_busy);
  EXPECT_EQ(g, 99u);
  // The second being done doesn't help: the next generation needs the slot of the first.
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(steps.collect(0), Code::ok);
    ASSERT_EQ(steps.reply(0, 0), Code::ok);
  }
  ASSERT_EQ(steps.combine(0, 2), Code::ok);
  EXPECT_EQ(steps.attention(0).claim(g), Code::slot_busy);
  ASSERT_EQ(steps.combine(0, 1), Code::ok);
  EXPECT_EQ(steps.claim(0), 4u);
}

TEST_P(LifeCycle, AClaimedSlotCanBeGivenBackAndItsNumberIsUsedAgain) {
  Steps steps(GetParam(), plain_config({1, 1}));
  AttentionSide& side = steps.attention(0);
  for (int i = 0; i < 5; ++i) {
    const uint64_t g = steps.claim(0);
    EXPECT_EQ(g, 1u + static_cast<uint64_t>(i));
    EXPECT_EQ(side.unclaim(g), Code::ok);
    EXPECT_EQ(side.unclaim(g), Code::state);
    EXPECT_EQ(steps.dispatch(0, 2), g);
    EXPECT_EQ(side.unclaim(g), Code::state) << "it was published";
    ASSERT_EQ(steps.collect(0), Code::ok);
    ASSERT_EQ(steps.reply(0, 0, 5), Code::ok);
    ASSERT_EQ(steps.combine(0, g), Code::ok);
    EXPECT_EQ(steps.result(1), 7);
  }
}

TEST_P(LifeCycle, OnlyTheLastClaimCanBeGivenBack) {
  Steps steps(GetParam(), plain_config({1, 1}));
  const uint64_t first = steps.claim(0), second = steps.claim(0);
  EXPECT_EQ(steps.attention(0).unclaim(first), Code::state);
  EXPECT_EQ(steps.attention(0).unclaim(second), Code::ok);
  EXPECT_EQ(steps.attention(0).unclaim(first), Code::ok);
}

TEST_P(LifeCycle, CallsThatDoNotFitTheStateAreRefused) {
  Steps steps(GetParam(), plain_config({1, 1}));
  AttentionSide& side = steps.attention(0);
  EXPECT_EQ(side.publish(1, 1, 1, 0, 0), Code::state) << "not claimed";
  const uint64_t g = steps.claim(0);
  steps.fill(0, g, 4);
  EXPECT_EQ(side.publish(g + 1, 1, 1, 0, 0), Code::state);
  EXPECT_EQ(side.publish(g, 4, 2, 0, 0), Code::ok);
  EXPECT_EQ(side.publish(g, 5, 3, 0, 0), Code::state) << "the rows of a round don't change";
  EXPECT_EQ(side.publish(g, 4, 1, 0, 0), Code::state) << "what is final stays final";
  EXPECT_EQ(side.publish(g, 4, 4, 0, 0), Code::ok);
  EXPECT_EQ(side.publish(g, 4, 4, 0, 0), Code::ok) << "nothing new is fine";
  EXPECT_EQ(side.publish(g, 4, 3, 0, 0), Code::state);
  ASSERT_EQ(steps.collect(0), Code::ok);
  ASSERT_EQ(steps.reply(0, 0), Code::ok);
  ASSERT_EQ(steps.combine(0, g), Code::ok);
  EXPECT_EQ(steps.result(3), 4);
  EXPECT_EQ(side.publish(g, 4, 4, 0, 0), Code::state) << "combined";
  EXPECT_EQ(side.abandon(g + 10), Code::state);
}

TEST_P(LifeCycle, ACombineCanBeRetriedAfterItsDeadline) {
  Steps steps(GetParam(), plain_config({1, 2}));
  const uint64_t g = steps.dispatch(0, 4);
  ASSERT_EQ(steps.collect(0), Code::ok);
  ASSERT_EQ(steps.reply(0, 0, 10), Code::ok);
  const int64_t start = now_ns();
  EXPECT_EQ(steps.combine(0, g, 20), Code::deadline);
  EXPECT_GE(now_ns() - start, 20'000'000);
  EXPECT_FALSE(steps.attention(0).combine(g).complete(1)) << "the one who is waited for is known";
  EXPECT_EQ(steps.combine(0, g, 0), Code::deadline);
  ASSERT_EQ(steps.collect(1), Code::ok);
  ASSERT_EQ(steps.reply(1, 0, 100), Code::ok);
  EXPECT_EQ(steps.combine(0, g), Code::ok);
  for (uint32_t row = 0; row < 4; ++row) EXPECT_EQ(steps.result(row), 2 * static_cast<float>(row + 1) + 110);
  EXPECT_TRUE(steps.out.intact_beyond(4 * 8 * 2));
  EXPECT_EQ(steps.attention(0).phase(g), SlotPhase::free);
}

TEST_P(LifeCycle, ACancelledCombineCanBeRetriedToo) {
  Steps steps(GetParam(), plain_config({1, 1}));
  const uint64_t g = steps.dispatch(0, 1);
  Combine& combine = steps.attention(0).combine(g);
  combine.aim(steps.out.data(), false);
  combine.rearm(deadline_after_ms(10'000));
  std::atomic<int32_t> flag{1};
  EXPECT_EQ(steps.attention_endpoint(0).wait(combine, &flag), Code::aborted);
  steps.attention(0).finish(g, Code::aborted);
  EXPECT_EQ(steps.attention(0).phase(g), SlotPhase::begun);
  ASSERT_EQ(steps.collect(0), Code::ok);
  ASSERT_EQ(steps.reply(0, 0), Code::ok);
  EXPECT_EQ(steps.combine(0, g), Code::ok);
}

TEST_P(LifeCycle, AnAbandonedRoundComesBackWhenAllRanksHaveReplied) {
  Steps steps(GetParam(), plain_config({1, 2}, 8, 2));
  const uint64_t g = steps.dispatch(0, 2);
  EXPECT_EQ(steps.attention(0).abandon(g), Code::ok);
  EXPECT_EQ(steps.attention(0).phase(g), SlotPhase::abandoned);
  steps.dispatch(0, 2);
  uint64_t next;
  EXPECT_EQ(steps.attention(0).claim(next), Code::slot_busy);
  ASSERT_EQ(steps.collect(0), Code::ok);
  ASSERT_EQ(steps.reply(0, 0), Code::ok);
  EXPECT_EQ(steps.attention(0).claim(next), Code::slot_busy) << "rank 1 may still be reading";
  ASSERT_EQ(steps.collect(1), Code::ok);
  ASSERT_EQ(steps.reply(1, 0), Code::ok);
  // On tcp the last reply takes a moment.
  Code code = Code::slot_busy;
  for (const int64_t until = deadline_after_ms(5000); code == Code::slot_busy && now_ns() < until;)
    code = steps.attention(0).claim(next);
  EXPECT_EQ(code, Code::ok);
  EXPECT_EQ(next, 3u);
}

TEST_P(LifeCycle, AnAbandonedClaimIsFreeAtOnce) {
  Steps steps(GetParam(), plain_config({1, 1}));
  const uint64_t g = steps.claim(0);
  EXPECT_EQ(steps.attention(0).abandon(g), Code::ok);
  EXPECT_EQ(steps.claim(0), g);
}

TEST_P(LifeCycle, APeerThatClosedNoLongerReads) {
  Steps steps(GetParam(), plain_config({1, 2}, 8, 2));
  const uint64_t g = steps.dispatch(0, 2);
  ASSERT_EQ(steps.collect(0), Code::ok);
  ASSERT_EQ(steps.reply(0, 0), Code::ok);
  steps.ffn_endpoint(1).close();
  EXPECT_EQ(steps.combine(0, g), Code::peer_closed);
  EXPECT_EQ(steps.attention(0).combine(g).blamed, 2);
  EXPECT_EQ(steps.attention(0).phase(g), SlotPhase::failed);
  steps.dispatch(0, 1);
  EXPECT_EQ(steps.claim(0), 3u) << "quiesced: one has replied, the other is gone";
}

TEST_P(LifeCycle, WithSkipLostARoundGoesOnWithoutWhoLeft) {
  Steps steps(GetParam(), plain_config({1, 2}, 8, 2));
  steps.ffn_endpoint(1).close();
  for (int i = 0; i < 5; ++i) {
    const uint64_t g = steps.dispatch(0, 3);
    ASSERT_EQ(steps.collect(0), Code::ok);
    ASSERT_EQ(steps.reply(0, 0, 1), Code::ok);
    ASSERT_EQ(steps.combine(0, g, 10'000, true), Code::ok);
    EXPECT_EQ(steps.result(2), 4) << "rank 0 alone";
    EXPECT_TRUE(steps.attention(0).combine(g).complete(0));
    EXPECT_FALSE(steps.attention(0).combine(g).complete(1));
  }
  steps.ffn_endpoint(0).close();
  const uint64_t g = steps.dispatch(0, 3);
  ASSERT_EQ(steps.combine(0, g, 10'000, true), Code::peer_lost) << "a result of nobody's is none";
}

TEST_P(LifeCycle, ARoundThatFailedCanBeCombinedWithoutWhoWasLost) {
  Steps steps(GetParam(), plain_config({1, 2}, 8, 2));
  const uint64_t g = steps.dispatch(0, 3);
  ASSERT_EQ(steps.collect(0), Code::ok);
  ASSERT_EQ(steps.reply(0, 0, 5), Code::ok);
  steps.ffn_endpoint(1).close();
  ASSERT_EQ(steps.combine(0, g), Code::peer_closed);
  EXPECT_EQ(steps.attention(0).phase(g), SlotPhase::failed);
  ASSERT_TRUE(steps.attention(0).reopen(g));
  ASSERT_EQ(steps.combine(0, g, 10'000, true), Code::ok);
  EXPECT_EQ(steps.result(2), 8);
  EXPECT_EQ(steps.attention(0).phase(g), SlotPhase::free);
  EXPECT_FALSE(steps.attention(0).reopen(g));
  EXPECT_FALSE(steps.attention(0).reopen(g + 1));
}

TEST_P(LifeCycle, WhatALostRankContributedDoesNotDependOnWhenItWasLost) {
  Steps steps(GetParam(), plain_config({1, 2}, 8, 2));
  const uint64_t g = steps.dispatch(0, 6);
  for (uint32_t f = 0; f < 2; ++f) ASSERT_EQ(steps.collect(f), Code::ok);
  steps.compute(0, 0, g, 0, 6, 0);
  ASSERT_EQ(steps.ffn(0).reply(0, g, 6, 4), Code::ok);
  steps.compute(1, 0, g, 0, 3, 100);
  ASSERT_EQ(steps.ffn(1).reply(0, g, 6, 3), Code::ok);
  Combine& combine = steps.attention(0).combine(g);
  combine.aim(steps.out.data(), false, OnLoss::skip);
  combine.rearm(deadline_after_ms(50));
  ASSERT_EQ(steps.attention_endpoint(0).wait(combine), Code::deadline);
  EXPECT_EQ(combine.done_rows(), 3u) << "three rows are summed already";
  steps.ffn_endpoint(1).close();
  ASSERT_EQ(steps.ffn(0).reply(0, g, 6, 6), Code::ok);
  combine.rearm(deadline_after_ms(10'000));
  ASSERT_EQ(steps.attention_endpoint(0).wait(combine), Code::ok);
  for (uint32_t row = 0; row < 6; ++row)
    EXPECT_EQ(steps.result(row), static_cast<float>(row + 1)) << "row " << row;
  steps.attention(0).finish(g, Code::ok);
}

TEST_P(LifeCycle, AbandoningCompletesWhatFfnRanksWaitFor) {
  Steps steps(GetParam(), plain_config({1, 1}, 8, 3));
  const uint64_t streamed = steps.claim(0), claimed = steps.claim(0), last = steps.claim(0);
  ASSERT_EQ(steps.attention(0).publish(streamed, 5, 2, 0, 0), Code::ok);
  ASSERT_EQ(steps.attention(0).publish(last, 1, 1, 0, 0), Code::ok);
  EXPECT_EQ(steps.collect(0, Gather::any, 5), Code::deadline) << "rounds are collected in order";
  ASSERT_EQ(steps.attention(0).abandon(streamed), Code::ok);
  ASSERT_EQ(steps.attention(0).abandon(claimed), Code::ok);
  for (const uint32_t rows : {5u, 0u, 1u}) {
    ASSERT_EQ(steps.collect(0), Code::ok);
    EXPECT_EQ(steps.ffn(0).part(0, steps.ffn(0).collected(0)).view.rows, rows);
    ASSERT_EQ(steps.reply(0, 0), Code::ok);
  }
  EXPECT_EQ(steps.combine(0, last), Code::ok);
}

TEST_P(LifeCycle, ADroppedPeerIsLostToUsAndWeToIt) {
  Steps steps(GetParam(), plain_config({1, 2}, 8, 2));
  const uint64_t g = steps.dispatch(0, 2);
  ASSERT_EQ(steps.collect(0), Code::ok);
  ASSERT_EQ(steps.reply(0, 0), Code::ok);
  steps.attention_endpoint(0).drop(1);
  EXPECT_EQ(steps.combine(0, g), Code::peer_lost);
  EXPECT_EQ(steps.attention(0).combine(g).blamed, 2);
  Code code = Code::ok;
  while (code == Code::ok) code = steps.collect(1);  // what was there before still counts
  EXPECT_EQ(code, Code::peer_lost);
  EXPECT_EQ(steps.ffn(1).collect().blamed, 0);
}

TEST_P(LifeCycle, WhatWasRepliedBeforeAPeerLeftCounts) {
  Steps steps(GetParam(), plain_config({1, 1}, 8, 2));
  const uint64_t g = steps.dispatch(0, 3);
  ASSERT_EQ(steps.collect(0), Code::ok);
  ASSERT_EQ(steps.reply(0, 0, 2), Code::ok);
  steps.ffn_endpoint(0).close();
  EXPECT_EQ(steps.combine(0, g), Code::ok);
  EXPECT_EQ(steps.result(0), 3);
}

TEST_P(LifeCycle, AfterCloseEverythingSaysClosed) {
  Steps steps(GetParam(), plain_config({1, 1}));
  const uint64_t g = steps.claim(0);
  steps.attention_endpoint(0).close();
  steps.attention_endpoint(0).close();
  uint64_t next;
  EXPECT_EQ(steps.attention(0).claim(next), Code::closed);
  EXPECT_EQ(steps.attention(0).publish(g, 1, 1, 0, 0), Code::closed);
  steps.ffn_endpoint(0).close();
  EXPECT_EQ(steps.ffn(0).reply(0, 1, 1, 1), Code::closed);
}

WEFT_ON_TRANSPORTS(LifeCycle);

}  // namespace
}  // namespace weft::test
