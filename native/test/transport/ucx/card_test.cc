// What an end of a ucx link tells of itself comes whole, or is refused.
#include "transport/ucx/card.h"

#include <gtest/gtest.h>

#include "support/random.h"

namespace weft::test {
namespace {

TEST(UcxCards, ComeBackAsTheyWere) {
  const std::vector<std::byte> address(300, std::byte{7});
  const auto bytes = encode({5, 9, address});
  UcxCard card;
  ASSERT_EQ(decode(bytes, card), Code::ok);
  EXPECT_EQ(card.link, 5u);
  EXPECT_EQ(card.network_namespace, 9u);
  EXPECT_TRUE(std::ranges::equal(card.address, address));
}

TEST(UcxCards, DamagedOnesAreRefused) {
  const Seed seed;
  Random random(seed.value);
  std::vector<std::byte> address(300);
  for (auto& byte : address) byte = static_cast<std::byte>(random.between(0, 255));
  const auto whole = encode({5, 9, address});
  UcxCard card;
  for (size_t bytes = 0; bytes < whole.size(); ++bytes)
    EXPECT_NE(decode(std::span(whole).first(bytes), card), Code::ok) << bytes << " bytes of it";
  // But for the two numbers, of which each value is one.
  for (size_t bit = 16 * 8; bit < whole.size() * 8; ++bit) {
    auto damaged = whole;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    EXPECT_NE(decode(damaged, card), Code::ok) << "bit " << bit;
  }
}

}  // namespace
}  // namespace weft::test
