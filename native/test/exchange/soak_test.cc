// A long run of small rounds between two processes: memory, descriptors and allocations stay where they are.
#include <gtest/gtest.h>
#include <sys/prctl.h>

#include "support/allocations.h"
#include "support/descriptors.h"
#include "support/later.h"
#include "support/process.h"
#include "support/scale.h"
#include "support/steps.h"

namespace weft::test {
namespace {

constexpr uint32_t kRows = 4;
constexpr uint32_t kHidden = 64;

// The rings of a software device are memory of ours, which counts from its first use: after so many rounds
// all have been gone through.
constexpr uint64_t kRings = 1500;

struct Run {
  std::string transport;
  bool routed;
  bool in_service;
  uint64_t rounds;
  uint64_t warm_up() const { return std::max(rounds / 10, kRings); }
};

// What a process holds after the warm-up, to be compared with what it holds at the end.
class Holdings {
 public:
  void take() {
    // Or the kernel makes a huge page of what was touched in part, which looks like growth.
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    resident_ = resident_bytes();
    descriptors_ = open_descriptors();
    allocations_ = allocations();  // last: the others allocate
  }
  void expect_unchanged(const char* who) const {
    const uint64_t allocated = allocations() - allocations_;
    EXPECT_EQ(allocated, 0u) << who << " allocates in the steady state";
    EXPECT_EQ(open_descriptors(), descriptors_) << who;
    if (!kSanitized) {
      EXPECT_GT(resident_, 0u);
      EXPECT_LT(resident_bytes(), resident_ + (1 << 20)) << who << " grows";
    }
  }

 private:
  size_t resident_ = 0, descriptors_ = 0;
  uint64_t allocations_ = 0;
};

ExchangeConfig config_of(const Run& run) {
  auto config = test::config_of(kKinds[run.routed ? 3 : 0], {1, 1}, kHidden, kRows, 3);
  config.extra_columns.clear();
  return config;
}

Code wait_by(Endpoint& endpoint, Operation& operation, Later* later) {
  if (later == nullptr) return endpoint.wait(operation);
  later->rearm(operation.deadline());
  return endpoint.submit(*later) ? later->outcome() : Code::unavailable;
}

void attention(Rank& rank, const Run& run) {
  AttentionSide& side = *rank.attention;
  std::vector<uint16_t> out(kRows * kHidden);
  std::vector<std::unique_ptr<Later>> later;
  for (uint64_t slot = 0; run.in_service && slot < 3; ++slot)
    later.push_back(std::make_unique<Later>(side.combine(slot)));
  const DispatchColumns columns = dispatch_columns(side.config());
  Holdings holdings;
  uint64_t wrong = 0;
  for (uint64_t i = 1; i <= run.rounds; ++i) {
    if (i == run.warm_up() + 1) holdings.take();
    uint64_t g = 0;
    if (side.claim(g) != Code::ok || g != i) FAIL() << "claim of round " << i;
    auto* x = reinterpret_cast<uint16_t*>(side.publisher().column(g, 0));
    if (run.routed) {  // fp8: bytes
      std::memset(x, static_cast<int>(i), kRows * kHidden);
      const uint32_t choices = kRows * side.config().top_k;
      for (uint32_t c = 0; c < choices; ++c) {
        reinterpret_cast<int32_t*>(side.publisher().column(g, columns.experts))[c] =
            (i + c) % 5 == 0 ? -1 : static_cast<int32_t>((i + c) % side.config().experts);
        reinterpret_cast<float*>(side.publisher().column(g, columns.weights))[c] = 1;
      }
    } else {
      for (uint32_t r = 0; r < kRows; ++r) x[r * kHidden] = Steps::bf16(static_cast<float>((i + r) % 128));
    }
    if (side.publish(g, kRows, kRows, 0, 0) != Code::ok) FAIL() << "publish of round " << i;
    Combine& combine = side.combine(g);
    combine.aim(out.data(), false);
    combine.rearm(deadline_after_ms(20'000));
    const Code code = wait_by(*rank.endpoint, combine, run.in_service ? later[g % 3].get() : nullptr);
    if (code != Code::ok) FAIL() << "round " << i << " ended with code " << static_cast<int>(code);
    side.finish(g, code);
    for (uint32_t r = 0; !run.routed && r < kRows; ++r)
      wrong += out[r * kHidden] != Steps::bf16(static_cast<float>((i + r) % 128));
  }
  holdings.expect_unchanged("attention");
  EXPECT_EQ(wrong, 0u);
}

void ffn(Rank& rank, const Run& run) {
  FfnSide& side = *rank.ffn;
  std::unique_ptr<Later> later;
  if (run.in_service) later = std::make_unique<Later>(side.collect());
  Holdings holdings;
  for (uint64_t i = 1; i <= run.rounds; ++i) {
    if (i == run.warm_up() + 1) holdings.take();
    Collect& collect = side.collect();
    collect.aim(Gather::any, 1, 0, false, false);
    collect.rearm(deadline_after_ms(20'000));
    const Code code = wait_by(*rank.endpoint, collect, later.get());
    if (code != Code::ok) FAIL() << "collect " << i << " ended with code " << static_cast<int>(code);
    Part& part = side.part(0, i);
    const uint32_t rows = run.routed ? part.selections.count : part.view.taken;
    const auto* x = side.subscriber(0).column(i, 0);
    if (!run.routed) std::memcpy(side.publisher(0).column(i, 0), x, rows * kHidden * 2);
    if (side.reply(0, i, rows, rows) != Code::ok) FAIL() << "reply " << i;
  }
  holdings.expect_unchanged("ffn");
}

void soak(Run run) {
  run.rounds = std::max(run.rounds, 2 * kRings);
  const MeshPlan plan(run.transport, config_of(run));
  Shared<Board> board;
  Child other([&] {
    Rank rank = join(plan, *board, 1);
    if (!testing::Test::HasFailure()) ffn(rank, run);
    until([&] { return board->go != 0; }, 60'000);
  });
  {
    Rank rank = join(plan, *board, 0);
    const int64_t start = now_ns();
    if (!testing::Test::HasFailure()) attention(rank, run);
    const double us = static_cast<double>(now_ns() - start) / 1e3 / static_cast<double>(run.rounds);
    testing::Test::RecordProperty("us_per_round", std::to_string(us));
    board->go = 1;
  }
  EXPECT_EQ(other.wait(), 0);
}

TEST(Soak, AMillionRoundsOverSharedMemory) { soak({"shm", false, false, scaled(1'000'000)}); }
TEST(Soak, RoutedWeightedRoundsOverSharedMemory) { soak({"shm", true, false, scaled(100'000)}); }

class SoakOver : public OnTransports {};
TEST_P(SoakOver, Rounds) { soak({GetParam(), false, false, scaled(50'000)}); }
TEST_P(SoakOver, RoutedWeightedRounds) { soak({GetParam(), true, false, scaled(20'000)}); }
TEST_P(SoakOver, RoundsByTheServiceThreads) { soak({GetParam(), false, true, scaled(10'000)}); }
WEFT_OVER(network_transports(), SoakOver);
TEST(Soak, RoundsByTheServiceThreadsOverSharedMemory) { soak({"shm", false, true, scaled(20'000)}); }

}  // namespace
}  // namespace weft::test
