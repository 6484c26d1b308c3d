#include "exchange/attention.h"

#include "exchange/arena_plan.h"

namespace weft {

AttentionSide::AttentionSide(Endpoint& endpoint, const ExchangeConfig& config, uint32_t rank,
                             std::vector<size_t> ffn_peers)
    : endpoint_(endpoint),
      config_(config),
      rank_(rank),
      columns_(dispatch_columns(config)),
      publisher_(endpoint, dispatch_layout(config), 0, ArenaPlan(config).dispatch_at(), ffn_peers),
      lists_(config.ffn),
      gone_(config.ffn) {
  const ArenaPlan plan(config);
  for (const size_t peer : ffn_peers)
    replies_.emplace_back(endpoint, peer, plan.replies(), plan.reply(), plan.reply_destination(rank));
  rounds_.reserve(config.depth);
  for (uint32_t slot = 0; slot < config.depth; ++slot) {
    rounds_.emplace_back(config_);
    rounds_.back().combine = std::make_unique<Combine>(*this, slot);
  }
}

bool AttentionSide::holds(uint64_t generation) const {
  return rounds_[layout().slot_of(generation)].generation == generation;
}

// Also a round that has failed, because of one rank, has to go out as a whole: the others wait for it.
bool AttentionSide::goes_out(const Round& round) const {
  return round.phase == SlotPhase::begun || round.phase == SlotPhase::failed;
}

// Nobody reads the slot's dispatch rows any more, and none are missing: each rank has replied, which it does
// last, or can't read (its process is gone, or applies to its own memory only what we send).
bool AttentionSide::quiesced(const Round& round) const {
  if (round.published < round.rows) return false;
  for (const Subscriber& reply : replies_) {
    if (reply.peer_state() != Code::ok) continue;
    RoundView view;
    if (reply.look(round.generation, view, true) != Code::ok || view.final_rows != view.rows) return false;
  }
  return true;
}

Code AttentionSide::claim(uint64_t& generation) {
  if (endpoint_.closed()) return Code::closed;
  Round& round = rounds_[layout().slot_of(last_ + 1)];
  const bool given_up = round.phase == SlotPhase::failed || round.phase == SlotPhase::abandoned;
  if (given_up && quiesced(round)) round.phase = SlotPhase::free;
  if (round.phase != SlotPhase::free) return Code::slot_busy;
  // Publishing generation g is our word that replies to g - depth are no longer read.
  if (round.generation != 0)
    for (const Subscriber& reply : replies_) reply.release(round.generation);
  generation = ++last_;
  round.generation = generation;
  round.bias[0] = round.bias[1] = nullptr;
  round.phase = SlotPhase::claimed;
  return Code::ok;
}

Code AttentionSide::unclaim(uint64_t generation) {
  if (!holds(generation) || phase(generation) != SlotPhase::claimed || generation != last_)
    return Code::state;
  Round& round = rounds_[layout().slot_of(generation)];
  // The number was never seen by anybody, so it is used again.
  --last_;
  round.phase = SlotPhase::free;
  round.generation = last_ + 1 > config_.depth ? generation - config_.depth : 0;
  return Code::ok;
}

// Who takes which rows of a round, and what they will reply.
Code AttentionSide::plan(Round& round, uint32_t rows, bool reroute) {
  if (config_.experts == 0 || !round.terms) {
    for (uint32_t r = 0; r < config_.ffn; ++r) round.plan.taken[r] = round.plan.reply_rows[r] = rows;
    return Code::ok;
  }
  bool any_gone = false;
  for (uint32_t r = 0; r < config_.ffn; ++r) {
    if (config_.routed) lists_[r] = publisher_.list(round.generation, r).rows;
    gone_[r] = replies_[r].peer_state() != Code::ok;
    any_gone |= gone_[r];
  }
  auto* choices = reinterpret_cast<int32_t*>(publisher_.column(round.generation, columns_.experts));
  const auto* weights = reinterpret_cast<const float*>(publisher_.column(round.generation, columns_.weights));
  const Code code =
      round.plan.make(config_, rank_, rows, choices, weights, config_.routed ? lists_.data() : nullptr,
                      reroute && any_gone ? &gone_ : nullptr);
  if (code != Code::ok) return code;
  for (uint32_t r = 0; r < config_.ffn && config_.routed; ++r)
    publisher_.list(round.generation, r).count = round.plan.taken[r];
  return Code::ok;
}

Code AttentionSide::publish(uint64_t generation, uint32_t rows, uint32_t final_rows, uint32_t tag,
                            uint16_t meta_bytes, bool reroute) {
  if (endpoint_.closed()) return Code::closed;
  if (rows > config_.max_tokens || final_rows > rows) return Code::too_many_rows;
  if (meta_bytes > config_.meta_capacity) return Code::invalid_argument;
  if (!holds(generation)) return Code::state;
  Round& round = rounds_[layout().slot_of(generation)];
  if (round.phase == SlotPhase::claimed) {
    round.rows = rows;
    round.terms = config_.routed || config_.combine == CombineKind::weighted;
    if (const Code code = plan(round, rows, reroute); code != Code::ok) return code;
    publisher_.begin(generation, rows, tag, meta_bytes, config_.routed);
    round.phase = SlotPhase::begun;
  } else if (!goes_out(round) || rows != round.rows || final_rows < round.published) {
    return Code::state;
  }
  round.published = final_rows;
  publisher_.advance(generation, final_rows);
  return Code::ok;
}

bool AttentionSide::reopen(uint64_t generation) {
  Round& round = rounds_[layout().slot_of(generation)];
  if (round.generation != generation) return false;
  if (round.phase == SlotPhase::failed) round.phase = SlotPhase::begun;
  return round.phase == SlotPhase::begun;
}

Code AttentionSide::reweigh(uint64_t generation, const float* weights, size_t count) {
  if (!holds(generation)) return Code::state;
  Round& round = rounds_[layout().slot_of(generation)];
  if (!goes_out(round)) return Code::state;
  if (config_.combine != CombineKind::weighted || count != size_t{round.rows} * config_.top_k)
    return Code::invalid_argument;
  round.plan.reweigh(config_, round.rows, weights);
  return Code::ok;
}

Code AttentionSide::bias(uint64_t generation, const uint16_t* first, const uint16_t* second) {
  if (!holds(generation)) return Code::state;
  Round& round = rounds_[layout().slot_of(generation)];
  if (!goes_out(round)) return Code::state;
  round.bias[0] = first;
  round.bias[1] = second;
  return Code::ok;
}

void AttentionSide::finish(uint64_t generation, Code outcome) {
  Round& round = rounds_[layout().slot_of(generation)];
  if (round.generation != generation || round.phase != SlotPhase::begun) return;
  if (outcome == Code::ok && quiesced(round))
    round.phase = SlotPhase::free;
  else if (outcome != Code::deadline && outcome != Code::aborted)  // those may be waited for again
    round.phase = SlotPhase::failed;
}

Code AttentionSide::abandon(uint64_t generation) {
  if (!holds(generation)) return Code::state;
  if (endpoint_.closed()) return Code::closed;
  Round& round = rounds_[layout().slot_of(generation)];
  if (round.phase == SlotPhase::claimed) {
    if (generation == last_) return unclaim(generation);
    if (const Code code = publish(generation, 0, 0, 0, 0); code != Code::ok) return code;
  }
  if (!goes_out(round)) return Code::ok;
  if (round.published < round.rows) publisher_.advance(generation, round.published = round.rows);
  round.phase = SlotPhase::abandoned;
  return Code::ok;
}

}  // namespace weft
