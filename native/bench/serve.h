// The FFN side's loop of every benchmark.
#pragma once

#include "bench/workload.h"
#include "exchange/ffn.h"

namespace weft::bench {

// f(a, generation): replies to a round of attention rank a, and says how that went. It is called for each of
// so many rounds of each attention rank, as they come in.
template <class F>
Code serve(const Workload& work, FfnSide& side, uint64_t rounds, double deadline_ms, F&& f) {
  Collect& collect = side.collect();
  for (uint64_t left = rounds * work.attention; left > 0;) {
    collect.aim(Gather::any, 1, 0, false, false);
    collect.rearm(deadline_after_ms(deadline_ms));
    if (const Code code = side.endpoint().wait(collect); code != Code::ok) return code;
    for (const uint32_t a : collect.ranks()) {
      if (const Code code = f(a, side.collected(a)); code != Code::ok) return code;
      --left;
    }
  }
  return Code::ok;
}

}  // namespace weft::bench
