// Internal: the reference implementation. Contracts as in table.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::kernels::scalar {

void widen(const uint16_t* source, float* destination, size_t count);
void narrow(const float* source, uint16_t* destination, size_t count);

// One group of n <= 128 channels. The SIMD kernels come here when a group holds something that is not finite.
void quantise_group(const uint16_t* x, size_t n, uint8_t* q, float* scale, bool power_of_two);
void quantise_group(const float* x, size_t n, uint8_t* q, float* scale, bool power_of_two);
void dequantise_group(const uint8_t* q, size_t n, float scale, uint16_t* out);
void dequantise_group(const uint8_t* q, size_t n, float scale, float* out);

void quantise_bf16(const uint16_t* x, size_t rows, size_t hidden, uint8_t* q, float* scales,
                   bool power_of_two);
void quantise_f32(const float* x, size_t rows, size_t hidden, uint8_t* q, float* scales, bool power_of_two);
void dequantise_bf16(const uint8_t* q, const float* scales, size_t rows, size_t hidden, uint16_t* out);
void dequantise_f32(const uint8_t* q, const float* scales, size_t rows, size_t hidden, float* out);

void sum_bf16(const uint16_t* const* inputs, size_t n, size_t elements, uint16_t* out);
void sum_f32(const uint16_t* const* inputs, size_t n, size_t elements, float* out);
void weighted_bf16(const uint16_t* const* rows, const float* weights, size_t k, size_t hidden, uint16_t* out);
void weighted_f32(const uint16_t* const* rows, const float* weights, size_t k, size_t hidden, float* out);

}  // namespace weft::kernels::scalar
