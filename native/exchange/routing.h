// From expert choices to row lists, selections and combine terms: pure functions, the same on both sides, so
// that neither has to send the other what both can compute.
#pragma once

#include <cstdint>
#include <vector>

#include "core/status.h"
#include "exchange/config.h"

namespace weft {

// One summand of a combined row: row `row` of rank `rank`'s reply.
struct Term {
  uint32_t rank;
  uint32_t row;
  float weight;  // 1 for combine 'sum'
};

// Attention side. For the tokens of one round: what each ffn rank takes, what it will reply, and how a result
// row is put together. Sized once for max_tokens.
struct CombinePlan {
  explicit CombinePlan(const ExchangeConfig& config);

  // `experts` and `weights`: [rows, top_k]. Code invalid_argument: `bad_token` has an expert id out of range.
  // lists[r] gets the ascending rows that rank r takes (null lists: mode 'all').
  Code make(const ExchangeConfig& config, uint32_t rows, const int32_t* experts, const float* weights,
            uint32_t* const* lists);

  std::vector<uint32_t> taken;       // [ffn] rows of each rank's list
  std::vector<uint32_t> reply_rows;  // [ffn] rows that each rank must reply
  std::vector<uint32_t> first_term;  // [rows + 1]
  std::vector<Term> terms;           // in k order ('weighted') or rank order ('sum')
  uint32_t bad_token = 0;
};

// Ffn side. The selections of the rows that a rank takes, in reply order: by taken row, then by k.
struct Selections {
  explicit Selections(const ExchangeConfig& config);

  // row_of[i]: the row of the i-th taken row in the column arrays.
  void make(const ExchangeConfig& config, uint32_t rank, uint32_t taken, const uint32_t* row_of,
            const int32_t* experts);

  uint32_t count = 0;
  std::vector<uint32_t> row;  // in the column arrays
  std::vector<int32_t> expert;
  std::vector<uint32_t> k;
};

}  // namespace weft
