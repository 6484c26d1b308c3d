#include "exchange/expert.h"

#include <numeric>

#include "exchange/arena_plan.h"
#include "kernels/copy.h"
#include "kernels/gather.h"
#include "kernels/reduce.h"
#include "kernels/stream.h"

namespace weft {

ExpertSide::Round::Round(const ExchangeConfig& config, uint32_t rank)
    : grouping(std::make_unique<Grouping>(config, rank)), sent(config.attention), parts(config.attention) {}

ExpertSide::ExpertSide(Endpoint& endpoint, const ExchangeConfig& config, uint32_t rank,
                       std::vector<size_t> peers)
    : config_(config),
      columns_(dispatch_columns(config)),
      rounds_(endpoint, config, rank, peers),
      replies_(endpoint, reply_layout(config), ArenaPlan(config).reply_number(rank),
               ArenaPlan(config).reply_at(rank), peers),
      inputs_(config.top_k),
      weights_(config.top_k) {
  rounds_held_.reserve(config.depth);
  for (uint32_t slot = 0; slot < config.depth; ++slot) rounds_held_.emplace_back(config_, rank);
}

Code ExpertSide::group(uint64_t& generation) {
  const auto& ranks = rounds_.collect().ranks();
  if (ranks.empty()) return Code::state;
  generation = rounds_.collected(ranks[0]);
  Round& round = this->round(generation);
  std::fill(round.parts.begin(), round.parts.end(), nullptr);
  round.taken = 0;
  for (const uint32_t r : ranks) {
    if (rounds_.collected(r) != generation) return Code::state;
    if (const Code code = rounds_.select(r, generation); code != Code::ok) return code;
    const Part& part = rounds_.part(r, generation);
    round.sent[r] = {&part.selections, part.token_of.data()};
    round.parts[r] = &round.sent[r];
    round.taken += part.view.taken;
  }
  // Each time that fails there is one part less.
  for (uint32_t bad = 0; round.grouping->make(round.parts, bad) != Code::ok;) {
    round.taken -= rounds_.part(bad, generation).view.taken;
    round.parts[bad] = nullptr;
    rounds_.refuse(bad, generation);
  }
  round.generation = generation;
  round.published = 0;
  // Before outputs are written to the slot: a rank that we gave up may still read what it held.
  begin(round);
  return Code::ok;
}

// Row by row as they lie at their sources, so that a row that goes to several places is read from memory
// once.
void ExpertSide::expand(uint64_t generation, uint32_t column, std::byte* out, size_t stride) const {
  const Round& round = this->round(generation);
  const bool streams = size_t{round.grouping->places} * stride >= kernels::kStreamedBytes;
  for (uint32_t r = 0; r < config_.attention; ++r) {
    if (round.parts[r] == nullptr) continue;
    const Selections& selections = *round.parts[r]->selections;
    const uint32_t* place_of = round.grouping->place_of(r);
    const Subscriber& from = rounds_.subscriber(r);
    const uint32_t bytes = from.layout().shape().column_bytes[column];
    const std::byte* rows = from.column(generation, column);
    for (uint32_t i = 0; i < selections.count; ++i) {
      std::byte* to = out + place_of[i] * stride;
      const std::byte* row = rows + size_t{selections.row[i]} * bytes;
      if (streams)
        kernels::copy_streamed(to, row, bytes);
      else
        kernels::copy_cached(to, row, bytes);
    }
  }
  if (streams) kernels::streamed();
}

void ExpertSide::gather(uint64_t generation, uint32_t column, std::byte* out) const {
  const Round& round = this->round(generation);
  for (uint32_t r = 0; r < config_.attention; ++r) {
    if (round.parts[r] == nullptr) continue;
    const Subscriber& from = rounds_.subscriber(r);
    const uint32_t bytes = from.layout().shape().column_bytes[column];
    const Part& part = rounds_.part(r, generation);
    kernels::gather_rows(from.column(generation, column), bytes, part.row_of.data(), part.view.taken, bytes,
                         out);
    out += size_t{part.view.taken} * bytes;
  }
}

uint32_t ExpertSide::reply_rows(uint64_t generation) const {
  const Round& round = this->round(generation);
  return config_.combine == CombineKind::weighted ? round.grouping->places : round.taken;
}

void ExpertSide::reduce(uint64_t generation, const uint16_t* outputs) {
  const Round& round = this->round(generation);
  auto* out = reinterpret_cast<uint16_t*>(replies_.column(generation, 0));
  for (uint32_t r = 0; r < config_.attention; ++r) {
    if (round.parts[r] == nullptr) continue;
    const Selections& selections = *round.parts[r]->selections;
    const uint32_t* place_of = round.grouping->place_of(r);
    const auto* weights =
        reinterpret_cast<const float*>(rounds_.subscriber(r).column(generation, columns_.weights));
    const uint32_t taken = rounds_.part(r, generation).view.taken;
    uint32_t i = 0;
    for (uint32_t row = 0; row < taken; ++row, out += config_.hidden) {
      size_t n = 0;
      for (; i < selections.count && selections.taken[i] == row; ++i) {
        inputs_[n] = outputs + size_t{place_of[i]} * config_.hidden;
        weights_[n++] = weights[size_t{selections.row[i]} * config_.top_k + selections.k[i]];
      }
      kernels::weighted_row(inputs_.data(), weights_.data(), n, config_.hidden, out);
    }
  }
}

// Says which rows of the reply are whose.
void ExpertSide::begin(Round& round) {
  uint32_t next = 0;
  for (uint32_t r = 0; r < config_.attention; ++r) {
    wire::RowList& list = replies_.list(round.generation, r);
    list.count = 0;
    if (round.parts[r] == nullptr) continue;
    if (config_.combine == CombineKind::weighted) {
      list.count = round.grouping->places_of(r, list.rows);
    } else {
      list.count = rounds_.part(r, round.generation).view.taken;
      std::iota(list.rows, list.rows + list.count, next);
      next += list.count;
    }
  }
  replies_.begin(round.generation, reply_rows(round.generation), 0, 0, true);
  replies_.occupy(round.generation);
}

Code ExpertSide::reply(uint64_t generation, uint32_t final_rows) {
  if (endpoint().closed()) return Code::closed;
  if (!holds(generation)) return Code::state;
  Round& round = this->round(generation);
  const uint32_t rows = reply_rows(generation);
  if (final_rows > rows || final_rows < round.published) return Code::too_many_rows;
  round.published = final_rows;
  if (final_rows == rows) {
    round.generation = 0;
    for (uint32_t r = 0; r < config_.attention; ++r)
      if (round.parts[r] != nullptr) rounds_.close(r, generation);
  }
  replies_.advance(generation, final_rows);
  return Code::ok;
}

}  // namespace weft
