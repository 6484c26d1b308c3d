#include "exchange/routing.h"

#include <algorithm>

namespace weft {

namespace {
size_t selections_of(const ExchangeConfig& config) { return size_t{config.max_tokens} * config.top_k; }
}  // namespace

CombinePlan::CombinePlan(const ExchangeConfig& config)
    : taken(config.ffn), reply_rows(config.ffn), first_term(config.max_tokens + 1) {
  const size_t per_token = config.combine == CombineKind::weighted
                               ? config.top_k
                               : std::min(config.ffn, std::max(config.top_k, 1u));
  if (config.experts > 0) terms.resize(per_token * config.max_tokens);
}

Code CombinePlan::make(const ExchangeConfig& config, uint32_t rows, const int32_t* experts,
                       const float* weights, uint32_t* const* lists) {
  std::fill(taken.begin(), taken.end(), 0);
  std::fill(reply_rows.begin(), reply_rows.end(), 0);
  const bool weighted = config.combine == CombineKind::weighted;
  uint32_t used = 0;
  for (uint32_t t = 0; t < rows; ++t) {
    first_term[t] = used;
    for (uint32_t k = 0; k < config.top_k; ++k) {
      const int32_t expert = experts[size_t{t} * config.top_k + k];
      if (expert == -1) continue;
      if (expert < 0 || static_cast<uint32_t>(expert) >= config.experts) {
        bad_token = t;
        return Code::invalid_argument;
      }
      const uint32_t rank = config.placement[static_cast<size_t>(expert)];
      // A row goes to a rank once, however many of its experts are there.
      const bool new_row = taken[rank] == 0 || lists == nullptr || lists[rank][taken[rank] - 1] != t;
      if (lists != nullptr && new_row) lists[rank][taken[rank]++] = t;
      if (weighted) {
        terms[used++] = {rank, reply_rows[rank]++, weights[size_t{t} * config.top_k + k]};
      } else if (lists != nullptr && new_row) {
        terms[used++] = {rank, reply_rows[rank]++, 1.0f};
      }
    }
    if (!weighted && lists != nullptr)  // 'sum' adds in rank order, whatever the order of the selections
      std::sort(terms.begin() + first_term[t], terms.begin() + used,
                [](const Term& a, const Term& b) { return a.rank < b.rank; });
  }
  first_term[rows] = used;
  if (lists == nullptr) {
    std::fill(taken.begin(), taken.end(), rows);
    if (!weighted) std::fill(reply_rows.begin(), reply_rows.end(), rows);
  }
  return Code::ok;
}

Selections::Selections(const ExchangeConfig& config)
    : row(selections_of(config)), expert(selections_of(config)), k(selections_of(config)) {}

void Selections::make(const ExchangeConfig& config, uint32_t rank, uint32_t taken, const uint32_t* row_of,
                      const int32_t* experts) {
  count = 0;
  for (uint32_t i = 0; i < taken; ++i) {
    for (uint32_t slot = 0; slot < config.top_k; ++slot) {
      // Loaded once: what is checked must be what is used, even if the peer writes on.
      const int32_t id = __atomic_load_n(&experts[size_t{row_of[i]} * config.top_k + slot], __ATOMIC_RELAXED);
      if (id < 0 || static_cast<uint32_t>(id) >= config.experts) continue;
      if (config.placement[static_cast<size_t>(id)] != rank) continue;
      row[count] = row_of[i];
      expert[count] = id;
      k[count++] = slot;
    }
  }
}

}  // namespace weft
