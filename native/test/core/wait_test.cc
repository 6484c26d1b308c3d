#include "core/wait.h"

#include <gtest/gtest.h>

#include "core/cpu.h"

namespace weft::test {
namespace {

WaitPolicy policy(WaitMode mode) {
  WaitPolicy policy;
  policy.mode = mode;
  policy.spin_ns = 2'000'000;
  policy.yield_ns = 3'000'000;
  return policy;
}

// How a wait of so long passes its time: every kind of idling in the order of its first use.
std::vector<Idle> course(Patience& patience, int64_t ns) {
  std::vector<Idle> seen;
  const int64_t until = now_ns() + ns;
  while (now_ns() < until) {
    const Idle idle = patience.next();
    if (seen.empty() || seen.back() != idle) seen.push_back(idle);
  }
  return seen;
}

TEST(Patience, SpinsThenYieldsThenParks) {
  Patience patience(policy(WaitMode::adaptive), 4);
  EXPECT_EQ(course(patience, 20'000'000), (std::vector{Idle::spin, Idle::yield, Idle::park}));
}

TEST(Patience, StartsOverAfterProgress) {
  Patience patience(policy(WaitMode::adaptive), 4);
  course(patience, 20'000'000);
  EXPECT_EQ(patience.next(), Idle::park);
  patience.worked();
  EXPECT_EQ(patience.next(), Idle::spin);
}

TEST(Patience, DoesNotSpinWithMorePollersThanCores) {
  auto crowded = policy(WaitMode::adaptive);
  crowded.pollers = 4;
  Patience patience(crowded, 2);
  EXPECT_EQ(course(patience, 20'000'000), (std::vector{Idle::yield, Idle::park}));
}

TEST(Patience, FixedModesNeverChange) {
  Patience spin(policy(WaitMode::spin), 1), yield(policy(WaitMode::yield), 1),
      park(policy(WaitMode::park), 1);
  EXPECT_EQ(course(spin, 10'000'000), std::vector{Idle::spin});
  EXPECT_EQ(course(yield, 10'000'000), std::vector{Idle::yield});
  EXPECT_EQ(park.next(), Idle::park);
}

TEST(Deadline, ANegativeTimeMeansNever) {
  EXPECT_EQ(deadline_after_ms(-1), kNever);
  EXPECT_EQ(deadline_after_ms(1e30), kNever);
  EXPECT_EQ(deadline_after_ms(std::numeric_limits<double>::quiet_NaN()), kNever);
  const int64_t now = now_ns();
  EXPECT_GE(deadline_after_ms(5), now + 5'000'000);
  EXPECT_LT(deadline_after_ms(5), now + 1'000'000'000);
  const int64_t at_once = deadline_after_ms(0);
  EXPECT_LE(at_once, now_ns());
}

TEST(Cpu, KnowsItsCoresAndRoundsUp) {
  EXPECT_GE(usable_cores(), 1);
  EXPECT_EQ(align_up(0, 128), 0u);
  EXPECT_EQ(align_up(1, 128), 128u);
  EXPECT_EQ(align_up(128, 128), 128u);
}

}  // namespace
}  // namespace weft::test
