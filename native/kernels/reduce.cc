#include "kernels/reduce.h"

#include <algorithm>

#include "kernels/copy.h"
#include "kernels/table.h"

namespace weft::kernels {

void sum_rows(const uint16_t* const* inputs, size_t n, size_t elements, uint16_t* out) {
  if (n == 0) {
    std::fill_n(out, elements, uint16_t{0});
  } else if (n == 1) {
    if (out != inputs[0]) copy_cached(out, inputs[0], elements * sizeof(uint16_t));
  } else {
    active().sum_bf16(inputs, n, elements, out);
  }
}

void sum_rows(const uint16_t* const* inputs, size_t n, size_t elements, float* out) {
  if (n == 0) {
    std::fill_n(out, elements, 0.0f);
  } else if (n == 1) {
    active().widen(inputs[0], out, elements);
  } else {
    active().sum_f32(inputs, n, elements, out);
  }
}

void weighted_row(const uint16_t* const* rows, const float* weights, size_t k, size_t hidden, uint16_t* out) {
  if (k == 0) {
    std::fill_n(out, hidden, uint16_t{0});
  } else {
    active().weighted_bf16(rows, weights, k, hidden, out);
  }
}

void weighted_row(const uint16_t* const* rows, const float* weights, size_t k, size_t hidden, float* out) {
  if (k == 0) {
    std::fill_n(out, hidden, 0.0f);
  } else {
    active().weighted_f32(rows, weights, k, hidden, out);
  }
}

}  // namespace weft::kernels
