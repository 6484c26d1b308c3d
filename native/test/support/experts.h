// Symmetric exchanges for tests.
#pragma once

#include "exchange/config.h"
#include "support/random.h"

namespace weft::test {

inline ExchangeConfig symmetric(uint32_t ranks, uint32_t experts, uint32_t max_tokens) {
  ExchangeConfig config;
  config.attention = config.ffn = ranks;
  config.symmetric = config.routed = true;
  config.hidden = 16;
  config.max_tokens = max_tokens;
  config.combine = CombineKind::weighted;
  config.experts = experts;
  config.top_k = 1;
  for (uint32_t e = 0; e < experts; ++e) config.placement.add(e * ranks / experts);
  return config;
}

// Any number of experts, some with replicas, some ranks without any.
inline ExchangeConfig expert_config(Random& random) {
  const uint32_t ranks = random.between(2, 5);
  ExchangeConfig config = symmetric(ranks, random.between(1, 13), random.between(1, 12));
  config.top_k = random.between(1, std::min(config.experts, 4u));
  config.placement = {};
  for (uint32_t e = 0; e < config.experts; ++e) {
    std::vector<uint32_t> on;
    for (uint32_t r = 0; r < ranks; ++r)
      if (random.chance(30)) on.push_back(r);
    if (on.empty()) on.push_back(random.below(ranks));
    config.placement.add(on);
  }
  if (random.chance(30))
    config.expert_rows = ranks * config.max_tokens;
  else if (random.chance(40))
    config.expert_alignment = random.between(2, 9);
  return config;
}

}  // namespace weft::test
