// Copies past the caches: every length and alignment, and nothing beside them.
#include "kernels/stream.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "support/random.h"

namespace weft::test {
namespace {

TEST(CopyStreamed, CopiesAllOfItAndNothingElse) {
  const Seed seed;
  Random random(seed.value);
  std::vector<std::byte> source(9000), out(9400), want(9400);
  random.fill(source);
  for (int i = 0; i < 4000; ++i) {
    random.fill(out);
    want = out;
    const uint32_t from = random.below(130), to = random.below(200);
    const uint32_t bytes = random.chance(50) ? random.below(300) : random.below(8800);
    std::memcpy(want.data() + to, source.data() + from, bytes);
    kernels::copy_streamed(out.data() + to, source.data() + from, bytes);
    kernels::streamed();
    ASSERT_EQ(out, want) << bytes << " bytes from " << from << " to " << to;
  }
}

TEST(CopyStreamed, OthersSeeItBehindARelease) {
  std::vector<uint64_t> source(4096), out(4096);
  std::atomic<uint64_t> turn{0};
  std::thread reader([&] {
    for (uint64_t want = 1; want <= 2000; ++want) {
      while (turn.load(std::memory_order_acquire) != 2 * want - 1) std::this_thread::yield();
      for (const uint64_t value : out) ASSERT_EQ(value, want);
      turn.store(2 * want, std::memory_order_release);
    }
  });
  for (uint64_t value = 1; value <= 2000; ++value) {
    while (turn.load(std::memory_order_acquire) != 2 * value - 2) std::this_thread::yield();
    std::fill(source.begin(), source.end(), value);
    kernels::copy_streamed(out.data(), source.data(), out.size() * sizeof out[0]);
    kernels::streamed();
    turn.store(2 * value - 1, std::memory_order_release);
  }
  reader.join();
}

}  // namespace
}  // namespace weft::test
