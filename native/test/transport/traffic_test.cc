// What links count: a round is one message each way for every peer.
#include <gtest/gtest.h>

#include "support/steps.h"
#include "support/transports.h"

namespace weft::test {
namespace {

using TrafficCounts = OnTransports;

TEST_P(TrafficCounts, ARoundIsOneMessageEachWay) {
  constexpr uint64_t kRounds = 10, kRows = 16, kHidden = 1024;
  Steps steps(GetParam(), config_of(kKinds[0], {1, 2}, kHidden, kRows, 3));
  for (uint64_t i = 0; i < kRounds; ++i) {
    const uint64_t g = steps.dispatch(0, kRows);
    for (uint32_t f = 0; f < 2; ++f) {
      ASSERT_EQ(steps.collect(f), Code::ok);
      ASSERT_EQ(steps.reply(f, 0), Code::ok);
    }
    ASSERT_EQ(steps.combine(0, g), Code::ok);
  }
  for (uint32_t f = 0; f < 2; ++f)
    for (const Link* link : {&steps.attention_endpoint(0).link(f), &steps.ffn_endpoint(f).link(0)}) {
      const weft::Traffic traffic = link->traffic();
      EXPECT_EQ(traffic.messages, kRounds);
      EXPECT_EQ(traffic.arrivals, kRounds);
      EXPECT_GE(traffic.requests, kRounds);
      EXPECT_GE(traffic.bytes, kRounds * kRows * kHidden * 2);
      EXPECT_LT(traffic.bytes, 2 * kRounds * kRows * kHidden * 2);
    }
}

WEFT_OVER(network_transports(), TrafficCounts);

}  // namespace
}  // namespace weft::test
