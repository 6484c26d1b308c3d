#include "kernels/bf16.h"
#include "kernels/scalar.h"

namespace weft::kernels::scalar {

void widen(const uint16_t* source, float* destination, size_t count) {
  for (size_t i = 0; i < count; ++i) destination[i] = bf16_to_f32(source[i]);
}

void narrow(const float* source, uint16_t* destination, size_t count) {
  for (size_t i = 0; i < count; ++i) destination[i] = f32_to_bf16(source[i]);
}

}  // namespace weft::kernels::scalar
