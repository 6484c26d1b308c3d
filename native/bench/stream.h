// How many bytes a second go one way: rounds of bytes with `depth` of them in flight, answered without rows.
// A stamp in every page differs with the round and the position, and is looked at on the other side; filling
// and reading every byte would be measured too.
#pragma once

#include <span>

#include "bench/workload.h"
#include "exchange/attention.h"
#include "exchange/ffn.h"

namespace weft::bench {

// A sample is the time from the end of one round to the end of the next, in nanoseconds.
Code stream_attention(const Workload& work, AttentionSide& side, uint32_t rank, std::span<double> samples);
// `wrong`: pages whose stamp is another.
Code stream_ffn(const Workload& work, FfnSide& side, uint64_t rounds, uint64_t& wrong);

}  // namespace weft::bench
