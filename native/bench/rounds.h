// The library under test, from C++: the same work through the row exchange.
#pragma once

#include <span>

#include "bench/workload.h"
#include "exchange/attention.h"
#include "exchange/ffn.h"

namespace weft::bench {

// As floor_attention; stops with a Code other than ok when a round fails. `out` holds a result.
Code exchange_attention(const Workload& work, AttentionSide& side, uint32_t rank, std::byte* out,
                        std::span<double> samples, uint64_t& wrong);
Code exchange_ffn(const Workload& work, FfnSide& side, uint64_t rounds);

}  // namespace weft::bench
