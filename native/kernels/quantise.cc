#include "kernels/quantise.h"

#include "kernels/table.h"

namespace weft::kernels {

void quantise_rows(const uint16_t* bf16, size_t rows, size_t hidden, uint8_t* q, float* scales,
                   bool power_of_two) {
  active().quantise_bf16(bf16, rows, hidden, q, scales, power_of_two);
}

void quantise_rows(const float* f32, size_t rows, size_t hidden, uint8_t* q, float* scales,
                   bool power_of_two) {
  active().quantise_f32(f32, rows, hidden, q, scales, power_of_two);
}

void dequantise_rows(const uint8_t* q, const float* scales, size_t rows, size_t hidden, uint16_t* out_bf16) {
  active().dequantise_bf16(q, scales, rows, hidden, out_bf16);
}

void dequantise_rows(const uint8_t* q, const float* scales, size_t rows, size_t hidden, float* out_f32) {
  active().dequantise_f32(q, scales, rows, hidden, out_f32);
}

}  // namespace weft::kernels
