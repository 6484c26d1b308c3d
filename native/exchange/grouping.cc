#include "exchange/grouping.h"

#include <algorithm>
#include <numeric>

#include "core/cpu.h"

namespace weft {

Grouping::Grouping(const ExchangeConfig& config, uint32_t rank)
    : config_(config),
      per_source_(size_t{config.max_tokens} * config.top_k),
      index_of_(config.experts, UINT32_MAX),
      place_of_(per_source_ * config.attention) {
  for (uint32_t e = 0; e < config.experts; ++e) {
    const auto ranks = config.placement.of(e);
    if (std::find(ranks.begin(), ranks.end(), rank) == ranks.end()) continue;
    index_of_[e] = experts();
    expert.push_back(static_cast<int32_t>(e));
  }
  count.resize(experts());
  begin.resize(experts());
  source_begin.resize(size_t{experts()} * config.attention);
  source_count.resize(source_begin.size());
  for (auto* array : {&source, &token, &row, &k}) array->resize(most_places(config));
}

Code Grouping::make(std::span<const SourcePart* const> parts, uint32_t& bad_source) {
  const uint32_t ranks = config_.attention;
  const uint32_t most = config_.expert_rows > 0 ? config_.expert_rows / ranks : UINT32_MAX;
  std::fill(source_count.begin(), source_count.end(), 0);
  for (uint32_t r = 0; r < ranks; ++r) {
    if (parts[r] == nullptr) continue;
    const Selections& selections = *parts[r]->selections;
    const uint32_t n = selections.count;
    const int32_t* expert_of = selections.expert.data();
    uint32_t* group_of = place_of_.data() + r * per_source_;
    for (uint32_t i = 0; i < n; ++i) {
      const uint32_t group = index_of_[static_cast<uint32_t>(expert_of[i])] * ranks + r;
      group_of[i] = group;
      bad_source = r;
      if (++source_count[group] > most) return Code::protocol;  // there would be no place for them
    }
  }

  uint32_t next = 0;
  places = 0;
  for (uint32_t e = 0; e < experts(); ++e) {
    const uint32_t* counts = source_count.data() + size_t{e} * ranks;
    count[e] = std::accumulate(counts, counts + ranks, 0u);
    if (config_.expert_rows > 0)
      next = e * config_.expert_rows;
    else if (count[e] > 0)
      next = static_cast<uint32_t>(align_up(next, config_.expert_alignment));
    begin[e] = next;
    for (uint32_t r = 0; r < ranks; ++r) {
      source_begin[size_t{e} * ranks + r] = next;
      next += counts[r];
    }
    if (count[e] > 0) places = next;
  }

  for (uint32_t r = 0; r < ranks; ++r) {
    if (parts[r] == nullptr) continue;
    const Selections& selections = *parts[r]->selections;
    const uint32_t n = selections.count;
    uint32_t* place_of = place_of_.data() + r * per_source_;
    uint32_t* next_place = source_begin.data();
    for (uint32_t i = 0; i < n; ++i) {
      const uint32_t place = next_place[place_of[i]]++;
      place_of[i] = place;
      source[place] = r;
      token[place] = parts[r]->token_of[selections.taken[i]];
      row[place] = selections.row[i];
      k[place] = selections.k[i];
    }
  }
  for (size_t group = 0; group < source_begin.size(); ++group) source_begin[group] -= source_count[group];
  return Code::ok;
}

uint32_t Grouping::places_of(uint32_t source_rank, uint32_t* list) const {
  uint32_t n = 0;
  for (uint32_t e = 0; e < experts(); ++e) {
    const size_t group = size_t{e} * config_.attention + source_rank;
    std::iota(list + n, list + n + source_count[group], source_begin[group]);
    n += source_count[group];
  }
  return n;
}

}  // namespace weft
