// Bulk bf16 <-> fp32. Same results as the single-value forms in bf16.h.
//
// `count` elements each; no alignment is asked for; `source` and `destination` must not overlap.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/bf16.h"

namespace weft::kernels {

void bf16_to_f32(const uint16_t* source, float* destination, size_t count);
void f32_to_bf16(const float* source, uint16_t* destination, size_t count);

}  // namespace weft::kernels
