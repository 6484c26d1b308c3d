// What a combine is given beside the replies: weights in place of those of the dispatch, and biases.
#include <gtest/gtest.h>

#include "support/steps.h"

namespace weft::test {
namespace {

using CombineInputs = OnTransports;

TEST_P(CombineInputs, BiasesAreAddedAndGoneWithTheNextRound) {
  Steps steps(GetParam(), plain_config({1, 2}, 4, 2));
  AttentionSide& side = steps.attention(0);
  const uint32_t hidden = steps.mesh->plan.config.hidden;
  const std::vector<uint16_t> one(4 * hidden, Steps::bf16(3)), two(4 * hidden, Steps::bf16(5));
  for (int round = 0; round < 6; ++round) {
    const int biases = round % 3;
    const uint64_t g = steps.dispatch(0, 4);
    for (uint32_t f = 0; f < 2; ++f) {
      ASSERT_EQ(steps.collect(f), Code::ok);
      ASSERT_EQ(steps.reply(f, 0, 10.0f * static_cast<float>(f + 1)), Code::ok);
    }
    if (biases > 0) {
      ASSERT_EQ(side.bias(g, one.data(), biases > 1 ? two.data() : nullptr), Code::ok);
    }
    ASSERT_EQ(steps.combine(0, g), Code::ok);
    const float added = biases == 0 ? 0 : biases == 1 ? 3 : 8;
    for (uint32_t row = 0; row < 4; ++row)
      ASSERT_EQ(steps.result(row), added + 30 + 2 * static_cast<float>(row + 1)) << "round " << g;
    EXPECT_EQ(side.bias(g, one.data(), nullptr), Code::state) << "combined";
  }
}

TEST_P(CombineInputs, OtherWeightsReplaceThoseOfTheDispatch) {
  const Kind kind = {"", RowType::bf16, true, CombineKind::weighted, 2};
  auto config = config_of(kind, {1, 1}, 8, 4, 2);
  config.extra_columns.clear();
  Steps steps(GetParam(), config);
  AttentionSide& side = steps.attention(0);
  const DispatchColumns columns = dispatch_columns(config);
  for (int round = 0; round < 4; ++round) {
    const uint64_t g = steps.claim(0);
    steps.fill(0, g, 4);
    auto* choices = reinterpret_cast<int32_t*>(side.publisher().column(g, columns.experts));
    auto* weights = reinterpret_cast<float*>(side.publisher().column(g, columns.weights));
    for (uint32_t i = 0; i < 8; ++i) {
      choices[i] = i == 2 ? -1 : static_cast<int32_t>(i % 2);
      weights[i] = 1;
    }
    const float others[] = {2, 3, 9, 5, 1, 2, 3, 4};
    EXPECT_EQ(side.reweigh(g, others, 8), Code::state) << "not published";
    ASSERT_EQ(side.publish(g, 4, 4, 0, 0), Code::ok);
    ASSERT_EQ(steps.collect(0), Code::ok);
    // The reply's row i is for the i-th choice, and has i + 1 in every channel.
    auto* reply = reinterpret_cast<uint16_t*>(steps.ffn(0).publisher(0).column(g, 0));
    for (uint32_t i = 0; i < 7 * config.hidden; ++i)
      reply[i] = Steps::bf16(static_cast<float>(i / config.hidden + 1));
    ASSERT_EQ(steps.ffn(0).select(0, g), Code::ok);
    ASSERT_EQ(steps.ffn(0).reply(0, g, 7, 7), Code::ok);
    const bool given = round % 2 == 1;
    EXPECT_EQ(side.reweigh(g, others, 7), Code::invalid_argument);
    EXPECT_EQ(side.reweigh(g + 1, others, 8), Code::state);
    if (given) {
      ASSERT_EQ(side.reweigh(g, others, 8), Code::ok);
    }
    ASSERT_EQ(steps.combine(0, g), Code::ok);
    EXPECT_EQ(steps.result(0), given ? 2 * 1 + 3 * 2 : 1 + 2);
    EXPECT_EQ(steps.result(1), given ? 5 * 3 : 3);
    EXPECT_EQ(steps.result(2), given ? 1 * 4 + 2 * 5 : 4 + 5);
    EXPECT_EQ(steps.result(3), given ? 3 * 6 + 4 * 7 : 6 + 7);
    EXPECT_EQ(side.reweigh(g, others, 8), Code::state) << "combined";
  }
}

TEST_P(CombineInputs, WeightsAreForCombineWeighted) {
  Steps steps(GetParam(), plain_config({1, 1}));
  const uint64_t g = steps.dispatch(0, 1);
  const float weight = 1;
  EXPECT_EQ(steps.attention(0).reweigh(g, &weight, 0), Code::invalid_argument);
}

WEFT_ON_TRANSPORTS(CombineInputs);

}  // namespace
}  // namespace weft::test
