// Places against a second making of them: every selection of every source in one list, sorted.
#include "exchange/grouping.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "support/experts.h"
#include "support/random.h"

namespace weft::test {
namespace {

struct Sources {
  Sources(const ExchangeConfig& config, Random& random) : choices(config.attention) {
    for (uint32_t s = 0; s < config.attention; ++s) {
      rows.push_back(random.below(config.max_tokens + 1));
      for (uint32_t i = 0; i < rows[s] * config.top_k; ++i)
        choices[s].push_back(random.chance(20) ? -1 : static_cast<int32_t>(random.below(config.experts)));
    }
  }
  std::vector<uint32_t> rows;
  std::vector<std::vector<int32_t>> choices;  // as experts
};

// The rank that serves a choice.
uint32_t served_by(const ExchangeConfig& config, uint32_t source, uint32_t token, int32_t expert) {
  const auto ranks = config.placement.of(static_cast<uint32_t>(expert));
  return ranks[(token + source) % ranks.size()];
}

struct Placed {
  int32_t expert;
  uint32_t source, token, k;
  auto operator<=>(const Placed&) const = default;
};

TEST(Grouping, PutsRowsByExpertThenSourceThenToken) {
  const Seed seed;
  Random random(seed.value);
  for (int i = 0; i < 300; ++i) {
    const auto config = expert_config(random);
    ASSERT_EQ(config.check().code, Code::ok) << config.check().what;
    const Sources sources(config, random);
    const uint32_t rank = random.below(config.attention);
    const bool one_is_gone = random.chance(20);

    std::vector<Placed> want;
    std::vector<std::unique_ptr<Selections>> selections;
    std::vector<std::vector<uint32_t>> lists(config.attention);
    std::vector<SourcePart> parts(config.attention);
    std::vector<const SourcePart*> given(config.attention);
    for (uint32_t s = 0; s < config.attention; ++s) {
      // What a source sends: choices with replicas, and a list of rows for the rank.
      auto choices = sources.choices[s];
      std::vector<float> weights(choices.size());
      std::vector<std::vector<uint32_t>> of(config.ffn, std::vector<uint32_t>(config.max_tokens));
      std::vector<uint32_t*> pointers;
      for (auto& list : of) pointers.push_back(list.data());
      CombinePlan plan(config);
      const Code code =
          plan.make(config, s, sources.rows[s], choices.data(), weights.data(), pointers.data(), nullptr);
      if (code == Code::too_many_rows)
        continue;  // a token chose an expert twice, and there is no place for it
      ASSERT_EQ(code, Code::ok);
      lists[s] = of[rank];
      selections.push_back(std::make_unique<Selections>(config));
      selections.back()->make(config, rank, plan.taken[rank], lists[s].data(), choices.data());
      if (one_is_gone && s == 1) continue;
      parts[s] = {selections.back().get(), lists[s].data()};
      given[s] = &parts[s];
      for (uint32_t t = 0; t < sources.rows[s]; ++t)
        for (uint32_t k = 0; k < config.top_k; ++k) {
          const int32_t expert = sources.choices[s][t * config.top_k + k];
          if (expert >= 0 && served_by(config, s, t, expert) == rank) want.push_back({expert, s, t, k});
        }
    }
    std::sort(want.begin(), want.end());

    Grouping grouping(config, rank);
    uint32_t bad = 0;
    ASSERT_EQ(grouping.make(given, bad), Code::ok);
    size_t n = 0;
    uint32_t end = 0;
    for (uint32_t e = 0; e < grouping.experts(); ++e) {
      if (config.expert_rows > 0) {
        ASSERT_EQ(grouping.begin[e], e * config.expert_rows);
      }
      if (grouping.count[e] > 0) {
        ASSERT_EQ(grouping.begin[e] % config.expert_alignment, 0u);
        ASSERT_GE(grouping.begin[e], end);
        if (config.expert_rows == 0) {
          ASSERT_LT(grouping.begin[e] - end, config.expert_alignment);
        }
        end = grouping.begin[e] + grouping.count[e];
      }
      for (uint32_t place = grouping.begin[e]; place < grouping.begin[e] + grouping.count[e]; ++place, ++n) {
        ASSERT_LT(n, want.size());
        const Placed got{grouping.expert[e], grouping.source[place], grouping.token[place],
                         grouping.k[place]};
        ASSERT_EQ(got, want[n]);
        const size_t group = size_t{e} * config.attention + got.source;
        ASSERT_GE(place, grouping.source_begin[group]);
        ASSERT_LT(place, grouping.source_begin[group] + grouping.source_count[group]);
      }
    }
    ASSERT_EQ(n, want.size());
    ASSERT_EQ(grouping.places, end);
    ASSERT_LE(end, most_places(config));
    for (uint32_t s = 0; s < config.attention; ++s) {
      std::vector<uint32_t> places(most_places(config) + 1);
      const uint32_t count = grouping.places_of(s, places.data());
      ASSERT_TRUE(std::is_sorted(places.begin(), places.begin() + count));
      std::vector<uint32_t> all;
      for (uint32_t place = 0; place < end; ++place)
        for (uint32_t e = 0; e < grouping.experts(); ++e)
          if (place >= grouping.begin[e] && place < grouping.begin[e] + grouping.count[e] &&
              grouping.source[place] == s)
            all.push_back(place);
      ASSERT_TRUE(std::equal(all.begin(), all.end(), places.begin(), places.begin() + count));
      // By its own order, which is by token and then by k.
      for (uint32_t j = 0; given[s] != nullptr && j < given[s]->selections->count; ++j) {
        const uint32_t place = grouping.place_of(s)[j];
        ASSERT_EQ(grouping.source[place], s);
        ASSERT_EQ(grouping.k[place], given[s]->selections->k[j]);
        ASSERT_EQ(grouping.row[place], given[s]->selections->row[j]);
      }
    }
  }
}

TEST(Grouping, RefusesMoreRowsThanAnExpertHasPlacesFor) {
  ExchangeConfig config = symmetric(2, 1, 4);
  config.top_k = 2;
  config.expert_rows = 2 * config.max_tokens;
  std::vector<int32_t> choices(size_t{config.max_tokens} * 2, 0);  // each token chose expert 0 twice
  std::vector<uint32_t> rows(config.max_tokens);
  std::iota(rows.begin(), rows.end(), 0);
  Selections selections(config);
  selections.make(config, 0, config.max_tokens, rows.data(), choices.data());
  const SourcePart part{&selections, rows.data()};
  const SourcePart* parts[] = {nullptr, &part};
  Grouping grouping(config, 0);
  uint32_t bad = 7;
  EXPECT_EQ(grouping.make(parts, bad), Code::protocol);
  EXPECT_EQ(bad, 1u);

  // And whoever sends them is told before.
  CombinePlan plan(config);
  std::vector<uint32_t*> lists(2, rows.data());
  std::vector<float> weights(choices.size());
  EXPECT_EQ(plan.make(config, 1, config.max_tokens, choices.data(), weights.data(), lists.data(), nullptr),
            Code::too_many_rows);
}

}  // namespace
}  // namespace weft::test
