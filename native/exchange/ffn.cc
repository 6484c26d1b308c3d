#include "exchange/ffn.h"

#include <algorithm>
#include <numeric>

#include "exchange/arena_plan.h"

namespace weft {

FfnSide::FfnSide(Endpoint& endpoint, const ExchangeConfig& config, uint32_t rank,
                 std::vector<size_t> attention_peers)
    : endpoint_(endpoint),
      config_(config),
      columns_(dispatch_columns(config)),
      rank_(rank),
      collect_(*this, config.attention) {
  const ArenaPlan plan(config);
  for (uint32_t a = 0; a < config.attention; ++a) {
    const size_t peer = attention_peers[a];
    Source source{Subscriber(endpoint, peer, 0, plan.dispatch(), static_cast<uint16_t>(rank)),
                  {},
                  {},
                  {},
                  1,
                  false,
                  Code::ok,
                  false,
                  {}};
    if (!config.symmetric)
      source.replies = std::make_unique<Publisher>(endpoint, plan.reply(), plan.reply_number(a),
                                                   plan.reply_at(a), std::vector<size_t>{peer});
    for (uint32_t slot = 0; slot < config.depth; ++slot) {
      source.parts.push_back(std::make_unique<Part>(config_));
      source.arrivals.push_back(std::make_unique<Arrival>(*this, a, slot));
    }
    sources_.push_back(std::move(source));
  }
}

Code FfnSide::open(Source& source, uint32_t attention) {
  const RoundView& view = source.seen;
  Part& part = source.part(view.generation);
  part.view = view;
  part.selected = false;
  part.begun = false;
  part.published = 0;
  if (view.routed) {
    if (const Code code = source.rounds.copy_list(view, part.token_of.data()); code != Code::ok) return code;
    if (!source.rounds.packs_rows()) std::copy_n(part.token_of.begin(), view.taken, part.row_of.begin());
  } else if (config_.routed) {
    std::iota(part.token_of.begin(), part.token_of.begin() + view.taken, 0);
  }
  if (config_.routed && (!view.routed || source.rounds.packs_rows()))
    std::iota(part.row_of.begin(), part.row_of.begin() + view.taken, 0);
  part.reply_rows = view.taken;
  source.next = view.generation + 1;
  if (config_.combine == CombineKind::weighted) select(attention, view.generation);
  part.open.store(true, std::memory_order_release);
  return Code::ok;
}

namespace {

uint32_t taken_below(const Part& part, uint32_t final_rows) {
  if (final_rows == part.view.rows) return part.view.taken;
  const auto end = part.token_of.begin() + part.view.taken;
  return static_cast<uint32_t>(std::lower_bound(part.token_of.begin(), end, final_rows) -
                               part.token_of.begin());
}

}  // namespace

uint32_t FfnSide::available(uint32_t attention, uint64_t generation) {
  Part& part = this->part(attention, generation);
  if (part.view.final_rows < part.view.rows)
    part.view.final_rows =
        std::clamp(sources_[attention].rounds.final_rows(generation), part.view.final_rows, part.view.rows);
  return taken_below(part, part.view.final_rows);
}

void Arrival::aim(uint64_t generation, uint32_t rows) {
  generation_ = generation;
  rows_ = rows;
  blamed = kNoPeer;
}

Code Arrival::step() {
  const Source& source = side_.sources_[attention_];
  const Part& part = *source.parts[slot_];
  if (!part.open.load(std::memory_order_acquire)) return Code::ok;  // replied to, so all rows had come
  const Code peer = source.rounds.peer_state();  // first: what was published before the peer went counts
  const uint32_t final_rows = std::min(part.view.rows, source.rounds.final_rows(generation_));
  if (taken_below(part, final_rows) >= rows_) return Code::ok;
  if (peer == Code::ok) return Code::again;
  if (side_.endpoint().closed()) return Code::closed;
  blamed = source.rounds.member();
  return peer;
}

Code FfnSide::select(uint32_t attention, uint64_t generation) {
  Part& part = this->part(attention, generation);
  if (part.selected) return Code::ok;
  if (columns_.experts == kNoColumn) return Code::state;
  if (!choices_lead(config_) && available(attention, generation) < part.view.taken) return Code::again;
  const auto* experts =
      reinterpret_cast<const int32_t*>(sources_[attention].rounds.column(generation, columns_.experts));
  part.selections.make(config_, rank_, part.view.taken, part.row_of.data(), experts);
  if (config_.combine == CombineKind::weighted) part.reply_rows = part.selections.count;
  part.selected = true;
  return Code::ok;
}

void FfnSide::refuse(uint32_t attention, uint64_t generation) {
  sources_[attention].failure = Code::protocol;
  endpoint_.condemn(sources_[attention].rounds.peer());
  close(attention, generation);
}

void FfnSide::close(uint32_t attention, uint64_t generation) {
  Source& source = sources_[attention];
  source.part(generation).open.store(false, std::memory_order_release);
  source.rounds.release(generation);
}

Code FfnSide::reply(uint32_t attention, uint64_t generation, uint32_t rows, uint32_t final_rows) {
  if (endpoint_.closed()) return Code::closed;
  Source& source = sources_[attention];
  Part& part = this->part(attention, generation);
  if (!holds(attention, generation) || !source.replies) return Code::state;
  const bool any_number = config_.combine == CombineKind::none && !part.begun;
  const uint32_t capacity = source.replies->layout().shape().max_rows;
  if ((any_number ? rows > capacity : rows != part.reply_rows) || final_rows > rows ||
      final_rows < part.published)
    return Code::too_many_rows;
  // A reply says that the round's rows are no longer needed, so they must all have come.
  if (final_rows == rows && available(attention, generation) < part.view.taken) return Code::again;
  if (!part.begun) source.replies->begin(generation, rows, part.view.tag, 0, false);
  part.begun = true;
  part.reply_rows = rows;
  part.published = final_rows;
  if (final_rows == rows) close(attention, generation);
  source.replies->advance(generation, final_rows);
  return Code::ok;
}

}  // namespace weft
