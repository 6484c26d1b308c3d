#include <algorithm>

#include "kernels/bf16.h"
#include "kernels/scalar.h"

namespace weft::kernels::scalar {

namespace {

// Strip by strip, so that the accumulators stay in the first cache and the inner loops are plain array loops.
constexpr size_t kStrip = 256;

// term(j, y) is the j-th summand made of the element y of input j.
template <class Term, class Out>
void fold(const uint16_t* const* inputs, size_t n, size_t elements, Term term, Out* out) {
  float sum[kStrip];
  for (size_t at = 0; at < elements; at += kStrip) {
    const size_t count = std::min(kStrip, elements - at);
    for (size_t i = 0; i < count; ++i) sum[i] = term(0, bf16_to_f32(inputs[0][at + i]));
    for (size_t j = 1; j < n; ++j) {
      const uint16_t* input = inputs[j] + at;
      for (size_t i = 0; i < count; ++i) sum[i] = sum[i] + term(j, bf16_to_f32(input[i]));
    }
    for (size_t i = 0; i < count; ++i) store_result(sum[i], out + at + i);
  }
}

float plain(size_t, float y) { return y; }

}  // namespace

void sum_bf16(const uint16_t* const* inputs, size_t n, size_t elements, uint16_t* out) {
  fold(inputs, n, elements, plain, out);
}

void sum_f32(const uint16_t* const* inputs, size_t n, size_t elements, float* out) {
  fold(inputs, n, elements, plain, out);
}

void weighted_bf16(const uint16_t* const* rows, const float* weights, size_t k, size_t hidden,
                   uint16_t* out) {
  fold(rows, k, hidden, [=](size_t j, float y) { return weights[j] * y; }, out);
}

void weighted_f32(const uint16_t* const* rows, const float* weights, size_t k, size_t hidden, float* out) {
  fold(rows, k, hidden, [=](size_t j, float y) { return weights[j] * y; }, out);
}

}  // namespace weft::kernels::scalar
