#include <algorithm>
#include <bit>

#include "kernels/bf16.h"
#include "kernels/e4m3.h"
#include "kernels/groups.h"
#include "kernels/scalar.h"
#include "kernels/scale.h"

namespace weft::kernels::scalar {

namespace {

float load(const uint16_t* x) { return bf16_to_f32(*x); }
float load(const float* x) { return *x; }

template <class T>
void quantise(const T* x, size_t n, uint8_t* q, float* stored, bool power_of_two) {
  // Bits of magnitudes order as their values do.
  constexpr int32_t kInfinity = 0x7F800000;
  int32_t top = 0;
  for (size_t i = 0; i < n; ++i) {
    const int32_t magnitude = std::bit_cast<int32_t>(load(x + i)) & 0x7FFFFFFF;
    top = std::max(top, magnitude > kInfinity ? 0 : magnitude);
  }
  const GroupScale scale = group_scale(std::bit_cast<float>(top), power_of_two);
  *stored = scale.stored;
  for (size_t i = 0; i < n; ++i) {
    const float value = load(x + i);
    const int32_t bits = std::bit_cast<int32_t>(value);
    const uint8_t code = f32_to_e4m3(value * scale.multiplier);
    // Said outright, because the sign of infinity * 0 depends on the CPU.
    const uint8_t nan = static_cast<uint8_t>(kE4m3Nan | (bits < 0 ? 0x80 : 0));
    q[i] = (bits & 0x7FFFFFFF) >= kInfinity ? nan : code;
  }
}

template <class T>
void dequantise(const uint8_t* q, size_t n, float scale, T* out) {
  for (size_t i = 0; i < n; ++i) store_result(e4m3_to_f32(q[i]) * scale, out + i);
}

}  // namespace

void quantise_group(const uint16_t* x, size_t n, uint8_t* q, float* scale, bool power_of_two) {
  quantise(x, n, q, scale, power_of_two);
}

void quantise_group(const float* x, size_t n, uint8_t* q, float* scale, bool power_of_two) {
  quantise(x, n, q, scale, power_of_two);
}

void dequantise_group(const uint8_t* q, size_t n, float scale, uint16_t* out) {
  dequantise(q, n, scale, out);
}
void dequantise_group(const uint8_t* q, size_t n, float scale, float* out) { dequantise(q, n, scale, out); }

void quantise_bf16(const uint16_t* x, size_t rows, size_t hidden, uint8_t* q, float* scales,
                   bool power_of_two) {
  for_each_group(rows, hidden, [=](size_t at, size_t n, size_t g) {
    quantise(x + at, n, q + at, scales + g, power_of_two);
  });
}

void quantise_f32(const float* x, size_t rows, size_t hidden, uint8_t* q, float* scales, bool power_of_two) {
  for_each_group(rows, hidden, [=](size_t at, size_t n, size_t g) {
    quantise(x + at, n, q + at, scales + g, power_of_two);
  });
}

void dequantise_bf16(const uint8_t* q, const float* scales, size_t rows, size_t hidden, uint16_t* out) {
  for_each_group(rows, hidden,
                 [=](size_t at, size_t n, size_t g) { dequantise(q + at, n, scales[g], out + at); });
}

void dequantise_f32(const uint8_t* q, const float* scales, size_t rows, size_t hidden, float* out) {
  for_each_group(rows, hidden,
                 [=](size_t at, size_t n, size_t g) { dequantise(q + at, n, scales[g], out + at); });
}

}  // namespace weft::kernels::scalar
