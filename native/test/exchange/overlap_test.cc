// As the binding uses the exchange: waits are left to the service thread, several at once, while the owner's
// thread claims, publishes and replies.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "support/drive.h"
#include "support/later.h"
#include "support/scale.h"
#include "support/steps.h"

namespace weft::test {
namespace {

using Overlap = OnTransports;

constexpr uint32_t kDepth = 4;

// Keeps all slots in flight, each with a combine of its own under way.
void attention(Steps& steps, uint32_t a, uint32_t rounds) {
  struct Flight {
    uint64_t generation = 0;
    std::vector<uint16_t> out = std::vector<uint16_t>(8 * 8);
    std::unique_ptr<Later> later;
  };
  std::array<Flight, kDepth> flights;
  const auto land = [&](Flight& flight) {
    ASSERT_EQ(flight.later->outcome(), Code::ok) << "round " << flight.generation;
    steps.attention(a).finish(flight.generation, Code::ok);
    const uint32_t rows = static_cast<uint32_t>(flight.generation % 9);
    for (uint32_t i = 0; i < rows * 8; ++i)
      ASSERT_EQ(Steps::f32(flight.out[i]), 2 * static_cast<float>(i / 8 + 1) + 1)
          << "round " << flight.generation;
  };
  for (uint64_t g = 1; g <= rounds && !testing::Test::HasFailure(); ++g) {
    Flight& flight = flights[g % kDepth];
    if (flight.later) land(flight);
    flight.generation = steps.dispatch(a, static_cast<uint32_t>(g % 9));
    ASSERT_EQ(flight.generation, g);
    Combine& combine = steps.attention(a).combine(g);
    combine.aim(flight.out.data(), false);
    combine.rearm(deadline_after_ms(kPatienceMs));
    flight.later = std::make_unique<Later>(combine);
    ASSERT_TRUE(steps.attention_endpoint(a).submit(*flight.later));
  }
  for (Flight& flight : flights)
    if (flight.later && !testing::Test::HasFailure()) land(flight);
  steps.attention_endpoint(a).close();
}

// Replies to what it has, in any order, while the next collect is under way.
void ffn(Steps& steps, uint32_t f, uint64_t seed) {
  Random random(seed);
  std::vector<std::pair<uint32_t, uint64_t>> parts;
  FfnSide& side = steps.ffn(f);
  Collect& collect = side.collect();
  std::unique_ptr<Later> later;
  for (;;) {
    if (!later) {
      collect.aim(Gather::any, 1, 0, false, false);
      collect.rearm(deadline_after_ms(kPatienceMs));
      later = std::make_unique<Later>(collect);
      ASSERT_TRUE(steps.ffn_endpoint(f).submit(*later));
    }
    const Code code = later->outcome(parts.empty() ? 30'000 : 0);
    if (code == Code::unavailable) return;
    if (code == Code::ok) {
      for (const uint32_t a : collect.ranks()) parts.emplace_back(a, side.collected(a));
      later.reset();
    } else {
      ASSERT_EQ(code, Code::again);
    }
    if (parts.empty()) continue;
    const size_t i = random.below(static_cast<uint32_t>(parts.size()));
    const auto [a, g] = parts[i];
    parts.erase(parts.begin() + static_cast<ptrdiff_t>(i));
    const uint32_t rows = side.part(a, g).view.taken;
    ASSERT_EQ(side.available(a, g), rows);
    steps.compute(f, a, g, 0, rows, static_cast<float>(f));
    ASSERT_EQ(side.reply(a, g, rows, rows), Code::ok);
  }
}

TEST_P(Overlap, RoundsFlowWhileAllWaitsAreUnderWay) {
  const Seed seed;
  Steps steps(GetParam(), plain_config({2, 2}, 8, kDepth));
  std::vector<std::jthread> threads;
  for (uint32_t a = 0; a < 2; ++a) threads.emplace_back([&, a] { attention(steps, a, scaled(2000)); });
  for (uint32_t f = 0; f < 2; ++f) threads.emplace_back([&, f] { ffn(steps, f, seed.value + f); });
}

TEST_P(Overlap, AnArrivalIsWaitedForBesideACollect) {
  Steps steps(GetParam(), plain_config({2, 1}, 8, 2));
  const uint64_t g = steps.claim(0);
  steps.fill(0, g, 8);
  ASSERT_EQ(steps.attention(0).publish(g, 8, 2, 0, 0), Code::ok);
  ASSERT_EQ(steps.collect(0, Gather::any, 5000, 1, 0, true), Code::ok);
  FfnSide& side = steps.ffn(0);
  Collect& collect = side.collect();
  collect.aim(Gather::any, 1, 0, false, false);
  collect.rearm(deadline_after_ms(kPatienceMs));
  Later next(collect);
  ASSERT_TRUE(steps.ffn_endpoint(0).submit(next));
  for (const uint32_t rows : {2u, 3u, 8u}) {
    Arrival& arrival = side.arrival(0, g);
    arrival.aim(g, rows);
    arrival.rearm(deadline_after_ms(rows == 2 ? kPatienceMs : 20));
    Later later(arrival);
    ASSERT_TRUE(steps.ffn_endpoint(0).submit(later));
    if (rows > 2) {
      EXPECT_EQ(later.outcome(), Code::deadline) << rows << " rows";
      arrival.rearm(deadline_after_ms(kPatienceMs));
      Later again(arrival);
      ASSERT_TRUE(steps.ffn_endpoint(0).submit(again));
      ASSERT_EQ(steps.attention(0).publish(g, 8, rows, 0, 0), Code::ok);
      EXPECT_EQ(again.outcome(), Code::ok);
    } else {
      EXPECT_EQ(later.outcome(), Code::ok);
    }
    EXPECT_GE(side.available(0, g), rows);
  }
  ASSERT_EQ(steps.reply(0, 0), Code::ok);
  steps.dispatch(1, 1);
  EXPECT_EQ(next.outcome(), Code::ok);
  EXPECT_EQ(steps.combine(0, g), Code::ok);
}

TEST_P(Overlap, AnArrivalThatCannotComeAnyMoreNamesWhoLeft) {
  Steps steps(GetParam(), plain_config({1, 1}, 8, 2));
  const uint64_t g = steps.claim(0);
  ASSERT_EQ(steps.attention(0).publish(g, 8, 2, 0, 0), Code::ok);
  ASSERT_EQ(steps.collect(0, Gather::any, 5000, 1, 0, true), Code::ok);
  Arrival& arrival = steps.ffn(0).arrival(0, g);
  arrival.aim(g, 8);
  arrival.rearm(deadline_after_ms(kPatienceMs));
  std::jthread leave([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    steps.attention_endpoint(0).close();
  });
  EXPECT_EQ(steps.ffn_endpoint(0).wait(arrival), Code::peer_closed);
  EXPECT_EQ(arrival.blamed, 0);
}

WEFT_ON_TRANSPORTS(Overlap);

}  // namespace
}  // namespace weft::test
