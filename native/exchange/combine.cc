#include <algorithm>

#include "exchange/attention.h"
#include "kernels/reduce.h"

namespace weft {

Combine::Combine(AttentionSide& side, uint32_t slot)
    : side_(side),
      slot_(slot),
      replies_(side.config().ffn),
      missing_(side.config().ffn),
      inputs_(std::max(side.config().ffn, side.config().top_k)),
      weights_(inputs_.size()) {}

void Combine::aim(void* out, bool out_is_f32, bool skip_lost) {
  out_ = out;
  out_is_f32_ = out_is_f32;
  skip_lost_ = skip_lost;
  done_ = 0;
  blamed = kNoPeer;
  std::fill(replies_.begin(), replies_.end(), Reply{});
  std::fill(missing_.begin(), missing_.end(), false);
}

uint64_t Combine::generation() const { return side_.rounds_[slot_].generation; }

Code Combine::give_up(uint32_t rank, Code why) {
  if (side_.endpoint().closed()) return Code::closed;  // nobody else is to blame then
  blamed = side_.replies_[rank].member();
  if (!skip_lost_ || (why != Code::peer_lost && why != Code::peer_closed)) return why;
  missing_[rank] = true;
  done_ = 0;  // rows that its reply is in already are reduced again: the result must not depend on when it
              // was lost
  return Code::ok;
}

// Brings replies_[rank] up to date.
Code Combine::look(uint32_t rank) {
  Reply& reply = replies_[rank];
  if (missing_[rank] || reply.complete()) return Code::ok;
  const auto& round = side_.rounds_[slot_];
  const Subscriber& from = side_.replies_[rank];
  // The state of the peer is read first: what it published before it went away counts.
  const Code peer = from.peer_state();
  if (!reply.seen) {
    RoundView view;
    const Code code = from.look(round.generation, view);
    if (code == Code::again) return peer == Code::ok ? Code::again : give_up(rank, peer);
    if (code != Code::ok) return give_up(rank, code);
    const bool any_number = side_.config().combine == CombineKind::none;
    if (!any_number && view.rows != round.plan.reply_rows[rank]) return give_up(rank, Code::protocol);
    reply = {true, view.rows, view.final_rows, from.column(round.generation, 0)};
    moved_ = true;
  } else if (const uint32_t now = std::min(from.final_rows(round.generation), reply.rows);
             now > reply.final_rows) {
    reply.final_rows = now;
    moved_ = true;
  }
  if (reply.complete()) return Code::ok;
  return peer == Code::ok ? Code::again : give_up(rank, peer);
}

Code Combine::step() {
  const auto& round = side_.rounds_[slot_];
  const uint32_t ranks = side_.config().ffn;
  bool complete = true, all_missing = true;
  uint32_t ready = round.rows;
  for (uint32_t r = 0; r < ranks; ++r) {
    const Code code = look(r);
    if (code != Code::ok && code != Code::again) return code;
    complete &= code == Code::ok;
    all_missing &= missing_[r];
    if (!missing_[r]) ready = std::min(ready, replies_[r].final_rows);
  }
  if (all_missing) return Code::peer_lost;  // a result of nobody's is none
  if (side_.config().combine != CombineKind::none) {
    if (!round.terms) {
      reduce_blocks(ready);
    } else {
      while (done_ < round.rows && token_ready(done_)) reduce_token(done_++);
    }
    complete = done_ == round.rows && complete;
  }
  return complete ? Code::ok : Code::again;
}

void Combine::write_sum(const uint16_t* const* inputs, size_t n, size_t elements, size_t at) {
  if (out_is_f32_)
    kernels::sum_rows(inputs, n, elements, static_cast<float*>(out_) + at);
  else
    kernels::sum_rows(inputs, n, elements, static_cast<uint16_t*>(out_) + at);
}

// Mode 'all', combine 'sum': rows [done_, until) of every rank lie one behind the other.
void Combine::reduce_blocks(uint32_t until) {
  if (until <= done_) return;
  const size_t at = size_t{done_} * side_.config().hidden;
  size_t n = 0;
  for (uint32_t r = 0; r < side_.config().ffn; ++r)
    if (!missing_[r]) inputs_[n++] = reinterpret_cast<const uint16_t*>(replies_[r].data) + at;
  write_sum(inputs_.data(), n, size_t{until - done_} * side_.config().hidden, at);
  done_ = until;
  moved_ = true;
}

bool Combine::token_ready(uint32_t token) const {
  const auto& plan = side_.rounds_[slot_].plan;
  for (uint32_t i = plan.first_term[token]; i < plan.first_term[token + 1]; ++i) {
    const Term& term = plan.terms[i];
    if (!missing_[term.rank] && term.row >= replies_[term.rank].final_rows) return false;
  }
  return true;
}

void Combine::reduce_token(uint32_t token) {
  const auto& plan = side_.rounds_[slot_].plan;
  const size_t hidden = side_.config().hidden;
  size_t n = 0;
  for (uint32_t i = plan.first_term[token]; i < plan.first_term[token + 1]; ++i) {
    const Term& term = plan.terms[i];
    if (missing_[term.rank]) continue;
    inputs_[n] = reinterpret_cast<const uint16_t*>(replies_[term.rank].data) + term.row * hidden;
    weights_[n++] = term.weight;
  }
  moved_ = true;
  const size_t at = token * hidden;
  if (side_.config().combine == CombineKind::sum) {
    write_sum(inputs_.data(), n, hidden, at);
  } else if (out_is_f32_) {
    kernels::weighted_row(inputs_.data(), weights_.data(), n, hidden, static_cast<float*>(out_) + at);
  } else {
    kernels::weighted_row(inputs_.data(), weights_.data(), n, hidden, static_cast<uint16_t*>(out_) + at);
  }
}

}  // namespace weft
