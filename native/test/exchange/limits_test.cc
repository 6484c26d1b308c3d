// What does not fit is an error, and nothing of it is written or seen.
#include <gtest/gtest.h>

#include <climits>

#include "support/steps.h"

namespace weft::test {
namespace {

using Limits = OnTransports;

std::vector<std::byte> publication(Steps& steps) {
  const auto& layout = *steps.mesh->plan.dispatch;
  const std::byte* base = steps.attention_endpoint(0).arena().data() + publication_offset(layout, 0);
  return {base, base + layout.bytes()};
}

TEST_P(Limits, TooManyRowsAreAnErrorAndNeverAWrite) {
  Steps steps(GetParam(), plain_config({1, 1}, 8));
  AttentionSide& side = steps.attention(0);
  const uint64_t g = steps.claim(0);
  const auto before = publication(steps);
  EXPECT_EQ(side.publish(g, 9, 9, 0, 0), Code::too_many_rows);
  EXPECT_EQ(side.publish(g, UINT32_MAX, 0, 0, 0), Code::too_many_rows);
  EXPECT_EQ(side.publish(g, 9, 0, 0, 0), Code::too_many_rows);
  EXPECT_EQ(side.publish(g, 4, 5, 0, 0), Code::too_many_rows) << "more final rows than rows";
  EXPECT_EQ(side.publish(g, 4, UINT32_MAX, 0, 0), Code::too_many_rows);
  EXPECT_EQ(publication(steps), before);
  EXPECT_EQ(steps.collect(0, Gather::any, 5), Code::deadline) << "nothing was seen of it";
  steps.fill(0, g, 8);
  EXPECT_EQ(side.publish(g, 8, 8, 0, 0), Code::ok) << "the slot is as good as before";
  ASSERT_EQ(steps.collect(0), Code::ok);
  ASSERT_EQ(steps.reply(0, 0), Code::ok);
  EXPECT_EQ(steps.combine(0, g), Code::ok);
  EXPECT_TRUE(steps.out.intact_beyond(8 * 8 * 2));
}

TEST_P(Limits, TooMuchMetadataIsAnError) {
  auto config = plain_config({1, 1});
  config.meta_capacity = 10;
  Steps steps(GetParam(), config);
  const uint64_t g = steps.claim(0);
  const auto before = publication(steps);
  EXPECT_EQ(steps.attention(0).publish(g, 1, 1, 0, 11), Code::invalid_argument);
  EXPECT_EQ(steps.attention(0).publish(g, 1, 1, 0, UINT16_MAX), Code::invalid_argument);
  EXPECT_EQ(publication(steps), before);
  EXPECT_EQ(steps.attention(0).publish(g, 1, 1, 0, 10), Code::ok);
  ASSERT_EQ(steps.collect(0), Code::ok);
  EXPECT_EQ(steps.ffn(0).part(0, g).view.meta_bytes, 10);
}

TEST_P(Limits, ABadExpertIsNamedByItsTokenAndNothingIsSent) {
  for (const bool routed : {false, true}) {
    auto config = config_of(kKinds[routed ? 3 : 2], {1, 2}, 8, 8, 2);
    Steps steps(GetParam(), config);
    AttentionSide& side = steps.attention(0);
    const uint64_t g = steps.claim(0);
    const DispatchColumns columns = dispatch_columns(config);
    auto* experts = reinterpret_cast<int32_t*>(side.publisher().column(g, columns.experts));
    for (uint32_t i = 0; i < 8 * config.top_k; ++i) experts[i] = static_cast<int32_t>(i % config.experts);
    int32_t& one = experts[5 * config.top_k + config.top_k - 1];
    for (const int32_t bad : {static_cast<int32_t>(config.experts), -2, INT_MIN, INT_MAX}) {
      one = bad;
      EXPECT_EQ(side.publish(g, 8, 8, 0, 0), Code::invalid_argument);
      EXPECT_EQ(side.bad_token(g), 5u);
      EXPECT_EQ(side.phase(g), SlotPhase::claimed);
    }
    EXPECT_EQ(steps.collect(0, Gather::any, 5), Code::deadline);
    EXPECT_EQ(side.publish(g, 5, 5, 0, 0), Code::ok) << "rows beyond the round don't matter";
    ASSERT_EQ(steps.collect(0), Code::ok);
    EXPECT_EQ(steps.ffn(0).part(0, g).view.rows, 5u);
  }
}

TEST_P(Limits, ARankThatNobodyChoseTakesNothingAndStillReplies) {
  auto config = config_of(kKinds[1], {1, 2}, 8, 8, 2);
  Steps steps(GetParam(), config);
  const uint64_t g = steps.claim(0);
  const DispatchColumns columns = dispatch_columns(config);
  auto* experts = reinterpret_cast<int32_t*>(steps.attention(0).publisher().column(g, columns.experts));
  // All tokens to one expert.
  for (uint32_t i = 0; i < 8 * config.top_k; ++i) experts[i] = 1;
  const uint32_t chosen = config.placement.of(1)[0];
  ASSERT_EQ(steps.attention(0).publish(g, 8, 8, 0, 0), Code::ok);
  for (uint32_t f = 0; f < 2; ++f) {
    ASSERT_EQ(steps.collect(f), Code::ok);
    const uint32_t taken = steps.ffn(f).part(0, g).view.taken;
    EXPECT_EQ(taken, f == chosen ? 8u : 0u);
    EXPECT_EQ(steps.ffn(f).reply(0, g, taken, taken), Code::ok);
  }
  EXPECT_EQ(steps.combine(0, g), Code::ok);
}

TEST_P(Limits, ATokenThatNoExpertTakesCombinesToZero) {
  auto config = config_of(kKinds[3], {1, 1}, 8, 4, 2);
  Steps steps(GetParam(), config);
  const uint64_t g = steps.claim(0);
  const DispatchColumns columns = dispatch_columns(config);
  auto* experts = reinterpret_cast<int32_t*>(steps.attention(0).publisher().column(g, columns.experts));
  for (uint32_t i = 0; i < 4 * config.top_k; ++i) experts[i] = -1;
  ASSERT_EQ(steps.attention(0).publish(g, 4, 4, 0, 0), Code::ok);
  ASSERT_EQ(steps.collect(0), Code::ok);
  EXPECT_EQ(steps.ffn(0).part(0, g).selections.count, 0u);
  ASSERT_EQ(steps.ffn(0).reply(0, g, 0, 0), Code::ok);
  ASSERT_EQ(steps.combine(0, g), Code::ok);
  for (size_t i = 0; i < 4 * 8 * 2; ++i) EXPECT_EQ(steps.out.data()[i], std::byte{0});
}

WEFT_ON_TRANSPORTS(Limits);

}  // namespace
}  // namespace weft::test
