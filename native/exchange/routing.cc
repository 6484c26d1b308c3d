#include "exchange/routing.h"

#include <algorithm>

namespace weft {

namespace {

size_t selections_of(const ExchangeConfig& config) { return size_t{config.max_tokens} * config.top_k; }

bool exists(const ExchangeConfig& config, int32_t choice) {
  return choice >= 0 && expert_of(choice) < config.experts &&
         replica_of(choice) < config.placement.of(expert_of(choice)).size();
}

// The turn-th of the replicas that are not on ranks to avoid, or of all when there are no others.
uint32_t pick(std::span<const uint32_t> ranks, uint32_t turn, const std::vector<bool>* avoid) {
  const auto n = static_cast<uint32_t>(ranks.size());
  if (n == 1) return 0;
  uint32_t live = n;
  if (avoid != nullptr)
    live = static_cast<uint32_t>(
        std::count_if(ranks.begin(), ranks.end(), [&](uint32_t r) { return !(*avoid)[r]; }));
  if (live == n || live == 0) return turn % n;
  uint32_t i = 0;
  for (uint32_t left = turn % live;; ++i) {
    if ((*avoid)[ranks[i]]) continue;
    if (left-- == 0) return i;
  }
}

// Choices are experts again: the caller may mend them and publish once more.
void unchoose(uint32_t count, int32_t* choices) {
  for (uint32_t i = 0; i < count; ++i)
    if (choices[i] >= 0) choices[i] = static_cast<int32_t>(expert_of(choices[i]));
}

}  // namespace

CombinePlan::CombinePlan(const ExchangeConfig& config)
    : taken(config.ffn),
      reply_rows(config.ffn),
      first_term(config.max_tokens + 1),
      next_row_(config.symmetric ? config.placement.replicas() : 0) {
  const size_t per_token = config.combine == CombineKind::weighted
                               ? config.top_k
                               : std::min(config.ffn, std::max(config.top_k, 1u));
  if (config.experts > 0) terms.resize(per_token * config.max_tokens);
}

// Settles the replicas. Symmetric: and counts what goes to each.
Code CombinePlan::choose(const ExchangeConfig& config, uint32_t source, uint32_t rows, int32_t* choices,
                         const std::vector<bool>* avoid) {
  std::fill(next_row_.begin(), next_row_.end(), 0);
  const uint32_t most = config.expert_rows > 0 ? config.expert_rows / config.attention : UINT32_MAX;
  for (uint32_t t = 0; t < rows; ++t) {
    for (uint32_t k = 0; k < config.top_k; ++k) {
      int32_t& choice = choices[size_t{t} * config.top_k + k];
      if (choice == -1) continue;
      bad_token = t;
      if (choice < 0 || static_cast<uint32_t>(choice) >= config.experts)
        return unchoose(t * config.top_k + k, choices), Code::invalid_argument;
      const auto expert = static_cast<uint32_t>(choice);
      const uint32_t replica = pick(config.placement.of(expert), t + source, avoid);
      choice = choice_of(expert, replica);
      if (config.symmetric && ++next_row_[config.placement.replica(expert, replica)] > most)
        return unchoose(t * config.top_k + k + 1, choices), Code::too_many_rows;
    }
  }
  return Code::ok;
}

Code CombinePlan::make(const ExchangeConfig& config, uint32_t source, uint32_t rows, int32_t* choices,
                       const float* weights, uint32_t* const* lists, const std::vector<bool>* avoid) {
  if (const Code code = choose(config, source, rows, choices, avoid); code != Code::ok) return code;
  std::fill(taken.begin(), taken.end(), 0);
  std::fill(reply_rows.begin(), reply_rows.end(), 0);
  const bool weighted = config.combine == CombineKind::weighted;
  if (config.symmetric && weighted) {  // from counts to where a rank's replies for an expert begin
    for (uint32_t e = 0; e < config.experts; ++e) {
      const auto ranks = config.placement.of(e);
      for (uint32_t i = 0; i < ranks.size(); ++i) {
        uint32_t& next = next_row_[config.placement.replica(e, i)];
        const uint32_t count = next;
        next = reply_rows[ranks[i]];
        reply_rows[ranks[i]] += count;
      }
    }
  }
  uint32_t used = 0;
  for (uint32_t t = 0; t < rows; ++t) {
    first_term[t] = used;
    for (uint32_t k = 0; k < config.top_k; ++k) {
      const size_t at = size_t{t} * config.top_k + k;
      if (choices[at] == -1) continue;
      const uint32_t expert = expert_of(choices[at]), replica = replica_of(choices[at]);
      const uint32_t rank = config.placement.of(expert)[replica];
      // A row goes to a rank once, however many of its experts are there.
      const bool new_row = taken[rank] == 0 || lists == nullptr || lists[rank][taken[rank] - 1] != t;
      // Written in any case, to the place where it stands already: nobody could predict the branch.
      if (lists != nullptr) lists[rank][(taken[rank] += new_row) - 1] = t;
      if (weighted) {
        const uint32_t row =
            config.symmetric ? next_row_[config.placement.replica(expert, replica)]++ : reply_rows[rank]++;
        terms[used++] = {rank, row, weights[at], k};
      } else if (lists != nullptr && new_row) {
        terms[used++] = {rank, reply_rows[rank]++, weights[at]};
      } else if (lists != nullptr) {
        for (uint32_t i = first_term[t]; i < used; ++i)
          if (terms[i].rank == rank) terms[i].weight += weights[at];
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

void CombinePlan::reweigh(const ExchangeConfig& config, uint32_t rows, const float* weights) {
  for (uint32_t t = 0; t < rows; ++t)
    for (uint32_t i = first_term[t]; i < first_term[t + 1]; ++i)
      terms[i].weight = weights[size_t{t} * config.top_k + terms[i].k];
}

// One more than there can be: see below.
Selections::Selections(const ExchangeConfig& config)
    : taken(selections_of(config) + 1),
      row(selections_of(config) + 1),
      expert(selections_of(config) + 1),
      k(selections_of(config) + 1) {}

void Selections::make(const ExchangeConfig& config, uint32_t rank, uint32_t rows, const uint32_t* row_of,
                      const int32_t* choices) {
  count = 0;
  for (uint32_t i = 0; i < rows; ++i) {
    for (uint32_t slot = 0; slot < config.top_k; ++slot) {
      // Loaded once: what is checked must be what is used, even if the peer writes on.
      const int32_t choice =
          __atomic_load_n(&choices[size_t{row_of[i]} * config.top_k + slot], __ATOMIC_RELAXED);
      if (!exists(config, choice)) continue;
      const uint32_t id = expert_of(choice);
      // Written in any case, and kept if it is ours: nobody could predict that branch.
      taken[count] = i;
      row[count] = row_of[i];
      expert[count] = static_cast<int32_t>(id);
      k[count] = slot;
      count += config.placement.of(id)[replica_of(choice)] == rank;
    }
  }
}

}  // namespace weft
