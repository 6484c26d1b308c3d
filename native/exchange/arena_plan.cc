#include "exchange/arena_plan.h"

#include <algorithm>

namespace weft {

ArenaPlan::ArenaPlan(const ExchangeConfig& config)
    : symmetric_(config.symmetric),
      attention_(config.attention),
      expected_rows_(config.max_tokens *
                     (config.combine == CombineKind::weighted ? config.top_k : config.ffn)),
      dispatch_(dispatch_layout(config)),
      reply_(reply_layout(config)) {}

size_t ArenaPlan::dispatch_at() const { return kArenaHeaderBytes; }

size_t ArenaPlan::reply_at(uint32_t attention) const {
  return kArenaHeaderBytes + (symmetric_ ? dispatch_.bytes() : reply_.bytes() * attention);
}

size_t ArenaPlan::heap_at(bool attention) const {
  if (symmetric_) return kArenaHeaderBytes + dispatch_.bytes() + reply_.bytes();
  return kArenaHeaderBytes + (attention ? dispatch_.bytes() : reply_.bytes() * attention_);
}

std::vector<ArenaRange> ArenaPlan::hot(bool attention) const {
  if (!symmetric_) return {{0, heap_at(attention)}};
  std::vector<ArenaRange> ranges = {{0, reply_at(0)}};
  const uint64_t rows = std::min<uint64_t>(reply_.shape().max_rows, uint64_t{expected_rows_} * 5 / 4);
  for (uint32_t slot = 0; slot < reply_.shape().depth; ++slot)
    ranges.push_back({reply_at(0) + reply_.column(slot, 0), rows * reply_.row_bytes()});
  return ranges;
}

uint16_t ArenaPlan::reply_number(uint32_t attention) const {
  return static_cast<uint16_t>(symmetric_ ? 1 : attention);
}

uint16_t ArenaPlan::reply_destination(uint32_t attention) const {
  return static_cast<uint16_t>(symmetric_ ? attention : 0);
}

std::vector<Inbound> ArenaPlan::inbound(bool attention, uint32_t rank) const {
  const auto number = static_cast<uint16_t>(rank);
  const Inbound rows{0, number, dispatch_at(), &dispatch_};
  const Inbound replies{reply_number(rank), reply_destination(rank), reply_at(rank), &reply_};
  if (symmetric_) return {rows, replies};
  return {attention ? replies : rows};
}

}  // namespace weft
