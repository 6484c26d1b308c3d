// The arithmetic of combine: sums of bf16 rows in fp32, in the order of the inputs, rounded once (nearest
// even).
//
// Every addition and multiplication is rounded to fp32 on its own; nothing is fused, whatever the CPU could
// do. A result that is not a number is written as the canonical NaN of bf16.h. Inputs need no alignment. A
// bf16 output may be one of the inputs; otherwise outputs must not overlap inputs. Stores go through the
// cache: the consumer reads the output next.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::kernels {

// out[i] = ((inputs[0][i] + inputs[1][i]) + inputs[2][i]) ...; `inputs` has n pointers to `elements` bf16
// each. One input: the bf16 form copies bit for bit, the fp32 form widens bit for bit. None: +0.
void sum_rows(const uint16_t* const* inputs, size_t n, size_t elements, uint16_t* out);
void sum_rows(const uint16_t* const* inputs, size_t n, size_t elements, float* out);

// acc = weights[0] * rows[0][i]; acc = acc + (weights[1] * rows[1][i]); ... for one row of `hidden` channels.
// k = 0 gives +0.
void weighted_row(const uint16_t* const* rows, const float* weights, size_t k, size_t hidden, uint16_t* out);
void weighted_row(const uint16_t* const* rows, const float* weights, size_t k, size_t hidden, float* out);

}  // namespace weft::kernels
