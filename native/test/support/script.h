// What every round of a test carries and what comes back, worked out in plain loops from a seed alone: each
// side computes it for itself, and neither trusts the other.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "exchange/config.h"

namespace weft::test {

struct ScriptedRound {
  uint32_t rows = 0;
  uint32_t tag = 0;
  std::vector<std::byte> meta;
  std::vector<int32_t> experts;  // [rows, top_k]
  std::vector<float> weights;    // [rows, top_k]
};

struct Selection {
  uint32_t token;
  int32_t expert;
  uint32_t k;
};

class Script {
 public:
  Script(const ExchangeConfig& config, uint64_t seed) : config_(config), seed_(seed) {}

  ScriptedRound round(uint32_t attention, uint64_t generation) const;
  // One row of a dispatch column that is not experts or weights.
  void payload(uint32_t attention, uint64_t generation, uint32_t column, uint32_t row,
               std::span<std::byte> out) const;

  // Tokens that ffn rank `rank` takes, and its selections in reply order.
  std::vector<uint32_t> taken(const ScriptedRound& round, uint32_t rank) const;
  std::vector<Selection> selections(const ScriptedRound& round, uint32_t rank) const;

  // Rows of the reply: one per taken row, per selection, or (combine none) any number.
  uint32_t reply_rows(const ScriptedRound& round, uint32_t attention, uint64_t generation,
                      uint32_t rank) const;
  // 'sum': the partial sum of rank `who` for a token; 'weighted': the output of selection `who` = k.
  void answer(uint32_t attention, uint64_t generation, uint32_t token, uint32_t who,
              std::span<uint16_t> out) const;
  // Combine none: a row of the reply.
  void free_row(uint32_t attention, uint64_t generation, uint32_t rank, uint32_t row,
                std::span<std::byte> out) const;

  // The combined row of a token, in fp32 before the last rounding. skip[r]: rank r is left out.
  std::vector<float> combined(const ScriptedRound& round, uint32_t attention, uint64_t generation,
                              uint32_t token, const std::vector<bool>& skip) const;

  const ExchangeConfig& config() const { return config_; }

 private:
  ExchangeConfig config_;
  uint64_t seed_;
};

float widen(uint16_t bf16);
uint16_t narrow(float value);  // nearest even; finite values only

}  // namespace weft::test
