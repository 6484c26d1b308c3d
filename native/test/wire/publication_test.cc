#include "wire/publication.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/random.h"

namespace weft::test {
namespace {

using wire::PublicationLayout;
using wire::PublicationShape;

struct Region {
  size_t at, bytes;
  std::string what;
};

std::vector<Region> regions(const PublicationLayout& layout) {
  const auto& shape = layout.shape();
  std::vector<Region> all;
  for (uint32_t slot = 0; slot < shape.depth; ++slot) {
    all.push_back({layout.head(slot), offsetof(wire::SlotHead, inline_rows), "head"});
    all.push_back({layout.meta(slot), shape.meta_capacity, "meta"});
    for (uint32_t d = 0; shape.lists && d < shape.destinations; ++d)
      all.push_back({layout.list(slot, d), sizeof(wire::RowList) + size_t{4} * shape.max_rows, "list"});
    for (uint32_t c = 0; c < shape.column_bytes.size(); ++c)
      all.push_back({layout.column(slot, c), size_t{shape.column_bytes[c]} * shape.max_rows, "column"});
  }
  return all;
}

// The layout written down once more, from docs/protocol.md "Publication".
std::vector<size_t> recomputed_columns(const PublicationShape& shape, uint32_t slot, size_t& total) {
  const auto up = [](size_t v, size_t a) { return (v + a - 1) & ~(a - 1); };
  size_t small = 0;
  for (const uint32_t bytes : shape.column_bytes) small = up(small, 8) + size_t{bytes} * shape.max_rows;
  const size_t heads = up(shape.depth * 128, 4096);
  size_t body = up(shape.meta_capacity, 128);
  if (shape.lists) body += shape.destinations * up(64 + size_t{4} * shape.max_rows, 128);
  std::vector<size_t> in_body, in_head;
  size_t head = 0;
  for (const uint32_t width : shape.column_bytes) {
    const size_t bytes = size_t{width} * shape.max_rows;
    head = up(head, 8);
    in_head.push_back(slot * 128 + 24 + head);
    head += bytes;
    if (small > 40) {
      body = up(body, bytes >= 4096 ? 4096 : 128);
      in_body.push_back(body);
      body += bytes;
    }
  }
  const size_t stride = up(body, 4096);
  total = heads + stride * shape.depth;
  for (size_t& at : in_body) at += heads + stride * slot;
  return small <= 40 ? in_head : in_body;
}

PublicationShape random_shape(Random& random) {
  PublicationShape shape;
  shape.depth = random.between(2, random.chance(10) ? 100 : 5);
  shape.max_rows = random.chance(30) ? random.between(1, 4) : random.between(1, 700);
  shape.destinations = random.between(1, 9);
  shape.lists = random.chance(50);
  shape.meta_capacity = random.chance(20) ? 0 : random.below(2000);
  for (uint32_t columns = random.between(1, 6); columns > 0; --columns)
    shape.column_bytes.push_back(random.chance(40) ? random.between(1, 8) : random.between(1, 3000));
  return shape;
}

TEST(PublicationLayout, RegionsNeverOverlapAndStayInside) {
  const Seed seed;
  Random random(seed.value);
  for (uint32_t i = 0; i < 500; ++i) {
    const PublicationLayout layout(random_shape(random));
    auto all = regions(layout);
    std::erase_if(all, [](const Region& region) { return region.bytes == 0; });
    std::sort(all.begin(), all.end(), [](const Region& a, const Region& b) { return a.at < b.at; });
    for (size_t r = 0; r < all.size(); ++r) {
      ASSERT_LE(all[r].at + all[r].bytes, r + 1 < all.size() ? all[r + 1].at : layout.bytes())
          << all[r].what << " runs into what follows it";
    }
  }
}

TEST(PublicationLayout, WordsOfDifferentMeaningShareNoCacheLines) {
  const Seed seed;
  Random random(seed.value);
  for (uint32_t i = 0; i < 200; ++i) {
    const PublicationLayout layout(random_shape(random));
    EXPECT_EQ(layout.bytes() % 4096, 0u);
    for (const Region& region : regions(layout)) {
      const size_t alignment = region.what != "column" ? kNoSharing : region.bytes >= 4096 ? 4096 : 8;
      EXPECT_EQ(region.at % alignment, 0u) << region.what;
    }
  }
}

TEST(PublicationLayout, IsWhatASecondReadingOfTheRulesGives) {
  const Seed seed;
  Random random(seed.value);
  for (uint32_t i = 0; i < 500; ++i) {
    const auto shape = random_shape(random);
    const PublicationLayout layout(shape);
    for (uint32_t slot = 0; slot < shape.depth; ++slot) {
      size_t total = 0;
      const auto want = recomputed_columns(shape, slot, total);
      for (uint32_t c = 0; c < want.size(); ++c) ASSERT_EQ(layout.column(slot, c), want[c]);
      ASSERT_EQ(layout.bytes(), total);
    }
  }
}

TEST(PublicationLayout, TinyRowsLiveInTheHead) {
  // 40 bytes fit, aligned to 8 each; 41 don't.
  const PublicationLayout fits({2, 4, 1, false, 0, {3, 6}});  // 12 -> 16, then 24: 40
  EXPECT_EQ(fits.column(0, 0), 24u);
  EXPECT_EQ(fits.column(0, 1), 24u + 16);
  EXPECT_EQ(fits.column(1, 0), 128u + 24);
  const PublicationLayout large({2, 1, 1, false, 0, {41}});
  EXPECT_GE(large.column(0, 0), 4096u);
  const PublicationLayout padded({2, 1, 1, false, 0, {1, 33}});  // 1 -> 8, then 33: 41
  EXPECT_GE(padded.column(0, 0), 4096u);
}

TEST(PublicationLayout, SumsUpARowAndFindsItsSlot) {
  const PublicationLayout layout({3, 10, 1, false, 0, {7, 100, 1}});
  EXPECT_EQ(layout.row_bytes(), 108u);
  EXPECT_EQ(layout.slot_of(1), 1u);
  EXPECT_EQ(layout.slot_of(3), 0u);
  EXPECT_EQ(layout.slot_of(wire::kMaxGeneration), static_cast<uint32_t>(wire::kMaxGeneration % 3));
}

TEST(StateWord, TakesGenerationAndRowsApartAgain) {
  const Seed seed;
  Random random(seed.value);
  for (uint32_t i = 0; i < 1000; ++i) {
    const uint64_t generation = random.next() & wire::kMaxGeneration;
    const uint32_t rows = random.below(wire::kMaxRows + 1);
    const uint64_t word = wire::state_word(generation, rows);
    ASSERT_EQ(wire::generation_of(word), generation);
    ASSERT_EQ(wire::final_rows_of(word), rows);
  }
}

TEST(StateWord, GrowsWithRowsAndWithGenerations) {
  using wire::state_word;
  EXPECT_LT(uint64_t{0}, state_word(1, 0));
  EXPECT_LT(state_word(1, 0), state_word(1, 1));
  EXPECT_LT(state_word(1, wire::kMaxRows), state_word(2, 0));
  EXPECT_LT(state_word(wire::kMaxGeneration - 1, wire::kMaxRows), state_word(wire::kMaxGeneration, 0));
}

}  // namespace
}  // namespace weft::test
