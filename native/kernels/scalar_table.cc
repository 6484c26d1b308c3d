#include "kernels/scalar.h"
#include "kernels/table.h"

namespace weft::kernels {

const KernelTable kScalarTable = {
    .name = "scalar",
    .widen = scalar::widen,
    .narrow = scalar::narrow,
    .quantise_bf16 = scalar::quantise_bf16,
    .quantise_f32 = scalar::quantise_f32,
    .dequantise_bf16 = scalar::dequantise_bf16,
    .dequantise_f32 = scalar::dequantise_f32,
    .sum_bf16 = scalar::sum_bf16,
    .sum_f32 = scalar::sum_f32,
    .weighted_bf16 = scalar::weighted_bf16,
    .weighted_f32 = scalar::weighted_f32,
};

}  // namespace weft::kernels
