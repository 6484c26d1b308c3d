#include "support/cluster.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "support/descriptors.h"
#include "support/steps.h"

namespace weft::test {

namespace {

constexpr uint32_t kGoOn = 1, kStop = 2;  // Board::go
constexpr uint32_t kClusterRows = 6;
constexpr uint64_t kWarmUp = 20;  // rounds before the victim goes to its place

WaitPolicy patient() {
  WaitPolicy wait;
  wait.pollers = Cluster::kMembers;
  return wait;
}

void notice(Entry& entry, Code code, int32_t blamed) {
  entry.code = static_cast<uint32_t>(code);
  entry.blamed = blamed;
  entry.noticed_ns = now_ns();
}

}  // namespace

const char* name_of(Place place) {
  static const char* const names[] = {"Nowhere", "Idle", "AfterDispatch", "InStream", "InReply"};
  return names[static_cast<size_t>(place)];
}

Cluster::Cluster(const std::string& transport, uint32_t victim, Place place, Exit exit)
    : plan_(transport, plain_config({2, 2}, 8, 3), patient()), victim_(victim), place_(place), exit_(exit) {
  for (uint32_t m = 0; m < kMembers; ++m) children_.emplace_back([this, m] { member(m); });
}

bool Cluster::victim_is_there() {
  return until([&] { return board_->members[victim_].stage == 1; });
}

bool Cluster::goes_on(uint32_t without, uint64_t rounds) {
  uint64_t before[kMembers];
  for (uint32_t m = 0; m < kMembers; ++m) before[m] = board_->members[m].rounds;
  return until([&] {
    for (uint32_t a = 0; a < 2; ++a)
      if (a != without && board_->members[a].rounds < before[a] + rounds) return false;
    return true;
  });
}

bool Cluster::stop(uint32_t without) {
  board_->go = kStop;
  bool well = true;
  for (uint32_t m = 0; m < kMembers; ++m)
    if (m != without) well &= children_[m].wait() == 0;
  return well;
}

void Cluster::member(uint32_t number) {
  const size_t descriptors = open_descriptors();
  {
    Rank rank = join(plan_, *board_, number);
    if (testing::Test::HasFailure()) return;
    is_attention(number) ? attention(rank, number) : ffn(rank, number);
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  // The kernel takes a joined thread off the list a little later.
  EXPECT_TRUE(until([] { return running_threads() == 1; }));
}

bool Cluster::is_place(uint32_t number, Place place) {
  return number == victim_ && place == place_ && board_->members[number].stage == 0 &&
         board_->members[number].rounds >= kWarmUp;
}

bool Cluster::stay(Rank& rank, uint32_t number) {
  if (exit_ == Exit::closes) {
    rank.endpoint->close();
    board_->members[number].stage = 1;
    return false;
  }
  board_->members[number].stage = 1;
  return until([&] { return board_->go != 0; }, 60'000) && board_->go == kGoOn;
}

Code Cluster::combine(Rank& rank, uint64_t generation, std::vector<uint16_t>& out, bool skip_lost) {
  Combine& operation = rank.attention->combine(generation);
  operation.aim(out.data(), false, skip_lost ? OnLoss::skip : OnLoss::error);
  operation.rearm(deadline_after_ms(200));
  const Code code = rank.endpoint->wait(operation);
  rank.attention->finish(generation, code);
  return code;
}

// Rounds until told to stop. The first loss is put on the board; from then on it is skipped. A deadline is
// put there too, and waited out: the round is combined again until it ends.
void Cluster::attention(Rank& rank, uint32_t number) {
  Entry& entry = board_->members[number];
  std::vector<uint16_t> out(kClusterRows * 8);
  bool skip_lost = false;
  while (board_->go != kStop) {
    if (is_place(number, Place::idle) && !stay(rank, number)) return;
    uint64_t g = 0;
    Code code = Code::slot_busy;
    // After a loss a slot comes back as soon as the others have replied.
    EXPECT_TRUE(until([&] { return (code = rank.attention->claim(g)) != Code::slot_busy; }));
    ASSERT_EQ(code, Code::ok);
    auto* x = reinterpret_cast<uint16_t*>(rank.attention->publisher().column(g, 0));
    for (uint32_t i = 0; i < kClusterRows * 8; ++i) x[i] = Steps::bf16(static_cast<float>(g % 16 + i / 8));
    const bool stream = is_place(number, Place::in_stream);
    ASSERT_EQ(rank.attention->publish(g, kClusterRows, stream ? kClusterRows / 2 : kClusterRows, number, 0),
              Code::ok);
    if (stream) {
      if (!stay(rank, number)) return;
      ASSERT_EQ(rank.attention->publish(g, kClusterRows, kClusterRows, number, 0), Code::ok);
    }
    if (is_place(number, Place::after_dispatch) && !stay(rank, number)) return;
    const int64_t patience = deadline_after_ms(60'000);
    while ((code = combine(rank, g, out, skip_lost)) == Code::deadline) {
      if (entry.noticed_ns == 0) notice(entry, code, kNoPeer);
      ASSERT_LT(now_ns(), patience) << "a round never ended";
    }
    if (code == Code::peer_lost || code == Code::peer_closed) {
      notice(entry, code, rank.attention->combine(g).blamed);
      skip_lost = true;
      continue;
    }
    ASSERT_EQ(code, Code::ok);
    uint32_t ranks = 0;
    for (uint32_t f = 0; f < 2; ++f) ranks += rank.attention->combine(g).complete(f);
    for (uint32_t i = 0; i < kClusterRows * 8; ++i)
      ASSERT_EQ(Steps::f32(out[i]), static_cast<float>(ranks) * static_cast<float>(g % 16 + i / 8));
    ++entry.rounds;
  }
}

// Echoes rounds until both attention ranks have left.
void Cluster::ffn(Rank& rank, uint32_t number) {
  Entry& entry = board_->members[number];
  FfnSide& side = *rank.ffn;
  for (;;) {
    if (is_place(number, Place::idle) && !stay(rank, number)) return;
    Collect& collect = side.collect();
    collect.aim(Gather::any, 1, 0, false, false);
    collect.rearm(deadline_after_ms(60'000));
    const Code code = rank.endpoint->wait(collect);
    if (code == Code::unavailable) return;
    if (code == Code::peer_lost) {
      notice(entry, code, collect.blamed);
      continue;
    }
    ASSERT_EQ(code, Code::ok) << "blames " << collect.blamed;
    for (const uint32_t a : collect.ranks()) {
      const uint64_t g = side.collected(a);
      const uint32_t rows = side.part(a, g).view.taken;
      const size_t bytes = size_t{rows} * 16;
      std::memcpy(side.publisher(a).column(g, 0), side.subscriber(a).column(g, 0), bytes);
      if (is_place(number, Place::in_reply)) {
        ASSERT_EQ(side.reply(a, g, rows, rows / 2), Code::ok);
        if (!stay(rank, number)) return;
      }
      ASSERT_EQ(side.reply(a, g, rows, rows), Code::ok);
      ++entry.rounds;
    }
  }
}

}  // namespace weft::test
