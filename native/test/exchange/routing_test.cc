// Row lists, selections and combine terms against a second making of them, in plain loops over all pairs.
#include "exchange/routing.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/configs.h"
#include "support/random.h"

namespace weft::test {
namespace {

struct Choice {
  std::vector<int32_t> experts;
  std::vector<float> weights;
  uint32_t rows;
};

Choice choose(const ExchangeConfig& config, Random& random) {
  Choice choice{{}, {}, random.below(config.max_tokens + 1)};
  const uint32_t none = random.below(3) * 30;
  for (uint32_t i = 0; i < choice.rows * config.top_k; ++i) {
    choice.experts.push_back(random.chance(none) ? -1 : static_cast<int32_t>(random.below(config.experts)));
    choice.weights.push_back(random.unit());
  }
  return choice;
}

ExchangeConfig random_routing(Random& random) {
  Kind kind = kKinds[random.chance(50) ? 1 : 3];
  kind.top_k = random.between(1, 8);
  return config_of(kind, {1, random.between(1, 6)}, 4, random.between(1, 30), 2);
}

TEST(Routing, PlansAreWhatASecondMakingGives) {
  const Seed seed;
  Random random(seed.value);
  for (int i = 0; i < 300; ++i) {
    const auto config = random_routing(random);
    Choice choice = choose(config, random);
    CombinePlan plan(config);
    std::vector<std::vector<uint32_t>> lists(config.ffn, std::vector<uint32_t>(config.max_tokens, 0xFFFF));
    std::vector<uint32_t*> pointers;
    for (auto& list : lists) pointers.push_back(list.data());
    ASSERT_EQ(plan.make(config, 0, choice.rows, choice.experts.data(), choice.weights.data(), pointers.data(),
                        nullptr),
              Code::ok);

    const auto rank_of = [&](uint32_t t, uint32_t k) {
      const int32_t e = choice.experts[t * config.top_k + k];
      return e < 0 ? -1 : static_cast<int>(config.placement.of(static_cast<uint32_t>(e))[0]);
    };
    std::vector<uint32_t> taken(config.ffn), replies(config.ffn);
    std::vector<Term> terms;
    for (uint32_t t = 0; t < choice.rows; ++t) {
      ASSERT_EQ(plan.first_term[t], terms.size());
      const bool weighted = config.combine == CombineKind::weighted;
      for (uint32_t k = 0; weighted && k < config.top_k; ++k)
        if (const int r = rank_of(t, k); r >= 0)
          terms.push_back({static_cast<uint32_t>(r), replies[static_cast<size_t>(r)]++,
                           choice.weights[t * config.top_k + k]});
      for (uint32_t r = 0; r < config.ffn; ++r) {
        bool takes = false;
        float weight = 0;
        for (uint32_t k = 0; k < config.top_k; ++k) {
          if (rank_of(t, k) != static_cast<int>(r)) continue;
          takes = true;
          weight += choice.weights[t * config.top_k + k];
        }
        if (!takes) continue;
        ASSERT_EQ(lists[r][taken[r]], t);
        if (!weighted) terms.push_back({r, taken[r], weight});
        ++taken[r];
      }
    }
    if (config.combine == CombineKind::sum) replies = taken;
    ASSERT_EQ(plan.taken, taken);
    ASSERT_EQ(plan.reply_rows, replies);
    ASSERT_EQ(plan.first_term[choice.rows], terms.size());
    for (size_t j = 0; j < terms.size(); ++j) {
      ASSERT_EQ(plan.terms[j].rank, terms[j].rank);
      ASSERT_EQ(plan.terms[j].row, terms[j].row);
      ASSERT_EQ(plan.terms[j].weight, terms[j].weight);
    }
  }
}

TEST(Routing, OtherWeightsGiveThePlanThatTheyWouldHaveMade) {
  const Seed seed;
  Random random(seed.value);
  for (int i = 0; i < 300; ++i) {
    auto config = random_routing(random);
    config.combine = CombineKind::weighted;
    const Choice choice = choose(config, random);
    std::vector<float> others;
    for (size_t n = 0; n < choice.weights.size(); ++n) others.push_back(random.unit());
    const auto made = [&](const std::vector<float>& weights) {
      CombinePlan plan(config);
      auto experts = choice.experts;
      std::vector<std::vector<uint32_t>> lists(config.ffn, std::vector<uint32_t>(config.max_tokens));
      std::vector<uint32_t*> pointers;
      for (auto& list : lists) pointers.push_back(list.data());
      EXPECT_EQ(plan.make(config, 0, choice.rows, experts.data(), weights.data(), pointers.data(), nullptr),
                Code::ok);
      return plan;
    };
    CombinePlan plan = made(choice.weights);
    plan.reweigh(config, choice.rows, others.data());
    const CombinePlan want = made(others);
    ASSERT_EQ(plan.first_term, want.first_term);
    for (uint32_t n = 0; n < want.first_term[choice.rows]; ++n) {
      ASSERT_EQ(plan.terms[n].rank, want.terms[n].rank);
      ASSERT_EQ(plan.terms[n].row, want.terms[n].row);
      ASSERT_EQ(plan.terms[n].weight, want.terms[n].weight);
    }
  }
}

TEST(Routing, BothSidesCountTheSameSelections) {
  const Seed seed;
  Random random(seed.value);
  for (int i = 0; i < 300; ++i) {
    auto config = random_routing(random);
    config.combine = CombineKind::weighted;
    config.routed = random.chance(50);
    Choice choice = choose(config, random);
    CombinePlan plan(config);
    std::vector<std::vector<uint32_t>> lists(config.ffn, std::vector<uint32_t>(config.max_tokens));
    std::vector<uint32_t*> pointers;
    for (auto& list : lists) pointers.push_back(list.data());
    ASSERT_EQ(plan.make(config, 0, choice.rows, choice.experts.data(), choice.weights.data(),
                        config.routed ? pointers.data() : nullptr, nullptr),
              Code::ok);
    for (uint32_t r = 0; r < config.ffn; ++r) {
      Selections selections(config);
      for (uint32_t t = 0; !config.routed && t < choice.rows; ++t) lists[r][t] = t;
      selections.make(config, r, plan.taken[r], lists[r].data(), choice.experts.data());
      ASSERT_EQ(selections.count, plan.reply_rows[r]) << "what is sent is what is waited for";
      // The j-th selection of the rank is the j-th term of it.
      uint32_t j = 0;
      for (uint32_t n = 0; n < plan.first_term[choice.rows]; ++n) {
        if (plan.terms[n].rank != r) continue;
        ASSERT_EQ(plan.terms[n].row, j);
        ASSERT_EQ(choice.weights[selections.row[j] * config.top_k + selections.k[j]], plan.terms[n].weight);
        ++j;
      }
    }
  }
}

TEST(Routing, SelectionsLeaveOutExpertsThatDoNotExist) {
  // Row columns come from a peer: ids out of range are not used as an index.
  auto config = config_of(kKinds[3], {1, 1}, 4, 3, 2);
  Selections selections(config);
  std::vector<int32_t> experts(3 * config.top_k, -7);
  experts[0] = static_cast<int32_t>(config.experts);
  experts[1] = INT32_MAX;
  experts[2] = INT32_MIN;
  experts[3] = 0;
  const uint32_t rows[] = {0, 1, 2};
  selections.make(config, 0, 3, rows, experts.data());
  EXPECT_EQ(selections.count, 1u);
  EXPECT_EQ(selections.k[0], 3u);
}

}  // namespace
}  // namespace weft::test
