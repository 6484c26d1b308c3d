#include "exchange/expert.h"

#include <numeric>

#include "exchange/arena_plan.h"

namespace weft {

ExpertSide::Round::Round(const ExchangeConfig& config, uint32_t rank)
    : grouping(std::make_unique<Grouping>(config, rank)),
      blocks(grouping->experts(), config.attention),
      sent(config.attention),
      parts(config.attention),
      told(config.attention),
      short_of(std::make_unique<std::atomic<Short>[]>(config.attention)) {}

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
  for (uint32_t slot = 0; slot < config.depth; ++slot) {
    rounds_held_.emplace_back(config_, rank);
    arrivals_.push_back(std::make_unique<BlockArrival>(*this, slot));
  }
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
  round.blocks.start();
  std::fill(round.told.begin(), round.told.end(), false);
  for (uint32_t r = 0; r < config_.attention; ++r) round.short_of[r] = Round::Short::no;
  // Before outputs are written to the slot: a rank that we gave up may still read what it held.
  begin(round);
  return Code::ok;
}

uint32_t ExpertSide::needed(uint32_t source, uint64_t generation) const {
  const Part& part = rounds_.part(source, generation);
  const uint32_t count = part.selections.count;
  return count == 0 ? 0 : part.token_of[part.selections.taken[count - 1]] + 1;
}

Code ExpertSide::look(uint64_t generation, bool skip_lost, uint32_t& lost) {
  Round& round = this->round(generation);
  bool missing = false;
  Code why = Code::ok;
  for (uint32_t r = 0; r < config_.attention; ++r) {
    if (round.parts[r] == nullptr) continue;
    const Subscriber& from = rounds_.subscriber(r);
    const uint32_t rows = needed(r, generation);
    const Code peer = from.peer_state();  // first: what was published before the peer went counts
    uint32_t come = std::min(rows, from.final_rows(generation));
    if (come < rows && peer != Code::ok) {
      if (skip_lost || round.told[r]) {
        come = rows;
        round.short_of[r].store(Round::Short::found, std::memory_order_release);
      } else if (why == Code::ok) {
        lost = r;
        why = peer;
      }
    }
    missing |= come < rows;
    round.blocks.come(r, come);
  }
  round.blocks.find(*round.grouping);
  if (why != Code::ok) return why;
  return missing ? Code::again : Code::ok;
}

bool ExpertSide::waits_for(uint64_t generation, uint32_t source) const {
  const Round& round = this->round(generation);
  return round.parts[source] != nullptr && !round.blocks.has_come(source, needed(source, generation));
}

bool ExpertSide::complete(uint64_t generation) {
  Round& round = this->round(generation);
  for (uint32_t r = 0; r < config_.attention; ++r) {
    if (round.parts[r] == nullptr || round.short_of[r].load(std::memory_order_acquire) != Round::Short::no)
      continue;
    const Subscriber& from = rounds_.subscriber(r);
    const Code peer = from.peer_state();
    if (std::min(rounds_.part(r, generation).view.rows, from.final_rows(generation)) >= needed(r, generation))
      continue;
    if (peer == Code::ok) return false;
    round.short_of[r].store(Round::Short::found, std::memory_order_release);
  }
  return true;
}

uint32_t ExpertSide::reply_rows(uint64_t generation) const {
  const Round& round = this->round(generation);
  return config_.combine == CombineKind::weighted ? round.grouping->places : round.taken;
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
  // With no rows that would be all of the reply, which says that the batch was used.
  if (reply_rows(round.generation) > 0) replies_.occupy(round.generation);
}

Code ExpertSide::reply(uint64_t generation, uint32_t final_rows) {
  if (endpoint().closed()) return Code::closed;
  if (!holds(generation)) return Code::state;
  Round& round = this->round(generation);
  const uint32_t rows = reply_rows(generation);
  if (final_rows > rows || final_rows < round.published) return Code::too_many_rows;
  if (final_rows == rows && !complete(generation)) return Code::again;
  round.published = final_rows;
  // SYNC POINT void, the writer's half: before what was made without their rows is published.
  for (uint32_t r = 0; r < config_.attention; ++r) {
    auto found = Round::Short::found;
    if (round.short_of[r].compare_exchange_strong(found, Round::Short::withheld))
      replies_.withhold(generation, r);
  }
  if (final_rows == rows) {
    round.generation = 0;
    for (uint32_t r = 0; r < config_.attention; ++r)
      if (round.parts[r] != nullptr) rounds_.close(r, generation);
  }
  replies_.advance(generation, final_rows);
  return Code::ok;
}

}  // namespace weft
