// Page push over every transport: what is written arrives where it belongs and nowhere else, is counted when
// it is there, and stops when the lease ends.
#include <gtest/gtest.h>

#include <numeric>
#include <thread>

#include "support/environment.h"
#include "support/pushing.h"
#include "support/scale.h"
#include "support/steps.h"
#include "support/transports.h"

namespace weft::test {
namespace {

class PushOver : public OnTransports {
 protected:
  void SetUp() override {
    from = heap_of(plan, writer(), 0);
    to = heap_of(plan, holder(), 1);
    fill(from, 1);
    fill(to, 2);
  }
  Rank& writer() { return steps.mesh->attention[0]; }
  Rank& holder() { return steps.mesh->ffn[0]; }
  std::unique_ptr<Lease> lease(size_t at, size_t bytes, uint16_t counters = 1) {
    auto lease = Lease::open(*holder().endpoint, 0, to.subspan(at, bytes), counters);
    EXPECT_TRUE(lease) << lease.error().what;
    return std::move(*lease);
  }
  Push push(const Lease& lease) {
    auto push = Push::open(*writer().endpoint, 0, lease.ticket());
    EXPECT_TRUE(push) << push.error().what;
    return *push;
  }
  // Looks at memory while the peer could write into it, but has been told to only afterwards. It was told
  // through another mapping of the same memory, of which the thread sanitizer does not know that it is the
  // same.
  __attribute__((no_sanitize("thread"), noinline)) bool untouched(size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i)
      if (to[i] != pattern(2, i)) return false;
    return true;
  }
  uint64_t late() { return holder().endpoint->link(0).leases().late(); }

  // Several rails are a transport of its own here.
  static constexpr const char* kRails = "verbs_rails";
  Environment rails{"WEFT_VERBS_DEVICES", GetParam() == kRails ? "rxe0,rxe1,rxe0" : nullptr};
  MeshPlan plan = push_plan(GetParam() == kRails ? "verbs" : GetParam());
  Steps steps = Steps(plan);
  std::span<std::byte> from, to;
};

TEST_P(PushOver, WhatIsWrittenArrivesAndNothingElseChanges) {
  const Seed seed;
  for (uint32_t run = 0; run < std::max(2u, scaled(12)); ++run) {
    Random random(mix(seed.value, run));
    fill(to, 2);
    const size_t bytes = random.chance(30) ? random.between(1, 5000) : random.between(100'000, 3'000'000);
    const size_t at = random.between(1, static_cast<uint32_t>(kHeap - bytes - 1));
    const auto counters = static_cast<uint16_t>(random.between(1, 9));
    auto lease = this->lease(at, bytes, counters);
    Push push = this->push(*lease);
    // Pieces of the lease, in any order, from anywhere.
    std::vector<size_t> cuts{0, bytes};
    for (uint32_t n = random.below(400); n > 0; --n)
      cuts.push_back(random.below(static_cast<uint32_t>(bytes)));
    std::ranges::sort(cuts);
    std::vector<size_t> pieces(cuts.size() - 1);
    std::iota(pieces.begin(), pieces.end(), 0);
    for (size_t i = pieces.size(); i > 1; --i)
      std::swap(pieces[i - 1], pieces[random.below(static_cast<uint32_t>(i))]);
    std::vector<uint64_t> expected(counters);
    std::vector<std::byte> wanted(bytes);
    for (const size_t piece : pieces) {
      const size_t begin = cuts[piece], size = cuts[piece + 1] - begin;
      if (size == 0) continue;
      const size_t source = random.below(static_cast<uint32_t>(kHeap - size));
      const auto counter = static_cast<uint16_t>(random.below(counters));
      ASSERT_EQ(push_all(push, counter, begin, from.subspan(source, size)), Code::ok);
      expected[counter] += size;
      for (size_t i = 0; i < size; ++i) wanted[begin + i] = pattern(1, source + i);
    }
    for (uint16_t c = 0; c < counters; ++c) {
      ASSERT_EQ(arrive(*lease, c, expected[c]), Code::ok);
      EXPECT_EQ(lease->arrived(c), expected[c]);
    }
    EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), to.begin() + static_cast<ptrdiff_t>(at)));
    EXPECT_TRUE(untouched(0, at) && untouched(at + bytes, kHeap));
    EXPECT_EQ(finish(push), Code::ok);
    EXPECT_EQ(lease->end(deadline_after_ms(5000)), Code::ok);
    EXPECT_TRUE(lease->quiet());
  }
}

