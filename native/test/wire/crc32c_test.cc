#include "wire/crc32c.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string_view>
#include <vector>

#include "support/random.h"

namespace weft::test {
namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

struct Known {
  std::vector<std::byte> data;
  uint32_t crc;
};

// The check value of the catalogue of CRCs, and the examples of RFC 3720, B.4.
std::vector<Known> known() {
  std::vector<std::byte> up(32), down(32);
  for (size_t i = 0; i < 32; ++i) up[i] = down[31 - i] = static_cast<std::byte>(i);
  return {{{}, 0},
          {bytes_of("123456789"), 0xE3069283},
          {std::vector<std::byte>(32, std::byte{0}), 0x8A9136AA},
          {std::vector<std::byte>(32, std::byte{0xFF}), 0x62A8AB43},
          {up, 0x46DD794E},
          {down, 0x113FDB5C}};
}

TEST(Crc32c, GivesThePublishedAnswers) {
  for (const Known& k : known()) {
    EXPECT_EQ(wire::crc32c(k.data.data(), k.data.size()), k.crc);
    EXPECT_EQ(wire::detail::crc32c_portable(k.data.data(), k.data.size()), k.crc);
  }
}

#if defined(__x86_64__)
TEST(Crc32c, ThePortableFormAndTheInstructionAgree) {
  if (!__builtin_cpu_supports("sse4.2")) GTEST_SKIP() << "no sse4.2";
  const Seed seed;
  Random random(seed.value);
  std::vector<std::byte> data(300);
  for (uint32_t i = 0; i < 2000; ++i) {
    random.fill(data);
    const size_t from = random.below(20), bytes = random.below(280);
    ASSERT_EQ(wire::detail::crc32c_sse42(data.data() + from, bytes),
              wire::detail::crc32c_portable(data.data() + from, bytes))
        << bytes << " bytes";
  }
}
#endif

TEST(Crc32c, SeesEverySingleBitOfAFrameSizedMessage) {
  std::vector<std::byte> data(60);
  std::iota(reinterpret_cast<uint8_t*>(data.data()), reinterpret_cast<uint8_t*>(data.data()) + data.size(),
            1);
  const uint32_t crc = wire::crc32c(data.data(), data.size());
  for (size_t bit = 0; bit < data.size() * 8; ++bit) {
    data[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_NE(wire::crc32c(data.data(), data.size()), crc) << "bit " << bit;
    data[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
}

}  // namespace
}  // namespace weft::test
