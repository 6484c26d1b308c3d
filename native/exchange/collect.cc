#include <algorithm>

#include "exchange/ffn.h"

namespace weft {

void Collect::aim(Gather gather, uint32_t count, int64_t within_ns, bool streamed, bool skip_lost) {
  gather_ = gather;
  count_ = count;
  within_ns_ = std::min(within_ns, kNever / 2);  // it is added to the clock
  first_seen_ns_ = 0;
  streamed_ = streamed;
  skip_lost_ = skip_lost;
  blamed = kNoPeer;
  ranks_.clear();
  ranks_.reserve(side_.sources_.size());
  waits_.start();
}

int64_t Collect::wake_ns() const {
  return first_seen_ns_ == 0 ? deadline() : std::min(deadline(), first_seen_ns_ + within_ns_);
}

// Is the source's next round there? `again`, or ok with source.seen.
Code Collect::look(Source& source) const {
  if (source.part(source.next).open.load(std::memory_order_acquire))
    return Code::again;  // its slot is in use here
  const Code code = source.rounds.look(source.next, source.seen);
  return code == Code::ok && !streamed_ && source.seen.final_rows < source.seen.rows ? Code::again : code;
}

bool Collect::waits_for(uint32_t attention) const {
  const Source& source = side_.sources_[attention];
  return !source.told && !source.ready;
}

// `unavailable`: every attention rank has left.
Code Collect::step() {
  uint32_t ready = 0, alive = 0;
  for (Source& source : side_.sources_) {
    source.ready = false;
    if (source.told) continue;
    if (source.failure != Code::ok) {
      source.told = true;
      if (skip_lost_) continue;
      blamed = source.rounds.member();
      return source.failure;
    }
    const Code peer = source.rounds.peer_state();  // first: what was published before the peer went counts
    Code code = look(source);
    if (code == Code::again && peer != Code::ok) code = peer;
    if (code == Code::ok || code == Code::again) {
      source.ready = code == Code::ok;
      if (source.ready) waits_.came(static_cast<size_t>(&source - side_.sources_.data()));
      ready += source.ready;
      ++alive;
      continue;
    }
    source.told = true;
    if (code == Code::peer_closed || skip_lost_) continue;
    blamed = source.rounds.member();
    return code;
  }
  if (alive == 0) return side_.endpoint().closed() ? Code::closed : Code::unavailable;
  if (enough(ready, alive)) return open_ready();
  waits_.goes_on();
  return Code::again;
}

bool Collect::enough(uint32_t ready, uint32_t alive) {
  if (ready == 0) return false;
  if (gather_ == Gather::any || ready == alive) return true;
  if (gather_ == Gather::all) return false;
  if (ready >= count_) return true;
  const int64_t now = now_ns();
  if (first_seen_ns_ == 0) first_seen_ns_ = now;
  return now - first_seen_ns_ >= within_ns_;
}

Code Collect::open_ready() {
  const auto ranks = static_cast<uint32_t>(side_.sources_.size());
  uint32_t r = side_.start_;
  side_.start_ = side_.start_ + 1 == ranks ? 0 : side_.start_ + 1;
  for (uint32_t i = 0; i < ranks; ++i, r = r + 1 == ranks ? 0 : r + 1) {
    Source& source = side_.sources_[r];
    if (!source.ready) continue;
    source.failure = side_.open(source, r);
    if (source.failure == Code::ok) ranks_.push_back(r);
  }
  // One that failed is told of when nothing else is there to hand over, or next time: the others' rounds go
  // on.
  return ranks_.empty() ? step() : Code::ok;
}

}  // namespace weft
