// Streamed rounds: what is final is seen at once, on both ways, before the rest is there.
#include <gtest/gtest.h>

#include "support/steps.h"

namespace weft::test {
namespace {

using Streamed = OnTransports;

// On tcp what was published takes a moment.
template <class Condition>
bool soon(Condition condition) {
  for (const int64_t until = deadline_after_ms(5000); now_ns() < until;)
    if (condition()) return true;
  return false;
}

TEST_P(Streamed, TheFfnSideSeesBlocksAsTheyBecomeFinal) {
  Steps steps(GetParam(), plain_config({1, 1}, 10));
  const uint64_t g = steps.claim(0);
  EXPECT_EQ(steps.attention(0).publish(g, 10, 0, 0, 0), Code::ok);
  EXPECT_EQ(steps.collect(0, Gather::any, 5), Code::deadline) << "unstreamed collects wait for all rows";
  ASSERT_EQ(steps.collect(0, Gather::any, 5000, 1, 0, true), Code::ok);
  EXPECT_EQ(steps.ffn(0).part(0, g).view.rows, 10u);
  EXPECT_EQ(steps.ffn(0).available(0, g), 0u);
  steps.fill(0, g, 10);
  for (const uint32_t rows : {1u, 4u, 4u, 9u, 10u}) {
    EXPECT_EQ(steps.attention(0).publish(g, 10, rows, 0, 0), Code::ok);
    EXPECT_TRUE(soon([&] { return steps.ffn(0).available(0, g) == rows; }));
    const auto* x = reinterpret_cast<const uint16_t*>(steps.ffn(0).subscriber(0).column(g, 0));
    EXPECT_EQ(Steps::f32(x[(rows - 1) * 8]), static_cast<float>(rows));
  }
}

TEST_P(Streamed, TheAttentionSideReducesBlocksAsTheyArrive) {
  Steps steps(GetParam(), plain_config({1, 2}, 10));
  const uint64_t g = steps.dispatch(0, 10);
  for (uint32_t f = 0; f < 2; ++f) ASSERT_EQ(steps.collect(f), Code::ok);
  steps.out.repaint();
  Combine& combine = steps.attention(0).combine(g);
  combine.aim(steps.out.data(), false);
  EXPECT_EQ(combine.step(), Code::again);
  EXPECT_EQ(combine.done_rows(), 0u);
  const auto publish = [&](uint32_t f, uint32_t from, uint32_t to) {
    steps.compute(f, 0, g, from, to, 0);
    EXPECT_EQ(steps.ffn(f).reply(0, g, 10, to), Code::ok);
  };
  publish(0, 0, 6);
  publish(1, 0, 4);
  EXPECT_TRUE(soon([&] { return combine.step() == Code::again && combine.done_rows() == 4; }));
  EXPECT_TRUE(steps.out.intact_beyond(4 * 8 * 2)) << "rows that are not final were written";
  EXPECT_EQ(steps.result(3), 8);
  publish(1, 4, 10);
  EXPECT_TRUE(soon([&] { return combine.step() == Code::again && combine.done_rows() == 6; }));
  publish(0, 6, 10);
  EXPECT_TRUE(soon([&] { return combine.step() == Code::ok; }));
  EXPECT_EQ(combine.done_rows(), 10u);
  EXPECT_EQ(steps.result(9), 20);
  steps.attention(0).finish(g, Code::ok);
}

TEST_P(Streamed, APartWithRowsMissingCannotBeRepliedTo) {
  Steps steps(GetParam(), plain_config({1, 1}, 10));
  const uint64_t g = steps.claim(0);
  steps.fill(0, g, 10);
  EXPECT_EQ(steps.attention(0).publish(g, 10, 7, 0, 0), Code::ok);
  ASSERT_EQ(steps.collect(0, Gather::any, 5000, 1, 0, true), Code::ok);
  EXPECT_EQ(steps.ffn(0).reply(0, g, 10, 5), Code::ok) << "a part of the reply may go before";
  EXPECT_EQ(steps.ffn(0).reply(0, g, 10, 10), Code::again);
  EXPECT_EQ(steps.attention(0).publish(g, 10, 10, 0, 0), Code::ok);
  EXPECT_TRUE(soon([&] { return steps.ffn(0).reply(0, g, 10, 10) == Code::ok; }));
  EXPECT_EQ(steps.ffn(0).reply(0, g, 10, 10), Code::state) << "the part has ended";
}

TEST_P(Streamed, RepliesKeepWithinTheirBounds) {
  Steps steps(GetParam(), plain_config({1, 1}, 10));
  steps.dispatch(0, 6);
  ASSERT_EQ(steps.collect(0), Code::ok);
  FfnSide& ffn = steps.ffn(0);
  EXPECT_EQ(ffn.reply(0, 2, 6, 6), Code::state) << "never collected";
  EXPECT_EQ(ffn.reply(0, 1, 7, 7), Code::too_many_rows);
  EXPECT_EQ(ffn.reply(0, 1, 5, 5), Code::too_many_rows) << "one row for each that was taken";
  EXPECT_EQ(ffn.reply(0, 1, 6, 7), Code::too_many_rows);
  EXPECT_EQ(ffn.reply(0, 1, 6, 3), Code::ok);
  EXPECT_EQ(ffn.reply(0, 1, 6, 2), Code::too_many_rows) << "what is final stays final";
  EXPECT_EQ(ffn.reply(0, 1, 6, 6), Code::ok);
}

TEST_P(Streamed, AFreeFormReplyKeepsItsSize) {
  auto config = config_of(kKinds[4], {1, 1}, 16, 8, 2);
  config.extra_columns.clear();
  Steps steps(GetParam(), config);
  const uint64_t g = steps.claim(0);
  ASSERT_EQ(steps.attention(0).publish(g, 2, 2, 0, 0), Code::ok);
  ASSERT_EQ(steps.collect(0), Code::ok);
  FfnSide& ffn = steps.ffn(0);
  EXPECT_EQ(ffn.reply(0, g, 9, 1), Code::too_many_rows);
  EXPECT_EQ(ffn.reply(0, g, 8, 1), Code::ok);
  EXPECT_EQ(ffn.reply(0, g, 5, 5), Code::too_many_rows) << "it has begun with eight rows";
  EXPECT_EQ(ffn.reply(0, g, 8, 8), Code::ok);
  EXPECT_EQ(steps.combine(0, g), Code::ok);
  EXPECT_EQ(steps.attention(0).combine(g).reply_rows(0), 8u);
}

// Choices of `kind`, of which `final_rows` are final.
void begin_with_choices(Steps& steps, const ExchangeConfig& config, uint32_t final_rows, uint64_t& g) {
  g = steps.claim(0);
  const uint32_t column = dispatch_columns(config).experts;
  auto* experts = reinterpret_cast<int32_t*>(steps.attention(0).publisher().column(g, column));
  for (uint32_t i = 0; i < 8 * config.top_k; ++i) experts[i] = static_cast<int32_t>(i % config.experts);
  ASSERT_EQ(steps.attention(0).publish(g, 8, final_rows, 0, 0), Code::ok);
  ASSERT_EQ(steps.collect(0, Gather::any, 5000, 1, 0, true), Code::ok);
}

TEST_P(Streamed, ChoicesThatRoutingFollowsFromComeFirst) {
  for (const size_t kind : {1u, 2u, 3u}) {
    SCOPED_TRACE(kKinds[kind].name);
    const auto config = config_of(kKinds[kind], {1, 1}, 8, 8, 2);
    Steps steps(GetParam(), config);
    uint64_t g = 0;
    begin_with_choices(steps, config, 0, g);
    FfnSide& ffn = steps.ffn(0);
    ASSERT_EQ(ffn.select(0, g), Code::ok);
    const Part& part = ffn.part(0, g);
    ASSERT_EQ(part.selections.count, 8 * config.top_k);
    for (uint32_t i = 0; i < part.selections.count; ++i)
      EXPECT_EQ(part.selections.expert[i], static_cast<int32_t>(i % config.experts));
    EXPECT_EQ(ffn.available(0, g), 0u);
    const uint32_t rows = config.combine == CombineKind::weighted ? 8 * config.top_k : 8;
    EXPECT_EQ(ffn.reply(0, g, rows, 1), Code::ok) << "a part of the reply may go before";
    EXPECT_EQ(ffn.reply(0, g, rows, rows), Code::again);
    ASSERT_EQ(steps.attention(0).publish(g, 8, 8, 0, 0), Code::ok);
    EXPECT_TRUE(soon([&] { return ffn.reply(0, g, rows, rows) == Code::ok; }));
  }
}

TEST_P(Streamed, OtherChoicesComeWithTheirRows) {
  const auto config = config_of(kKinds[6], {1, 1}, 8, 8, 2);
  Steps steps(GetParam(), config);
  uint64_t g = 0;
  begin_with_choices(steps, config, 4, g);
  EXPECT_EQ(steps.ffn(0).select(0, g), Code::again);
  ASSERT_EQ(steps.attention(0).publish(g, 8, 8, 0, 0), Code::ok);
  EXPECT_TRUE(soon([&] { return steps.ffn(0).select(0, g) == Code::ok; }));
  EXPECT_EQ(steps.ffn(0).part(0, g).selections.count, 8 * config.top_k);
}

WEFT_ON_TRANSPORTS(Streamed);

}  // namespace
}  // namespace weft::test
