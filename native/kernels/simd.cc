// The SIMD kernels, compiled once for each instruction set of the architecture, and the choice at run time.
#ifdef WEFT_HAVE_HWY

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/bf16.h"
#include "kernels/e4m3.h"
#include "kernels/groups.h"
#include "kernels/scalar.h"
#include "kernels/scale.h"
#include "kernels/table.h"

// Only what is worth its compile time and size. The scalable ones (SVE, RVV) are out because the kernels keep
// vectors in arrays; those CPUs run NEON or the scalar code.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#define HWY_WANT_AVX3_DL
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd.cc"
// clang-format off
#include <hwy/foreach_target.h>  // must come before highway.h
// clang-format on
#include <hwy/highway.h>

// HWY_SCALAR is Highway's stand-in for "no SIMD": one lane, no 16-bit pairs. Our own scalar code serves
// there.
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
#include "kernels/simd_quantise-inl.h"
#include "kernels/simd_reduce-inl.h"
#endif

HWY_BEFORE_NAMESPACE();
namespace weft::kernels::HWY_NAMESPACE {

// nullptr where there is no SIMD code for the target.
const KernelTable* table() {
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
  static const KernelTable kTable = {
      .name = hwy::TargetName(HWY_TARGET),
      .widen = widen,
      .narrow = narrow,
      .quantise_bf16 = quantise_rows_of<uint16_t>,
      .quantise_f32 = quantise_rows_of<float>,
      .dequantise_bf16 = dequantise_rows_to<uint16_t>,
      .dequantise_f32 = dequantise_rows_to<float>,
      .sum_bf16 = sum_bf16,
      .sum_f32 = sum_f32,
      .weighted_bf16 = weighted_bf16,
      .weighted_f32 = weighted_f32,
  };
  return &kTable;
#else
  return nullptr;
#endif
}

}  // namespace weft::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace weft::kernels {

namespace {

// We ask the CPU ourselves and call through our own tables: with that Highway is a matter of headers only,
// and the addon needs no libhwy on the machine it runs on.
bool cpu_has(int64_t target) {
#if HWY_ARCH_X86
  const bool sse4 =
      __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("aes");
  const bool avx2 = sse4 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  if (target == HWY_SSE4) return sse4;
  if (target == HWY_AVX2) return avx2;
  const bool avx3 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  if (target == HWY_AVX3) return avx3;
  if (target == HWY_AVX3_DL)
    return avx3 && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("avx512vpopcntdq") &&
           __builtin_cpu_supports("vaes") && __builtin_cpu_supports("vpclmulqdq") &&
           __builtin_cpu_supports("avxvnni");
#endif
  return (target & HWY_STATIC_TARGET) != 0;  // the compiler was told that every machine has it
}

}  // namespace

std::span<const KernelTable* const> simd_tables() {
#if HWY_MAX_DYNAMIC_TARGETS > 1
  static const auto found = [] {
    struct {
      std::array<const KernelTable*, HWY_MAX_DYNAMIC_TARGETS> tables{};
      size_t count = 0;
    } result;
    // Highway lists an architecture's targets best first, from its lowest target bit up; nullptr is "not
    // compiled".
    constexpr std::array<const KernelTable* (*)(), HWY_MAX_DYNAMIC_TARGETS> kCompiled = {
        HWY_CHOOSE_TARGET_LIST(table)};
    for (size_t i = 0; i < kCompiled.size(); ++i) {
      const int64_t target = int64_t{1} << (HWY_HIGHEST_TARGET_BIT + 1 - HWY_MAX_DYNAMIC_TARGETS + i);
      const KernelTable* candidate = kCompiled[i] != nullptr && cpu_has(target) ? kCompiled[i]() : nullptr;
      if (candidate != nullptr) result.tables[result.count++] = candidate;
    }
    return result;
  }();
  return {found.tables.data(), found.count};
#else
  return {};
#endif
}

}  // namespace weft::kernels

#endif  // HWY_ONCE

#endif  // WEFT_HAVE_HWY
