#include <algorithm>
#include <atomic>

#include "exchange/attention.h"
#include "kernels/reduce.h"

namespace weft {

Combine::Combine(AttentionSide& side, uint32_t slot)
    : side_(side),
      slot_(slot),
      replies_(side.config().ffn),
      missing_(side.config().ffn),
      waits_(side.config().ffn),
      inputs_(std::max(side.config().ffn, side.config().top_k) + 2),  // and two biases
      weights_(inputs_.size()) {
  const auto& config = side.config();
  if (config.symmetric)
    for (Reply& reply : replies_)
      reply.place.resize(size_t{config.max_tokens} *
                         (config.combine == CombineKind::weighted ? config.top_k : 1));
}

void Combine::aim(void* out, bool out_is_f32, OnLoss on_loss) {
  out_ = out;
  out_is_f32_ = out_is_f32;
  on_loss_ = on_loss;
  any_missing_ = false;
  done_ = 0;
  blamed = kNoPeer;
  waits_.start();
  waited_for_ = generation();
  for (Reply& reply : replies_) {
    reply.seen = false;
    reply.rows = reply.final_rows = 0;
  }
  std::fill(missing_.begin(), missing_.end(), false);
}

uint64_t Combine::generation() const { return side_.rounds_[slot_].generation; }

Code Combine::give_up(uint32_t rank, Code why) {
  if (side_.endpoint().closed()) return Code::closed;  // nobody else is to blame then
  const auto& round = side_.rounds_[slot_];
  if (side_.config().routed && round.plan.taken[rank] == 0) {  // nothing of the round was to come from there
    missing_[rank] = true;
    return Code::ok;
  }
  blamed = side_.replies_[rank].member();
  if (on_loss_ == OnLoss::error) return why;
  missing_[rank] = any_missing_ = true;
  done_ = 0;  // rows that its reply is in already are reduced again: the result must not depend on when it
              // was lost
  return Code::ok;
}

// Its reply is not what it must be.
Code Combine::refuse(uint32_t rank) {
  side_.endpoint().condemn(side_.replies_[rank].peer());
  return give_up(rank, Code::protocol);
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
    const Code code = from.look(round.generation, view, true);
    if (code == Code::again) return peer == Code::ok ? Code::again : give_up(rank, peer);
    if (code != Code::ok) return give_up(rank, code);
    const auto& config = side_.config();
    const bool any_number = config.combine == CombineKind::none;
    if (!any_number && view.taken != round.plan.reply_rows[rank]) return refuse(rank);
    if (config.symmetric) {
      if (!view.routed || from.copy_list(view, reply.place.data()) != Code::ok) return refuse(rank);
      reply.packed = from.packs_rows();
    }
    reply.seen = true;
    reply.rows = view.rows;
    reply.final_rows = view.final_rows;
    reply.data = from.column(round.generation, 0);
    moved_ = true;
  } else if (const uint32_t now = std::min(from.final_rows(round.generation), reply.rows);
             now > reply.final_rows) {
    reply.final_rows = now;
    moved_ = true;
  }
  if (reply.complete()) return waits_.came(rank), Code::ok;
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
      while (done_ < round.rows && (complete || token_ready(done_))) reduce_token(done_++);
    }
    complete = done_ == round.rows && complete;
  }
  if (!complete) return waits_.goes_on(), Code::again;
  return side_.config().symmetric ? still_there() : Code::ok;
}

// Symmetric, in place: a rank that gave us up goes on without waiting for us: it may have written to the
// slot while we read, or made its outputs without rows of ours. SYNC POINT occupy, the reader's half: what
// was read comes before this look at the state; SYNC POINT void, the reader's half: what was published comes
// before this look at the list.
Code Combine::still_there() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const uint64_t generation = this->generation();
  for (uint32_t r = 0; r < side_.config().ffn; ++r) {
    const Subscriber& from = side_.replies_[r];
    if (missing_[r] || replies_[r].packed) continue;
    if (from.final_rows(generation) >= replies_[r].rows && !from.withheld(generation)) continue;
    if (const Code code = give_up(r, Code::peer_lost); code != Code::ok) return code;
    return step();
  }
  return Code::ok;
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
  for (const uint16_t* bias : side_.rounds_[slot_].bias)
    if (bias != nullptr) inputs_[n++] = bias + at;
  for (uint32_t r = 0; r < side_.config().ffn; ++r)
    if (!missing_[r]) inputs_[n++] = reinterpret_cast<const uint16_t*>(replies_[r].data) + at;
  write_sum(inputs_.data(), n, size_t{until - done_} * side_.config().hidden, at);
  done_ = until;
  moved_ = true;
}

// Symmetric: the reply is to all, and its rows final in its own order.
bool Combine::term_ready(const Term& term) const {
  const Reply& reply = replies_[term.rank];
  return reply.seen && (side_.config().symmetric ? reply.place[term.row] : term.row) < reply.final_rows;
}

bool Combine::token_ready(uint32_t token) const {
  const auto& plan = side_.rounds_[slot_].plan;
  for (uint32_t i = plan.first_term[token]; i < plan.first_term[token + 1]; ++i)
    if (!missing_[plan.terms[i].rank] && !term_ready(plan.terms[i])) return false;
  return true;
}

const uint16_t* Combine::row_of(const Term& term) const {
  const auto& config = side_.config();
  const Reply& reply = replies_[term.rank];
  const size_t row = config.symmetric && !reply.packed ? reply.place[term.row] : term.row;
  return reinterpret_cast<const uint16_t*>(reply.data) + row * config.hidden;
}

// What 'renormalise' multiplies with: all weights of the token, in the order of its terms, by those that are
// left. 1 when nothing is missing, or nothing is left.
float Combine::scale_of(uint32_t token) const {
  if (on_loss_ != OnLoss::renormalise || !any_missing_) return 1;
  const auto& plan = side_.rounds_[slot_].plan;
  float all = 0, left = 0;
  bool whole = true;
  for (uint32_t i = plan.first_term[token]; i < plan.first_term[token + 1]; ++i) {
    const Term& term = plan.terms[i];
    all += term.weight;
    if (missing_[term.rank])
      whole = false;
    else
      left += term.weight;
  }
  return whole || left == 0 ? 1 : all / left;
}

void Combine::reduce_token(uint32_t token) {
  const auto& plan = side_.rounds_[slot_].plan;
  const size_t hidden = side_.config().hidden;
  const bool weighted = side_.config().combine == CombineKind::weighted;
  const float scale = scale_of(token);
  size_t n = 0;
  for (const uint16_t* bias : side_.rounds_[slot_].bias) {
    if (bias == nullptr) continue;
    inputs_[n] = bias + token * hidden;
    weights_[n++] = 1;
  }
  for (uint32_t i = plan.first_term[token]; i < plan.first_term[token + 1]; ++i) {
    const Term& term = plan.terms[i];
    if (missing_[term.rank]) continue;
    inputs_[n] = row_of(term);
    weights_[n++] = weighted ? term.weight * scale : scale;
  }
  moved_ = true;
  const size_t at = token * hidden;
  if (!weighted && scale == 1) {
    write_sum(inputs_.data(), n, hidden, at);
  } else if (out_is_f32_) {
    kernels::weighted_row(inputs_.data(), weights_.data(), n, hidden, static_cast<float*>(out_) + at);
  } else {
    kernels::weighted_row(inputs_.data(), weights_.data(), n, hidden, static_cast<uint16_t*>(out_) + at);
  }
}

}  // namespace weft
