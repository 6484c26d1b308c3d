#include "kernels/convert.h"

#include "kernels/table.h"

namespace weft::kernels {

void bf16_to_f32(const uint16_t* source, float* destination, size_t count) {
  active().widen(source, destination, count);
}

void f32_to_bf16(const float* source, uint16_t* destination, size_t count) {
  active().narrow(source, destination, count);
}

}  // namespace weft::kernels
