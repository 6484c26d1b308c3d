#include "exchange/blocks.h"

#include <algorithm>
#include <utility>

#include "exchange/expert.h"

namespace weft {

void Blocks::start() {
  std::fill(come_.begin(), come_.end(), 0);
  std::fill(complete_.begin(), complete_.end(), false);
  count_ = 0;
  news_ = true;
}

void Blocks::come(uint32_t source, uint32_t final_rows) {
  if (final_rows <= come_[source]) return;
  come_[source] = final_rows;
  news_ = true;
}

bool Blocks::complete(const Grouping& grouping, uint32_t expert) const {
  const size_t ranks = come_.size();
  for (size_t r = 0; r < ranks; ++r) {
    const size_t group = expert * ranks + r;
    const uint32_t count = grouping.source_count[group];
    // The last of a source's places has the highest of its row numbers.
    if (count > 0 && grouping.token[grouping.source_begin[group] + count - 1] >= come_[r]) return false;
  }
  return true;
}

void Blocks::find(const Grouping& grouping) {
  if (!std::exchange(news_, false)) return;
  for (uint32_t e = 0; e < grouping.experts(); ++e) {
    if (complete_[e] || grouping.count[e] == 0 || !complete(grouping, e)) continue;
    complete_[e] = true;
    order_[count_++] = e;
  }
}

void BlockArrival::aim(uint64_t generation, uint32_t seen, bool skip_lost) {
  generation_ = generation;
  seen_ = seen;
  skip_lost_ = skip_lost;
  blamed = kNoPeer;
}

Code BlockArrival::step() {
  uint32_t lost = 0;
  const Code code = side_.look(generation_, skip_lost_, lost);
  if (side_.blocks(generation_).ready().size() > seen_) return Code::ok;
  if (code == Code::ok || code == Code::again) return code;
  if (side_.endpoint().closed()) return Code::closed;  // nobody else is to blame then
  side_.tell(generation_, lost);
  blamed = side_.from(lost).member();
  return code;
}

}  // namespace weft
