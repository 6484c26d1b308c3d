#include <algorithm>

#include "exchange/ffn.h"

namespace weft {

void Collect::aim(Gather gather, uint32_t count, int64_t within_ns, bool streamed, bool skip_lost) {
  gather_ = gather;
  count_ = count;
  within_ns_ = within_ns;
  first_seen_ns_ = 0;
  streamed_ = streamed;
  skip_lost_ = skip_lost;
  blamed = kNoPeer;
  ranks_.clear();
  ranks_.reserve(side_.sources_.size());
}

int64_t Collect::wake_ns() const {
  return first_seen_ns_ == 0 ? deadline() : std::min(deadline(), first_seen_ns_ + within_ns_);
}

// `unavailable`: every attention rank has left.
Code Collect::step() {
  const auto ranks = static_cast<uint32_t>(side_.sources_.size());
  RoundView view;
  uint32_t ready = 0, alive = 0;
  const auto look = [&](FfnSide::Source& source) {
    const Part& earlier = source.parts[source.next % side_.config_.depth];
    if (earlier.open) return Code::again;  // a source that reuses a slot too early has to wait all the same
    const Code code = source.rounds.look(source.next, view);
    if (code == Code::ok && !streamed_ && view.final_rows < view.rows) return Code::again;
    return code;
  };
  for (uint32_t r = 0; r < ranks; ++r) {
    FfnSide::Source& source = side_.sources_[r];
    if (source.told) continue;
    const Code peer = source.rounds.peer_state();  // first: what was published before the peer went counts
    Code code = look(source);
    if (code == Code::again && peer != Code::ok) code = peer;
    if (code == Code::ok) {
      ++ready;
      ++alive;
    } else if (code == Code::again) {
      ++alive;
    } else {
      source.told = true;
      if (code == Code::peer_closed || skip_lost_) continue;
      blamed = source.rounds.member();
      return code;
    }
  }
  if (alive == 0) return Code::unavailable;
  if (ready == 0) return Code::again;
  if (gather_ == Gather::all && ready < alive) return Code::again;
  if (gather_ == Gather::at_least && ready < std::min(count_, alive)) {
    const int64_t now = now_ns();
    if (first_seen_ns_ == 0) first_seen_ns_ = now;
    if (now - first_seen_ns_ < within_ns_) return Code::again;
  }
  for (uint32_t i = 0; i < ranks; ++i) {
    const uint32_t r = (side_.start_ + i) % ranks;
    FfnSide::Source& source = side_.sources_[r];
    if (source.told || look(source) != Code::ok) continue;
    if (const Code code = side_.open(source, r, view); code != Code::ok) {
      blamed = source.rounds.member();
      source.told = true;
      return code;
    }
    ranks_.push_back(r);
  }
  side_.start_ = (side_.start_ + 1) % ranks;
  return ranks_.empty() ? Code::again : Code::ok;
}

}  // namespace weft
