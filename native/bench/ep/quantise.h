// How fast rows are quantised, beside a copy of them.
#pragma once

#include <cstdint>
#include <span>

namespace weft::bench::ep {

// In turns, nanoseconds of each: memcpy of [rows, hidden] bf16, and the same to FP8 with scales. Everything
// was written before.
void quantise_turns(uint32_t rows, uint32_t hidden, std::span<double> copy_ns, std::span<double> quantise_ns);

}  // namespace weft::bench::ep
