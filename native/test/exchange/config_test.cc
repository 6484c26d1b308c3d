#include "exchange/config.h"

#include <gtest/gtest.h>

#include <functional>

#include "exchange/arena_plan.h"
#include "memory/arena.h"
#include "support/configs.h"

namespace weft::test {
namespace {

ExchangeConfig good() { return config_of(kKinds[3], {2, 3}, 256, 32, 3); }

Code after(const std::function<void(ExchangeConfig&)>& change) {
  ExchangeConfig config = good();
  change(config);
  return config.check().code;
}

TEST(ExchangeConfig, AllKindsOfTheTestsAreFine) {
  for (const Kind& kind : kKinds)
    EXPECT_EQ(config_of(kind, {3, 4}, 129, 7, 2).check().code, Code::ok) << kind.name;
}

TEST(ExchangeConfig, EveryBoundIsChecked) {
  using C = ExchangeConfig;
  EXPECT_EQ(after([](C&) {}), Code::ok);
  EXPECT_EQ(after([](C& c) { c.attention = 0; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.ffn = 0; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.attention = 65536; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.hidden = 0; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.hidden = (1 << 24) + 1; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.max_tokens = 0; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.max_tokens = wire::kMaxRows + 1; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.depth = 1; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.depth = 1025; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.meta_capacity = 65536; }), Code::invalid_argument);
}

TEST(ExchangeConfig, ExpertsArePlacedOnRanksThatExist) {
  using C = ExchangeConfig;
  EXPECT_EQ(after([](C& c) { c.top_k = 0; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.experts = 0; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.top_k = c.experts + 1; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.placement = {0, 1, 2}; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) {
              c.placement = {}, c.placement.add(3);
              for (uint32_t e = 1; e < c.experts; ++e) c.placement.add(0);
            }),
            Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.max_tokens = wire::kMaxRows / c.top_k + 1; }), Code::invalid_argument);
  const auto without_experts = [](C& c) { c.experts = c.top_k = 0, c.placement = {}; };
  EXPECT_EQ(after(without_experts), Code::invalid_argument) << "routed";
  EXPECT_EQ(after([&](C& c) { without_experts(c), c.routed = false; }), Code::invalid_argument) << "weighted";
  EXPECT_EQ(after([&](C& c) { without_experts(c), c.routed = false, c.combine = CombineKind::sum; }),
            Code::ok);
}

TEST(ExchangeConfig, RowsOfBytesAreNotSummed) {
  using C = ExchangeConfig;
  EXPECT_EQ(after([](C& c) { c.dispatch = RowType::u8; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.dispatch = RowType::u8, c.combine = CombineKind::none; }), Code::ok);
}

TEST(ExchangeConfig, ARoundLargerThanAFrameIsRefused) {
  using C = ExchangeConfig;
  EXPECT_EQ(after([](C& c) { c.hidden = 1 << 24, c.max_tokens = 4; }), Code::ok);
  EXPECT_EQ(after([](C& c) { c.hidden = 1 << 24, c.max_tokens = 1000; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.extra_columns = {UINT32_MAX}; }), Code::invalid_argument);
  EXPECT_EQ(after([](C& c) { c.extra_columns = {UINT32_MAX, UINT32_MAX}; }), Code::invalid_argument);
}

TEST(ExchangeConfig, ColumnsComeInAFixedOrder) {
  auto config = good();  // fp8, experts, three extra columns
  config.hidden = 300;   // three groups of scales, the last shorter
  const auto layout = dispatch_layout(config);
  EXPECT_EQ(layout.shape().column_bytes, (std::vector<uint32_t>{300, 3 * 4, 4 * 4, 4 * 4, 4, 1, 12}));
  const DispatchColumns columns = dispatch_columns(config);
  EXPECT_EQ(columns.hidden, 0u);
  EXPECT_EQ(columns.scales, 1u);
  EXPECT_EQ(columns.experts, 2u);
  EXPECT_EQ(columns.weights, 3u);
  EXPECT_EQ(columns.first_extra, 4u);
  const DispatchColumns plain = dispatch_columns(config_of(kKinds[0], {1, 1}, 8, 4, 2));
  EXPECT_EQ(plain.scales, kNoColumn);
  EXPECT_EQ(plain.experts, kNoColumn);
  EXPECT_EQ(plain.weights, kNoColumn);
  EXPECT_EQ(plain.first_extra, 1u);
}

TEST(ExchangeConfig, RepliesHaveARowForEachTokenOrSelection) {
  const auto reply = [](uint32_t kind) {
    return reply_layout(config_of(kKinds[kind], {2, 3}, 10, 8, 2)).shape();
  };
  EXPECT_EQ(reply(0).max_rows, 8u);
  EXPECT_EQ(reply(0).column_bytes, std::vector<uint32_t>{20});
  EXPECT_EQ(reply(3).max_rows, 8u * 4);
  EXPECT_EQ(reply(4).column_bytes, std::vector<uint32_t>{10}) << "bytes come back as bytes";
  EXPECT_EQ(reply(0).destinations, 1u);
}

TEST(ExchangeConfig, PublicationsAndTheHeapFollowEachOtherInTheArena) {
  const auto layout = reply_layout(good());
  EXPECT_EQ(publication_offset(layout, 0), kArenaHeaderBytes);
  EXPECT_EQ(publication_offset(layout, 2), kArenaHeaderBytes + 2 * layout.bytes());
  EXPECT_EQ(ArenaPlan(good()).reply_at(1), publication_offset(layout, 1));
}

}  // namespace
}  // namespace weft::test
