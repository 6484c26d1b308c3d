// The kinds of exchange that the suites run over.
#pragma once

#include <string>
#include <vector>

#include "exchange/config.h"

namespace weft::test {

struct Shape {
  uint32_t m, n;
};
inline std::string name_of(Shape shape) { return std::to_string(shape.m) + "x" + std::to_string(shape.n); }

struct Kind {
  const char* name;
  RowType dispatch;
  bool routed;
  CombineKind combine;
  uint32_t top_k;  // 0: no experts
};

constexpr Kind kKinds[] = {
    {"SumAllBf16", RowType::bf16, false, CombineKind::sum, 0},
    {"SumRoutedFp8", RowType::fp8e4m3, true, CombineKind::sum, 3},
    {"WeightedAllF32", RowType::f32, false, CombineKind::weighted, 2},
    {"WeightedRoutedFp8", RowType::fp8e4m3, true, CombineKind::weighted, 4},
    {"NoneAllU8", RowType::u8, false, CombineKind::none, 0},
    {"NoneRoutedBf16", RowType::bf16, true, CombineKind::none, 1},
    {"SumAllFp8Experts", RowType::fp8e4m3, false, CombineKind::sum, 2},
};

inline ExchangeConfig config_of(const Kind& kind, Shape shape, uint32_t hidden, uint32_t max_tokens,
                                uint32_t depth) {
  ExchangeConfig config;
  config.attention = shape.m;
  config.ffn = shape.n;
  config.hidden = hidden;
  config.max_tokens = max_tokens;
  config.depth = depth;
  config.dispatch = kind.dispatch;
  config.routed = kind.routed;
  config.combine = kind.combine;
  if (kind.top_k > 0) {
    config.top_k = kind.top_k;
    config.experts = std::max(2 * shape.n, kind.top_k) + 1;
    // Neither blocks nor round robin, so that nothing is right by chance.
    for (uint32_t e = 0; e < config.experts; ++e) config.placement.add((e * e + 1) % shape.n);
  }
  config.extra_columns = {4, 1, 12};
  return config;
}

}  // namespace weft::test
