// Internal: one set of kernels for one instruction set, and the choice among them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weft::kernels {

// Signatures and contracts are those of convert.h, quantise.h and reduce.h. The front functions have dealt
// with n < 2 of the sums and with k = 0 already.
struct KernelTable {
  const char* name;
  void (*widen)(const uint16_t* source, float* destination, size_t count);
  void (*narrow)(const float* source, uint16_t* destination, size_t count);
  void (*quantise_bf16)(const uint16_t* x, size_t rows, size_t hidden, uint8_t* q, float* scales,
                        bool power_of_two);
  void (*quantise_f32)(const float* x, size_t rows, size_t hidden, uint8_t* q, float* scales,
                       bool power_of_two);
  void (*dequantise_bf16)(const uint8_t* q, const float* scales, size_t rows, size_t hidden, uint16_t* out);
  void (*dequantise_f32)(const uint8_t* q, const float* scales, size_t rows, size_t hidden, float* out);
  void (*sum_bf16)(const uint16_t* const* inputs, size_t n, size_t elements, uint16_t* out);
  void (*sum_f32)(const uint16_t* const* inputs, size_t n, size_t elements, float* out);
  void (*weighted_bf16)(const uint16_t* const* rows, const float* weights, size_t k, size_t hidden,
                        uint16_t* out);
  void (*weighted_f32)(const uint16_t* const* rows, const float* weights, size_t k, size_t hidden,
                       float* out);
};

// The reference, always there.
extern const KernelTable kScalarTable;

#ifdef WEFT_HAVE_HWY
// The SIMD tables this CPU can run, the fastest first; possibly none.
std::span<const KernelTable* const> simd_tables();
#endif

// The set in force.
const KernelTable& active();

}  // namespace weft::kernels
