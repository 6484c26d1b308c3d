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
  float weight;    // of the choice; for combine 'sum' of all choices that are summed in it already
  uint32_t k = 0;  // 'weighted': which of the token's choices
};

// Attention side. For the tokens of one round: what each ffn rank takes, what it will reply, and how a result
// row is put together. Sized once for max_tokens.
class CombinePlan {
 public:
  explicit CombinePlan(const ExchangeConfig& config);

  // `choices` and `weights`: [rows, top_k]. Choices come as experts; which replica of an expert serves one is
  // settled here, and written there. Replicas take turns, by the token and `source`, which is our rank; those
  // of ranks to `avoid` (may be null) only have one when all are to be avoided. lists[r] gets the ascending
  // rows that rank r takes (null lists: mode 'all'). Not ok: `bad_token` has an expert out of range
  // (invalid_argument), or one too many for the places that an expert has for us (too_many_rows).
  Code make(const ExchangeConfig& config, uint32_t source, uint32_t rows, int32_t* choices,
            const float* weights, uint32_t* const* lists, const std::vector<bool>* avoid);

  // Combine 'weighted': gives the terms of the first `rows` tokens other weights, [rows, top_k].
  void reweigh(const ExchangeConfig& config, uint32_t rows, const float* weights);

  std::vector<uint32_t> taken;       // [ffn] rows of each rank's list
  std::vector<uint32_t> reply_rows;  // [ffn] rows that each rank must reply
  std::vector<uint32_t> first_term;  // [rows + 1]
  std::vector<Term> terms;           // in k order ('weighted') or rank order ('sum')
  uint32_t bad_token = 0;

 private:
  Code choose(const ExchangeConfig& config, uint32_t source, uint32_t rows, int32_t* choices,
              const std::vector<bool>* avoid);

  std::vector<uint32_t> next_row_;  // [replicas] of the reply of the replica's rank
};

// Ffn side. The selections of the rows that a rank takes: by taken row, then by k. For combine 'weighted'
// that is the order of the reply; of a symmetric exchange, by expert before that.
struct Selections {
  explicit Selections(const ExchangeConfig& config);

  // row_of[i]: the row of the i-th taken row in the column arrays.
  void make(const ExchangeConfig& config, uint32_t rank, uint32_t taken, const uint32_t* row_of,
            const int32_t* choices);

  uint32_t count = 0;
  std::vector<uint32_t> taken;  // which of the taken rows
  std::vector<uint32_t> row;    // in the column arrays
  std::vector<int32_t> expert;
  std::vector<uint32_t> k;
};

}  // namespace weft
