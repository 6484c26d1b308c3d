#include "support/script.h"

#include <bit>

#include "support/random.h"

namespace weft::test {

namespace {

enum Salt : uint64_t { kRound = 1, kPayload, kAnswer, kFreeRows, kFreeRow };

// Shapes of expert choice that a round may have.
enum Taste : uint32_t { uniform, one_expert, some_none, all_none, kTastes };

}  // namespace

float widen(uint16_t bf16) { return std::bit_cast<float>(static_cast<uint32_t>(bf16) << 16); }

uint16_t narrow(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t low = bits & 0xFFFF;
  uint32_t high = bits >> 16;
  if (low > 0x8000 || (low == 0x8000 && (high & 1) != 0)) ++high;
  return static_cast<uint16_t>(high);
}

ScriptedRound Script::round(uint32_t attention, uint64_t generation) const {
  Random random(mix(seed_, kRound, attention, generation));
  ScriptedRound round;
  switch (random.below(5)) {
    case 0:
      round.rows = 0;
      break;
    case 1:
      round.rows = config_.max_tokens;
      break;
    default:
      round.rows = random.below(config_.max_tokens + 1);
  }
  round.tag = static_cast<uint32_t>(random.next());
  round.meta.resize(random.chance(20) ? config_.meta_capacity : random.below(config_.meta_capacity + 1));
  random.fill(round.meta);
  if (config_.experts == 0) return round;
  const uint32_t taste = random.below(kTastes);
  const auto favourite = static_cast<int32_t>(random.below(config_.experts));
  for (uint32_t i = 0; i < round.rows * config_.top_k; ++i) {
    int32_t expert = taste == one_expert ? favourite : static_cast<int32_t>(random.below(config_.experts));
    if (taste == all_none || (taste == some_none && random.chance(40))) expert = -1;
    round.experts.push_back(expert);
    round.weights.push_back(random.unit() * 4 - 2);
  }
  return round;
}

void Script::payload(uint32_t attention, uint64_t generation, uint32_t column, uint32_t row,
                     std::span<std::byte> out) const {
  Random(mix(seed_, kPayload, attention, generation, column, row)).fill(out);
}

std::vector<uint32_t> Script::taken(const ScriptedRound& round, uint32_t rank) const {
  std::vector<uint32_t> tokens;
  for (uint32_t t = 0; t < round.rows; ++t) {
    bool takes = !config_.routed;
    for (uint32_t k = 0; k < config_.top_k; ++k) {
      const int32_t expert = round.experts[t * config_.top_k + k];
      takes |= expert >= 0 && config_.placement.of(static_cast<uint32_t>(expert))[0] == rank;
    }
    if (takes) tokens.push_back(t);
  }
  return tokens;
}

std::vector<Selection> Script::selections(const ScriptedRound& round, uint32_t rank) const {
  std::vector<Selection> list;
  for (uint32_t t = 0; t < round.rows; ++t)
    for (uint32_t k = 0; k < config_.top_k; ++k)
      if (const int32_t expert = round.experts[t * config_.top_k + k];
          expert >= 0 && config_.placement.of(static_cast<uint32_t>(expert))[0] == rank)
        list.push_back({t, expert, k});
  return list;
}

uint32_t Script::reply_rows(const ScriptedRound& round, uint32_t attention, uint64_t generation,
                            uint32_t rank) const {
  switch (config_.combine) {
    case CombineKind::sum:
      return static_cast<uint32_t>(taken(round, rank).size());
    case CombineKind::weighted:
      return static_cast<uint32_t>(selections(round, rank).size());
    case CombineKind::none:
      break;
  }
  return Random(mix(seed_, kFreeRows, attention, generation, rank)).below(config_.max_tokens + 1);
}

void Script::answer(uint32_t attention, uint64_t generation, uint32_t token, uint32_t who,
                    std::span<uint16_t> out) const {
  Random random(mix(seed_, kAnswer, attention, generation, token, who));
  random.fill(std::as_writable_bytes(out));
  // Sign and mantissa at random, magnitudes between 2^-8 and 2^7: sums round, and never overflow.
  for (uint16_t& y : out) y = static_cast<uint16_t>((y & 0x807F) | ((((y >> 7) & 0xF) + 119) << 7));
}

void Script::free_row(uint32_t attention, uint64_t generation, uint32_t rank, uint32_t row,
                      std::span<std::byte> out) const {
  Random(mix(seed_, kFreeRow, attention, generation, rank, row)).fill(out);
}

std::vector<float> Script::combined(const ScriptedRound& round, uint32_t attention, uint64_t generation,
                                    uint32_t token, const std::vector<bool>& skip) const {
  std::vector<float> sum(config_.hidden);
  std::vector<uint16_t> y(config_.hidden);
  bool first = true;
  const auto add = [&](uint32_t who, float weight, bool weighted) {
    answer(attention, generation, token, who, y);
    for (uint32_t h = 0; h < config_.hidden; ++h) {
      const float term = weighted ? weight * widen(y[h]) : widen(y[h]);
      sum[h] = first ? term : sum[h] + term;
    }
    first = false;
  };
  if (config_.combine == CombineKind::weighted) {
    for (uint32_t k = 0; k < config_.top_k; ++k) {
      const int32_t expert = round.experts[token * config_.top_k + k];
      if (expert < 0 || skip[config_.placement.of(static_cast<uint32_t>(expert))[0]]) continue;
      add(k, round.weights[token * config_.top_k + k], true);
    }
    return sum;
  }
  for (uint32_t r = 0; r < config_.ffn; ++r) {
    bool takes = !config_.routed;
    for (uint32_t k = 0; k < config_.top_k; ++k) {
      const int32_t expert = round.experts[token * config_.top_k + k];
      takes |= expert >= 0 && config_.placement.of(static_cast<uint32_t>(expert))[0] == r;
    }
    if (takes && !skip[r]) add(r, 1, false);
  }
  return sum;
}

}  // namespace weft::test