TEST_P(PushOver, ASourceMayBeUsedAgainWhenItsWriteIsDone) {
  constexpr size_t kBytes = 700'000;
  auto lease = this->lease(0, 4 * kBytes);
  Push push = this->push(*lease);
  for (uint64_t i = 0; i < 4; ++i) {
    fill(from.first(kBytes), 10 + i);
    ASSERT_EQ(push_all(push, 0, i * kBytes, from.first(kBytes)), Code::ok);
    ASSERT_EQ(finish(push), Code::ok);
  }
  ASSERT_EQ(arrive(*lease, 0, 4 * kBytes), Code::ok);
  for (uint64_t i = 0; i < 4; ++i)
    for (size_t k = 0; k < kBytes; ++k) ASSERT_EQ(to[i * kBytes + k], pattern(10 + i, k)) << i << " " << k;
}

TEST_P(PushOver, ALeaseThatIsOverTakesNothingAndItsMemoryMayBeUsedAtOnce) {
  constexpr size_t kBytes = 300'000;
  for (int turn = 0; turn < 5; ++turn) {
    auto lease = this->lease(0, kBytes);
    Push push = this->push(*lease);
    // Some of it is under way while the lease ends.
    for (int i = 0; i < 20; ++i)
      if (push.write(0, 0, from.first(kBytes)) != Code::ok) break;
    if (turn % 2 == 1) {
      ASSERT_EQ(arrive(*lease, 0, kBytes), Code::ok);
    }
    ASSERT_EQ(lease->end(deadline_after_ms(10'000)), Code::ok);
    const uint64_t counted = lease->arrived(0);
    fill(to.first(kBytes), 2);
    auto next = this->lease(0, kBytes);
    EXPECT_EQ(next->arrived(0), 0u);
    // The writer may not know yet.
    Code code = Code::ok;
    for (int i = 0; i < 1000 && code != Code::state; ++i) {
      code = push_all(push, 0, 0, from.first(1000));
      ASSERT_TRUE(code == Code::ok || code == Code::state);
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    EXPECT_EQ(code, Code::state);
    ASSERT_EQ(finish(push), Code::ok);
    EXPECT_TRUE(untouched(0, kBytes));
    // Behind the late ones, on every transport.
    Push again = this->push(*next);
    ASSERT_EQ(push_all(again, 0, 5, from.subspan(100, 1)), Code::ok);
    ASSERT_EQ(arrive(*next, 0, 1), Code::ok);
    EXPECT_EQ(next->arrived(0), 1u);
    EXPECT_EQ(to[5], pattern(1, 100));
    EXPECT_TRUE(untouched(0, 5) && untouched(6, kBytes));
    EXPECT_EQ(next->end(deadline_after_ms(10'000)), Code::ok);
    EXPECT_EQ(lease->arrived(0), counted);
    fill(to.first(kBytes), 2);
  }
}

TEST_P(PushOver, WhenALeaseEndsTheQueueOfAnotherGoesOn) {
  constexpr size_t kBytes = 100'000, kPiece = 500;
  auto ends = this->lease(0, kBytes), stays = this->lease(kBytes, kBytes);
  Push dropped = this->push(*ends), kept = this->push(*stays);
  for (size_t at = 0; at < kBytes; at += kPiece) {
    ASSERT_EQ(push_all(kept, 0, at, from.subspan(at, kPiece)), Code::ok);
    if (at == kBytes / 2) {
      ASSERT_EQ(ends->end(deadline_after_ms(20'000)), Code::ok);
    }
    const Code code = push_all(dropped, 0, at, from.subspan(at, kPiece));
    ASSERT_TRUE(code == Code::ok || code == Code::state);
  }
  EXPECT_EQ(finish(dropped), Code::ok);
  EXPECT_EQ(finish(kept), Code::ok);
  ASSERT_EQ(arrive(*stays, 0, kBytes), Code::ok);
  for (size_t i = 0; i < kBytes; ++i) ASSERT_EQ(to[kBytes + i], pattern(1, i)) << i;
}

TEST_P(PushOver, MemoryMayBePreparedForLeases) {
  ASSERT_TRUE(holder().endpoint->prepare(to));
  auto lease = this->lease(4096, 8192);
  Push push = this->push(*lease);
  ASSERT_EQ(push_all(push, 0, 0, from.first(8192)), Code::ok);
  ASSERT_EQ(arrive(*lease, 0, 8192), Code::ok);
  EXPECT_TRUE(untouched(0, 4096) && untouched(4096 + 8192, kHeap));
}

TEST_P(PushOver, RoundsGoOnBesideIt) {
  constexpr size_t kParts = 16, kBytes = kHeap / kParts;
  auto lease = this->lease(0, kHeap);
  Push push = this->push(*lease);
  for (size_t part = 0; part < kParts; ++part) {
    ASSERT_EQ(push_all(push, 0, part * kBytes, from.subspan(part * kBytes, kBytes)), Code::ok);
    const uint64_t g = steps.dispatch(0, 8);
    ASSERT_EQ(steps.collect(0), Code::ok);
    ASSERT_EQ(steps.reply(0, 0), Code::ok);
    ASSERT_EQ(steps.combine(0, g), Code::ok);
  }
  ASSERT_EQ(arrive(*lease, 0, kHeap), Code::ok);
  for (size_t i = 0; i < kHeap; ++i) ASSERT_EQ(to[i], pattern(1, i)) << i;
}

TEST_P(PushOver, BadArgumentsAreErrorsThatNameThem) {
  Endpoint& there = *holder().endpoint;
  const auto what = [](auto outcome) { return outcome ? std::string() : outcome.error().what; };
  std::byte elsewhere[16];
  EXPECT_THAT(what(Lease::open(there, 0, elsewhere, 1)), testing::HasSubstr("memory"));
  EXPECT_THAT(what(Lease::open(there, 0, to.first(0), 1)), testing::HasSubstr("memory"));
  EXPECT_THAT(what(Lease::open(there, 0, to.first(9), 0)), testing::HasSubstr("counters"));
  EXPECT_THAT(what(Lease::open(there, 0, to.first(9), 4097)), testing::HasSubstr("counters"));

  auto lease = this->lease(0, 1000, 2);
  for (size_t byte = 0; byte < sizeof(wire::Ticket); ++byte) {
    wire::Ticket ticket = lease->ticket();
    reinterpret_cast<uint8_t*>(&ticket)[byte] ^= 0x10;
    EXPECT_FALSE(Push::open(*writer().endpoint, 0, ticket)) << byte;
  }
  EXPECT_FALSE(Push::open(there, 0, lease->ticket())) << "a ticket of our own";
  Push push = this->push(*lease);
  EXPECT_EQ(push.write(2, 0, from.first(1)), Code::invalid_argument);
  EXPECT_EQ(push.write(0, 1000, from.first(1)), Code::invalid_argument);
  EXPECT_EQ(push.write(0, 1, from.first(1000)), Code::invalid_argument);
  EXPECT_EQ(push.write(0, UINT64_MAX, from.first(2)), Code::invalid_argument);
  EXPECT_EQ(push.write(0, 0, from.first(0)), Code::invalid_argument);
  EXPECT_EQ(push.write(0, 0, elsewhere), Code::invalid_argument);
  ASSERT_EQ(push_all(push, 1, 999, from.first(1)), Code::ok);
  EXPECT_EQ(arrive(*lease, 1, 1), Code::ok);
  EXPECT_TRUE(untouched(0, 999) && untouched(1000, kHeap));
}

TEST_P(PushOver, ThereIsAnEndToLeases) {
  std::vector<std::unique_ptr<Lease>> all;
  for (size_t i = 0; i < Leases::kMost; ++i) all.push_back(lease(8 * i, 8));
  const auto more = Lease::open(*holder().endpoint, 0, to.first(8), 1);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Code::state);
  for (const size_t i : {1000u, 3u}) {
    Push push = this->push(*all[i]);
    ASSERT_EQ(push_all(push, 0, 0, from.subspan(8 * i, 8)), Code::ok);
    ASSERT_EQ(arrive(*all[i], 0, 8), Code::ok);
    EXPECT_EQ(to[8 * i + 7], pattern(1, 8 * i + 7));
    all[i].reset();
    all[i] = lease(8 * i, 8);
    EXPECT_EQ(all[i]->ticket().generation, 2u);
  }
}

TEST_P(PushOver, AClosedWriterIsToldAndWhatItWroteIsThere) {
  auto lease = this->lease(0, 100'000, 2);
  Push push = this->push(*lease);
  ASSERT_EQ(push_all(push, 0, 0, from.first(100'000)), Code::ok);
  writer().endpoint->close();
  EXPECT_EQ(arrive(*lease, 0, 100'000), Code::ok);
  EXPECT_EQ(arrive(*lease, 1, 1), Code::peer_closed);
  EXPECT_EQ(lease->end(deadline_after_ms(1000)), Code::ok);
  EXPECT_EQ(push.write(0, 0, from.first(1)), Code::peer_closed);
  EXPECT_TRUE(push.done());
}

TEST_P(PushOver, AClosedHolderIsNotWrittenTo) {
  auto lease = this->lease(0, 100'000);
  Push push = this->push(*lease);
  holder().endpoint->close();
  EXPECT_EQ(lease->end(deadline_after_ms(1000)), Code::ok);
  Code code = Code::ok;
  for (int i = 0; i < 2000 && (code == Code::ok || code == Code::again || code == Code::state); ++i) {
    code = push.write(0, 0, from.first(100'000));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(code, Code::peer_closed);
  EXPECT_EQ(finish(push), Code::ok);
  EXPECT_TRUE(untouched(0, kHeap));
}

std::vector<std::string> with_rails(std::vector<std::string> names) {
  if (std::ranges::find(names, "verbs") != names.end()) names.push_back("verbs_rails");
  return names;
}
WEFT_OVER(with_rails(every_transport()), PushOver);

}  // namespace
}  // namespace weft::test
