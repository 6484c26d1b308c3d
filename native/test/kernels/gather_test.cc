#include "kernels/gather.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "test/kernels/guarded_array.h"

namespace weft::test {
namespace {

TEST(Gather, PicksRowsOfAnyStride) {
  Twister random(seed());
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(testing::Message() << "WEFT_SEED=" << seed() << " round " << round);
    const size_t row_bytes = below(random, 130);
    const size_t stride = row_bytes + (round % 2 == 0 ? 0 : below(random, 40));
    const size_t source_rows = 1 + below(random, 50);
    const size_t n = below(random, 60);
    GuardedArray<unsigned char> source(source_rows * stride, below(random, 9));
    fill_random(source, random, Content::any_bits);
    // Runs, repetitions and steps back.
    std::vector<uint32_t> index(n);
    for (size_t i = 0; i < n; ++i)
      index[i] = static_cast<uint32_t>(i > 0 && below(random, 3) != 0 ? (index[i - 1] + 1) % source_rows
                                                                      : below(random, source_rows));
    GuardedArray<unsigned char> out(n * row_bytes, below(random, 9));
    kernels::gather_rows(reinterpret_cast<const std::byte*>(source.data()), stride, index.data(), n,
                         row_bytes, reinterpret_cast<std::byte*>(out.data()));
    ASSERT_TRUE(out.intact());
    for (size_t i = 0; i < n && row_bytes > 0; ++i)
      ASSERT_EQ(std::memcmp(out.data() + i * row_bytes, source.data() + index[i] * stride, row_bytes), 0)
          << i;
  }
}

TEST(Gather, CopiesRunsLongerThanOnePiece) {
  constexpr size_t kRow = 100'000;
  std::vector<std::byte> source(8 * kRow);
  for (size_t i = 0; i < source.size(); ++i) source[i] = static_cast<std::byte>(i * 2654435761u >> 24);
  const uint32_t index[] = {1, 2, 3, 4, 5, 6, 0};
  std::vector<std::byte> out(7 * kRow);
  kernels::gather_rows(source.data(), kRow, index, 7, kRow, out.data());
  EXPECT_EQ(std::memcmp(out.data(), source.data() + kRow, 6 * kRow), 0);
  EXPECT_EQ(std::memcmp(out.data() + 6 * kRow, source.data(), kRow), 0);
}

}  // namespace
}  // namespace weft::test
