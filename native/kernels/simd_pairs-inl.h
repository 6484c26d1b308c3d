// Per-target helpers: a vector of bf16 as two vectors of fp32, of its even and of its odd elements. Widening
// this way is a shift and a mask, narrowing a shift and a blend: no shuffle, and the order comes back by
// itself. No include guard of the usual kind: this is compiled once for each target.
#if defined(WEFT_KERNELS_SIMD_PAIRS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WEFT_KERNELS_SIMD_PAIRS_INL_H_
#undef WEFT_KERNELS_SIMD_PAIRS_INL_H_
#else
#define WEFT_KERNELS_SIMD_PAIRS_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace weft::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D8 = hn::ScalableTag<uint8_t>;
using D16 = hn::ScalableTag<uint16_t>;
using D32 = hn::ScalableTag<uint32_t>;
using DF = hn::ScalableTag<float>;
using D16Half = hn::Rebind<uint16_t, D32>;   // as many lanes as D32
using D8Half = hn::Rebind<uint8_t, D16>;     // as many lanes as D16
using D8Quarter = hn::Rebind<uint8_t, D32>;  // as many lanes as D32
using V16 = hn::Vec<D16>;
using V32 = hn::Vec<D32>;
using VF = hn::Vec<DF>;

inline constexpr D8 d8;
inline constexpr D16 d16;
inline constexpr D32 d32;
inline constexpr DF df;
inline constexpr size_t kLanes16 = hn::MaxLanes(d16);
inline constexpr size_t kLanes32 = hn::MaxLanes(d32);

// Little-endian, as everywhere in this library: the even element is the low half of a 32-bit lane.
HWY_INLINE VF even_f32(V16 v) { return hn::BitCast(df, hn::ShiftLeft<16>(hn::BitCast(d32, v))); }
HWY_INLINE VF odd_f32(V16 v) {
  return hn::BitCast(df, hn::And(hn::BitCast(d32, v), hn::Set(d32, 0xFFFF0000)));
}

// The upper halves of two vectors of 32-bit lanes, interleaved.
HWY_INLINE V16 upper_halves(V32 even, V32 odd) {
  return hn::OddEven(hn::BitCast(d16, odd), hn::BitCast(d16, hn::ShiftRight<16>(even)));
}

// The lower halves.
HWY_INLINE V16 lower_halves(V32 even, V32 odd) {
  return hn::OddEven(hn::BitCast(d16, hn::ShiftLeft<16>(odd)), hn::BitCast(d16, even));
}

// Nearest even onto the upper half; right for all but NaN. What is below the upper half is left over.
HWY_INLINE V32 round_bf16(VF v) {
  const V32 bits = hn::BitCast(d32, v);
  const V32 odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
  return hn::Add(hn::Add(bits, hn::Set(d32, 0x7FFF)), odd);
}

// result_to_bf16 of each lane.
HWY_INLINE V32 round_result(VF v) {
  const auto nan = hn::RebindMask(d32, hn::IsNaN(v));
  return hn::IfThenElse(nan, hn::Set(d32, kCanonicalNanF32), round_bf16(v));
}

HWY_INLINE V16 results_to_bf16(VF even, VF odd) {
  return upper_halves(round_result(even), round_result(odd));
}

// result_to_f32 of each lane.
HWY_INLINE VF result_f32(VF v) {
  return hn::IfThenElse(hn::IsNaN(v), hn::BitCast(df, hn::Set(d32, kCanonicalNanF32)), v);
}

// Asks for `count` elements one page further on. The hardware prefetchers stop at page ends and fall behind
// these loops; this is worth 20 % on inputs that are not in the second-level cache. Past the end of an input
// it does nothing.
template <class T>
HWY_INLINE void prefetch_ahead(const T* source, size_t count) {
  const char* next = reinterpret_cast<const char*>(source) + 4096;
  for (size_t i = 0; i < count * sizeof(T); i += 64) __builtin_prefetch(next + i);
}

// kLanes32 bf16 in memory order.
HWY_INLINE VF load_f32(const uint16_t* source) {
  return hn::BitCast(df, hn::ShiftLeft<16>(hn::PromoteTo(d32, hn::LoadU(D16Half(), source))));
}

}  // namespace weft::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
