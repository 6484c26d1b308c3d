// Parking between processes, more of them than cores: no wake-up is lost, neither by callers nor by service
// threads.
#include <gtest/gtest.h>

#include "support/later.h"
#include "support/process.h"
#include "support/scale.h"
#include "support/steps.h"

namespace weft::test {
namespace {

struct Mode {
  std::string transport;
  WaitMode wait;
  bool in_service;
};

class Park : public testing::TestWithParam<Mode> {};

// A wake-up that is lost is a wait that ends by its deadline.
constexpr double kLostMs = 8000;

void attention(Rank& rank, bool in_service, uint32_t rounds) {
  std::vector<uint16_t> out(4 * 8);
  for (uint32_t i = 0; i < rounds; ++i) {
    uint64_t g = 0;
    ASSERT_EQ(rank.attention->claim(g), Code::ok);
    ASSERT_EQ(rank.attention->publish(g, 4, 4, 0, 0), Code::ok);
    Combine& combine = rank.attention->combine(g);
    combine.aim(out.data(), false);
    combine.rearm(deadline_after_ms(kLostMs));
    ASSERT_EQ(wait_for(*rank.endpoint, combine, in_service), Code::ok) << "round " << i;
    rank.attention->finish(g, Code::ok);
  }
}

void ffn(Rank& rank, bool in_service) {
  for (;;) {
    Collect& collect = rank.ffn->collect();
    collect.aim(Gather::any, 1, 0, false, false);
    collect.rearm(deadline_after_ms(kLostMs));
    const Code code = wait_for(*rank.endpoint, collect, in_service);
    if (code == Code::unavailable) return;
    ASSERT_EQ(code, Code::ok);
    for (const uint32_t a : collect.ranks())
      ASSERT_EQ(rank.ffn->reply(a, rank.ffn->collected(a), 4, 4), Code::ok);
  }
}

TEST_P(Park, NoWakeUpIsLost) {
  const Mode mode = GetParam();
  WaitPolicy wait;
  wait.mode = mode.wait;
  wait.pollers = 4;
  const MeshPlan plan(mode.transport, plain_config({2, 2}, 4, 2), wait);
  const uint32_t rounds = scaled(mode.wait == WaitMode::park ? 5000 : 2000);
  Shared<Board> board;
  std::vector<Child> children;
  for (uint32_t m = 0; m < 4; ++m)
    children.emplace_back([&, m] {
      Rank rank = join(plan, *board, m);
      if (testing::Test::HasFailure()) return;
      plan.is_attention(m) ? attention(rank, mode.in_service, rounds) : ffn(rank, mode.in_service);
    });
  for (Child& child : children) EXPECT_EQ(child.wait(60'000), 0);
}

std::vector<Mode> modes() {
  std::vector<Mode> all;
  for (const std::string& transport : process_transports()) {
    all.push_back({transport, WaitMode::park, false});
    all.push_back({transport, WaitMode::park, true});
    all.push_back({transport, WaitMode::adaptive, false});
    all.push_back({transport, WaitMode::adaptive, true});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Modes, Park, testing::ValuesIn(modes()), [](const auto& info) {
  std::string name = info.param.transport;
  name += info.param.wait == WaitMode::park ? "_Park" : "_Adaptive";
  return name += info.param.in_service ? "_Service" : "_Caller";
});

}  // namespace
}  // namespace weft::test
