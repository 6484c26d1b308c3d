// The memory floor: the same work with no library. One shared mapping, read in place; flags on their own
// cache lines; spinning when there is a core for each process, sched_yield when not.
#pragma once

#include <span>

#include "bench/workload.h"

namespace weft::bench {

size_t floor_bytes(const Workload& work);
// Runs rounds base + 1 .. base + samples.size(); each sample is nanoseconds from 'payload is ready' to
// 'result is reduced'. Returns wrong bytes. `memory`: the zeroed mapping that all processes share.
uint64_t floor_attention(const Workload& work, std::byte* memory, uint32_t rank, uint64_t base,
                         std::span<double> samples, bool yield);
// Serves `rounds` rounds of every attention rank.
void floor_ffn(const Workload& work, std::byte* memory, uint32_t rank, uint64_t base, uint64_t rounds,
               bool yield);

}  // namespace weft::bench
