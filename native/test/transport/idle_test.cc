// What waiting costs: parked members cost next to nothing, and traffic that is not waited for does not keep a
// waiter from its deadline.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <thread>

#include "support/later.h"
#include "support/scale.h"
#include "support/steps.h"
#include "support/visitor.h"
#include "wire/frame.h"

namespace weft::test {
namespace {

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

using Idleness = OnTransports;

TEST_P(Idleness, FourMembersThatWaitTakeNextToNoTime) {
  Steps steps(GetParam(), plain_config({2, 2}));
  for (uint32_t a = 0; a < 2; ++a) steps.dispatch(a, 4);
  std::vector<std::jthread> threads;
  constexpr double kWaitMs = 2300;
  for (uint32_t m = 0; m < 2; ++m) {
    // Attention rank 1 leaves its wait to the service thread; the ffn ranks have taken what there is.
    threads.emplace_back([&, m] {
      ASSERT_EQ(steps.collect(m, Gather::all), Code::ok);
      EXPECT_EQ(steps.collect(m, Gather::any, kWaitMs), Code::deadline);
    });
    threads.emplace_back([&, m] {
      std::vector<std::byte> out(4 * 8 * 2);
      Combine& combine = steps.attention(m).combine(1);
      combine.aim(out.data(), false);
      combine.rearm(deadline_after_ms(kWaitMs));
      EXPECT_EQ(wait_for(steps.attention_endpoint(m), combine, m == 1), Code::deadline);
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(200));  // spun and yielded out
  const double before = cpu_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(2000));
  const double share = (cpu_seconds() - before) / 2;
  RecordProperty("cpu_percent", std::to_string(share * 100));
  EXPECT_LT(share, kSanitized ? 0.10 : 0.03);
}

WEFT_OVER(process_transports(), Idleness);

// A peer whose connection never falls silent, and who says nothing that counts.
TEST(Deadlines, HoldAgainstAPeerThatNeverStopsSending) {
  const MeshPlan plan("tcp", plain_config({1, 1}));
  std::vector<std::string> addresses(2);
  auto ffn = Rank::listen(plan, 1, addresses[1]);
  ASSERT_TRUE(ffn);
  Visitor peer(plan, addresses[1]);
  std::atomic<bool> stop{false};
  std::jthread chatter([&] {
    peer.say(peer.honest(0, 1));
    ASSERT_TRUE(peer.hear());
    peer.say(peer.honest(0, 1, wire::HelloKind::ready));
    wire::Frame frame;
    frame.flags = wire::kBegin;
    frame.generation = 1;
    frame.epoch = static_cast<uint32_t>(plan.options(0).epoch);
    frame.rows = frame.taken = 1;
    seal(frame);
    peer.say(&frame, sizeof frame);
    frame.flags = 0;
    seal(frame);
    std::vector<wire::Frame> many(200, frame);
    // The socket is set not to block; what does not fit is cut off in the middle, so wait for room.
    while (!stop) peer.say_all(many.data(), many.size() * sizeof frame);
  });
  ASSERT_TRUE(ffn->connect(plan, 1, addresses, deadline_after_ms(5000)));
  for (const bool in_service : {false, true}) {
    Collect& collect = ffn->ffn->collect();
    collect.aim(Gather::any, 1, 0, false, false);
    collect.rearm(deadline_after_ms(100));
    const int64_t start = now_ns();
    EXPECT_EQ(wait_for(*ffn->endpoint, collect, in_service), Code::deadline);
    EXPECT_GE(now_ns() - start, 99'000'000);
    EXPECT_LT(now_ns() - start, 1'500'000'000);
    EXPECT_EQ(ffn->endpoint->peer_state(0), Code::ok) << "it was all valid";
  }
  stop = true;
  ffn->endpoint->close();
}

}  // namespace
}  // namespace weft::test
