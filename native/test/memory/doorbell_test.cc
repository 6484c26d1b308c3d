// The doorbell between processes: no ring is lost, neither bay takes the other's, and a reader that is awake
// costs the writer no system call.
#include "memory/doorbell.h"

#include <gtest/gtest.h>
#include <poll.h>

#include "core/cpu.h"
#include "support/process.h"
#include "support/scale.h"

namespace weft::test {
namespace {

struct alignas(kNoSharing) Word {
  std::atomic<uint64_t> value;
};

// Two processes that hand a number to and fro: each waits for the other's word and answers with its own.
struct Pair {
  Word word[2];
  Word mask[2];  // the parked bits of the two readers
};

int rings_in(const Doorbell& bell, Bay bay) {
  uint64_t count = 0;
  return read(bell.fd(bay), &count, sizeof count) == sizeof count ? static_cast<int>(count) : 0;
}

// The reader's half of the sync point, as Endpoint has it, without any spinning: every wait ends in poll(2).
bool sleep_until(const Doorbell& own, std::atomic<uint32_t>& parked, Bay bay,
                 const std::function<bool()>& condition) {
  const uint32_t bit = 1u << static_cast<uint32_t>(bay);
  while (!condition()) {
    parked.fetch_or(bit, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!condition()) {
      pollfd p{own.fd(bay), POLLIN, 0};
      if (poll(&p, 1, 10'000) == 0) return false;  // a lost ring: nobody sleeps that long here
      rings_in(own, bay);
    }
    parked.fetch_and(~bit, std::memory_order_relaxed);
  }
  return true;
}

TEST(Doorbell, NoRingIsLostBetweenMoreProcessesThanCores) {
  const uint64_t kRounds = scaled(200'000);
  const int pairs = kSanitized ? 2 : usable_cores() + 1;
  struct Bench {
    Pair pair[16];
    std::atomic<uint32_t> parked[16][2];
  };
  Shared<Bench> bench;
  std::vector<Child> children;
  for (int p = 0; p < pairs && p < 16; ++p) {
    std::array<std::array<Fd, kBays>, 2> bells{*Doorbell::create(), *Doorbell::create()};
    for (int me = 0; me < 2; ++me)
      children.emplace_back([&, p, me] {
        Doorbell own(&bench->parked[p][me], std::move(bells[static_cast<size_t>(me)]));
        Doorbell other(&bench->parked[p][1 - me], std::move(bells[static_cast<size_t>(1 - me)]));
        auto& mine = bench->pair[p].word[me].value;
        auto& theirs = bench->pair[p].word[1 - me].value;
        const Bay bay = p % 2 == 0 ? Bay::caller : Bay::service;
        for (uint64_t i = 1; i <= kRounds / static_cast<uint64_t>(pairs); ++i) {
          if (me == 0) {
            mine.store(i, std::memory_order_release);
            other.ring();
          }
          ASSERT_TRUE(sleep_until(own, bench->parked[p][me], bay,
                                  [&] { return theirs.load(std::memory_order_acquire) >= i; }))
              << "pair " << p << " side " << me << " slept on at " << i;
          if (me == 1) {
            mine.store(i, std::memory_order_release);
            other.ring();
          }
        }
      });
  }
  const int64_t start = now_ns();
  for (Child& child : children) EXPECT_EQ(child.wait(60'000), 0);
  EXPECT_LT(now_ns() - start, 45'000'000'000);
}

TEST(Doorbell, ManyWritersWakeOneReader) {
  constexpr int kWriters = 3;
  const uint64_t kRounds = scaled(20'000);
  struct Bench {
    Word word[kWriters];
    std::atomic<uint32_t> parked;
    Word taken;
  };
  Shared<Bench> bench;
  const Doorbell bell(&bench->parked, *Doorbell::create());
  std::vector<Child> writers;
  for (int w = 0; w < kWriters; ++w)
    writers.emplace_back([&, w] {
      for (uint64_t i = 1; i <= kRounds; ++i) {
        bench->word[w].value.store(i, std::memory_order_release);
        bell.ring();
        while (bench->taken.value.load(std::memory_order_acquire) + 100 < i) usleep(50);
      }
    });
  for (uint64_t i = 1; i <= kRounds; ++i) {
    const bool woken = sleep_until(bell, bench->parked, Bay::caller, [&] {
      for (const Word& word : bench->word)
        if (word.value.load(std::memory_order_acquire) < i) return false;
      return true;
    });
    ASSERT_TRUE(woken) << "slept on at " << i;
    bench->taken.value.store(i, std::memory_order_release);
  }
  for (Child& writer : writers) EXPECT_EQ(writer.wait(), 0);
}

TEST(Doorbell, RingsOnlyTheBaysThatAreParked) {
  std::atomic<uint32_t> parked{0};
  const Doorbell bell(&parked, *Doorbell::create());
  bell.ring();
  EXPECT_EQ(rings_in(bell, Bay::caller), 0) << "nobody sleeps: no system call";
  EXPECT_EQ(rings_in(bell, Bay::service), 0);
  parked = 1;
  bell.ring();
  EXPECT_EQ(rings_in(bell, Bay::caller), 1);
  EXPECT_EQ(rings_in(bell, Bay::service), 0);
  parked = 2;
  bell.ring();
  bell.ring();
  EXPECT_EQ(rings_in(bell, Bay::caller), 0);
  EXPECT_EQ(rings_in(bell, Bay::service), 2);
  parked = 3;
  bell.ring();
  EXPECT_EQ(rings_in(bell, Bay::caller), 1);
  EXPECT_EQ(rings_in(bell, Bay::service), 1);
}

TEST(Doorbell, ABellThatIsFullDoesNotBlock) {
  std::atomic<uint32_t> parked{1};
  const Doorbell bell(&parked, *Doorbell::create());
  const uint64_t most = UINT64_MAX - 1;
  ASSERT_EQ(write(bell.fd(Bay::caller), &most, sizeof most), 8);
  bell.ring();
  bell.wake(3);
  EXPECT_EQ(rings_in(bell, Bay::service), 1);
}

}  // namespace
}  // namespace weft::test
