// Per-target FP8 quantisation and its way back. Contracts as in table.h.
#if defined(WEFT_KERNELS_SIMD_QUANTISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WEFT_KERNELS_SIMD_QUANTISE_INL_H_
#undef WEFT_KERNELS_SIMD_QUANTISE_INL_H_
#else
#define WEFT_KERNELS_SIMD_QUANTISE_INL_H_
#endif

#include <algorithm>
#include <bit>

#include "kernels/simd_pairs-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft::kernels::HWY_NAMESPACE {

// Encoding by one addition. For 0 <= v < 464, what no product of an element and its group's multiplier
// exceeds, let E = max(floor(log2 v), -6). A step of e4m3 at v is 2^(E-3), for subnormals too, and that is
// one ulp of the binade 2^(E+20): adding 2^(E+20) rounds v to the k-th step, nearest even, and leaves k in
// the low bits. The code is 8 * (E + 6) + k. Its first part comes from the exponent of the sum, (E + 147) in
// bits 23 and up; that these are 8 * (147 - 6) = 1128 too many is made good by adding 65536 - 1128 steps more
// (an even number, so ties stay as they are), which leaves k - 1128 mod 2^16 in the low half of the sum.
//
// Returns the sum. 2^E times the constant is exact, so that this is the same whether or not the target fuses.
HWY_INLINE V32 encode_sum(VF v) {
  constexpr float kSteps = 0x1p20f + (65536 - 1128) / 8.0f;
  const V32 exponent = hn::And(hn::BitCast(d32, v), hn::Set(d32, 0x7F800000));
  const V32 floor = hn::Max(exponent, hn::Set(d32, uint32_t{127 - 6} << 23));
  return hn::BitCast(d32, hn::MulAdd(hn::BitCast(df, floor), hn::Set(df, kSteps), v));
}

// The lower byte of each lane, whose upper byte is zero.
HWY_INLINE void store_codes(V16 codes, uint8_t* q) {
  hn::StoreU(hn::TruncateTo(D8Half(), codes), D8Half(), q);
}

// kLanes16 elements to codes. `x` finite.
HWY_INLINE void encode(const uint16_t* x, VF multiplier, uint8_t* q) {
  const V16 v = hn::LoadU(d16, x);
  const V16 magnitude = hn::And(v, hn::Set(d16, 0x7FFF));
  const V32 even = encode_sum(hn::Mul(even_f32(magnitude), multiplier));
  const V32 odd = encode_sum(hn::Mul(odd_f32(magnitude), multiplier));
  const V16 code = hn::Add(hn::ShiftRight<4>(upper_halves(even, odd)), lower_halves(even, odd));
  store_codes(hn::OrAnd(code, hn::ShiftRight<8>(v), hn::Set(d16, 0x80)), q);
}

HWY_INLINE void encode(const float* x, VF multiplier, uint8_t* q) {
  const auto half = [multiplier](const float* at) HWY_ATTR {
    const VF v = hn::LoadU(df, at);
    const V32 sum = encode_sum(hn::Mul(hn::Abs(v), multiplier));
    const V32 code = hn::Add(hn::ShiftRight<20>(sum), sum);
    return hn::BitCast(d16, hn::OrAnd(code, hn::ShiftRight<24>(hn::BitCast(d32, v)), hn::Set(d32, 0x80)));
  };
  const V16 low = half(x);
  const V16 high = half(x + kLanes32);
  store_codes(hn::ConcatEven(d16, high, low), q);
}

// The largest |x| of n elements, n a multiple of kLanes16, still spread over the lanes: the largest lane, cut
// to what kValueBits keeps, is it, as the bits of an fp32.
HWY_INLINE V32 max_abs_lanes(const uint16_t* x, size_t n) {
  V16 top = hn::Zero(d16);
  for (size_t i = 0; i < n; i += kLanes16)
    top = hn::Max(top, hn::And(hn::LoadU(d16, x + i), hn::Set(d16, 0x7FFF)));
  // The odd element decides a comparison of 32-bit lanes; what the even one leaves below it is cut off later.
  const V32 pairs = hn::BitCast(d32, top);
  return hn::Max(pairs, hn::ShiftLeft<16>(pairs));
}

HWY_INLINE V32 max_abs_lanes(const float* x, size_t n) {
  V32 top = hn::Zero(d32);
  for (size_t i = 0; i < n; i += kLanes32)
    top = hn::Max(top, hn::BitCast(d32, hn::Abs(hn::LoadU(df, x + i))));
  return top;
}

template <class T>
inline constexpr uint32_t kValueBits = sizeof(T) == 2 ? 0xFFFF0000 : 0xFFFFFFFF;

HWY_INLINE float one_f32(uint16_t x) { return bf16_to_f32(x); }
HWY_INLINE float one_f32(float x) { return x; }

// One group of any size.
template <class T>
HWY_INLINE void quantise_group(const T* x, size_t n, uint8_t* q, float* stored, bool power_of_two) {
  const size_t whole = n - n % kLanes16;
  uint32_t bits = hn::GetLane(hn::MaxOfLanes(d32, max_abs_lanes(x, whole))) & kValueBits<T>;
  for (size_t i = whole; i < n; ++i)
    bits = std::max(bits, std::bit_cast<uint32_t>(one_f32(x[i])) & 0x7FFFFFFF);
  if (HWY_UNLIKELY(bits >= 0x7F800000)) return scalar::quantise_group(x, n, q, stored, power_of_two);
  const GroupScale scale = group_scale(std::bit_cast<float>(bits), power_of_two);
  *stored = scale.stored;
  const VF multiplier = hn::Set(df, scale.multiplier);
  for (size_t i = 0; i < whole; i += kLanes16) encode(x + i, multiplier, q + i);
  for (size_t i = whole; i < n; ++i) q[i] = f32_to_e4m3(one_f32(x[i]) * scale.multiplier);
}

// Four whole groups at a time share the horizontal steps of the maximum and one vector division.
inline constexpr size_t kFour = 4;
using D4U = hn::FixedTag<uint32_t, kFour>;
using D4F = hn::FixedTag<float, kFour>;

// Lane g of the result: the maximum over all lanes of top[g].
HWY_INLINE hn::Vec<D4U> max_of_four(const V32* top) {
  const hn::Repartition<uint64_t, D32> d64;
  const auto both = [=](V32 a, V32 b) HWY_ATTR {
    return hn::BitCast(d64, hn::Max(hn::InterleaveLower(d32, a, b), hn::InterleaveUpper(d32, a, b)));
  };
  const auto first = both(top[0], top[1]);   // 0 1 0 1, and again in each block of 128 bits
  const auto second = both(top[2], top[3]);  // 2 3 2 3
  const V32 lower = hn::BitCast(d32, hn::InterleaveLower(d64, first, second));
  const V32 upper = hn::BitCast(d32, hn::InterleaveUpper(d64, first, second));
  HWY_ALIGN uint32_t blocks[kLanes32];
  hn::Store(hn::Max(lower, upper), d32, blocks);
  const D4U d4;
  auto result = hn::Load(d4, blocks);
  for (size_t i = kFour; i < kLanes32; i += kFour) result = hn::Max(result, hn::Load(d4, blocks + i));
  return result;
}

// group_scale of four groups.
HWY_INLINE void four_scales(hn::Vec<D4U> bits, bool power_of_two, float* multiplier, float* stored) {
  const D4U u4;
  const D4F f4;
  const auto amax = hn::Max(hn::BitCast(f4, bits), hn::Set(f4, kMinAmax));
  const auto scale = hn::Mul(amax, hn::Set(f4, 1.0f / kE4m3Max));
  if (!power_of_two) {
    hn::Store(hn::Div(hn::Set(f4, kE4m3Max), amax), f4, multiplier);
    hn::StoreU(scale, f4, stored);
    return;
  }
  // Up to the next exponent unless the mantissa is zero.
  const auto up = hn::Add(hn::BitCast(u4, scale), hn::Set(u4, 0x7FFFFF));
  const auto power = hn::And(up, hn::Set(u4, 0xFF800000));
  hn::Store(hn::BitCast(f4, hn::Sub(hn::Set(u4, uint32_t{254} << 23), power)), f4, multiplier);
  hn::StoreU(hn::BitCast(f4, power), f4, stored);
}

template <class T>
HWY_INLINE void quantise_four(const T* x, uint8_t* q, float* stored, bool power_of_two) {
  prefetch_ahead(x, kFour * kGroup);
  V32 top[kFour];
  for (size_t g = 0; g < kFour; ++g) top[g] = max_abs_lanes(x + g * kGroup, kGroup);
  const D4U u4;
  const auto bits = hn::And(max_of_four(top), hn::Set(u4, kValueBits<T>));
  if (HWY_UNLIKELY(!hn::AllTrue(u4, hn::Lt(bits, hn::Set(u4, 0x7F800000))))) {
    for (size_t g = 0; g < kFour; ++g)
      quantise_group(x + g * kGroup, kGroup, q + g * kGroup, stored + g, power_of_two);
    return;
  }
  HWY_ALIGN float multiplier[kFour];
  four_scales(bits, power_of_two, multiplier, stored);
  for (size_t g = 0; g < kFour; ++g) {
    const VF one = hn::Set(df, multiplier[g]);
    for (size_t i = g * kGroup; i < (g + 1) * kGroup; i += kLanes16) encode(x + i, one, q + i);
  }
}

template <class T>
void quantise_rows_of(const T* x, size_t rows, size_t hidden, uint8_t* q, float* scales, bool power_of_two) {
  for (size_t row = 0; row < rows; ++row) {
    size_t at = 0;
    for (; at + kFour * kGroup <= hidden; at += kFour * kGroup, scales += kFour)
      quantise_four(x + at, q + at, scales, power_of_two);
    for (; at < hidden; at += kGroup)
      quantise_group(x + at, std::min(kGroup, hidden - at), q + at, scales++, power_of_two);
    x += hidden;
    q += hidden;
  }
}

// kLanes16 codes to bf16, exactly; NaN codes come out as +-480.
HWY_INLINE V16 decode_bf16(V16 code) {
  const V16 magnitude = hn::And(code, hn::Set(d16, 0x7F));
  const V16 normal = hn::Add(hn::ShiftLeft<4>(magnitude), hn::Set(d16, (127 - 7) << 7));
  // A subnormal's seven values are looked up, two bytes each. For other codes this gives garbage that isn't
  // used.
  alignas(16) static constexpr uint16_t kSubnormals[8] = {0x0000, 0x3B00, 0x3B80, 0x3BC0,
                                                          0x3C00, 0x3C20, 0x3C40, 0x3C60};
  const V16 step = hn::And(code, hn::Set(d16, 7));
  const V16 bytes = hn::Add(hn::Mul(step, hn::Set(d16, 0x0202)), hn::Set(d16, 0x0100));
  const V16 subnormal = hn::TableLookupBytes(hn::LoadDup128(d16, kSubnormals), bytes);
  const V16 value = hn::IfThenElse(hn::Lt(magnitude, hn::Set(d16, 8)), subnormal, normal);
  return hn::Or(value, hn::ShiftLeft<8>(hn::And(code, hn::Set(d16, 0x80))));
}

HWY_INLINE auto is_nan_code(V16 code) {
  const V16 nan = hn::Set(d16, kE4m3Nan);
  return hn::Eq(hn::And(code, nan), nan);
}

// kLanes16 elements with a finite scale: only the code can make a NaN then.
HWY_INLINE void decode(const uint8_t* q, VF scale, uint16_t* out) {
  const V16 code = hn::PromoteTo(d16, hn::LoadU(D8Half(), q));
  const V16 value = decode_bf16(code);
  const V32 even = round_bf16(hn::Mul(even_f32(value), scale));
  const V32 odd = round_bf16(hn::Mul(odd_f32(value), scale));
  const V16 rounded = upper_halves(even, odd);
  hn::StoreU(hn::IfThenElse(is_nan_code(code), hn::Set(d16, kCanonicalNanBf16), rounded), d16, out);
}

HWY_INLINE void decode(const uint8_t* q, VF scale, float* out) {
  for (size_t half = 0; half < 2; ++half) {
    const hn::Rebind<int32_t, D32> di;
    const V32 code = hn::PromoteTo(d32, hn::LoadU(D8Quarter(), q + half * kLanes32));
    const V32 magnitude = hn::And(code, hn::Set(d32, 0x7F));
    const VF subnormal = hn::Mul(hn::ConvertTo(df, hn::BitCast(di, magnitude)), hn::Set(df, 0x1p-9f));
    const V32 normal = hn::Add(hn::ShiftLeft<20>(magnitude), hn::Set(d32, uint32_t{127 - 7} << 23));
    const auto small = hn::Lt(magnitude, hn::Set(d32, 8));
    const V32 value = hn::IfThenElse(small, hn::BitCast(d32, subnormal), normal);
    const V32 sign = hn::ShiftLeft<24>(hn::And(code, hn::Set(d32, 0x80)));
    const VF product = hn::Mul(hn::BitCast(df, hn::Or(value, sign)), scale);
    const auto nan = hn::Eq(magnitude, hn::Set(d32, kE4m3Nan));
    const V32 result = hn::IfThenElse(nan, hn::Set(d32, kCanonicalNanF32), hn::BitCast(d32, product));
    hn::StoreU(hn::BitCast(df, result), df, out + half * kLanes32);
  }
}

template <class T>
HWY_INLINE void dequantise_group(const uint8_t* q, size_t n, float scale, T* out) {
  const bool finite = (std::bit_cast<uint32_t>(scale) & 0x7F800000) != 0x7F800000;
  const size_t whole = HWY_LIKELY(finite) ? n - n % kLanes16 : 0;
  const VF scales = hn::Set(df, scale);
  for (size_t i = 0; i < whole; i += kLanes16) decode(q + i, scales, out + i);
  if (whole < n) scalar::dequantise_group(q + whole, n - whole, scale, out + whole);
}

template <class T>
void dequantise_rows_to(const uint8_t* q, const float* scales, size_t rows, size_t hidden, T* out) {
  for (size_t row = 0; row < rows; ++row) {
    size_t left = hidden;
    for (; left >= kGroup; left -= kGroup, q += kGroup, out += kGroup)
      dequantise_group(q, kGroup, *scales++, out);
    if (left > 0) dequantise_group(q, left, *scales++, out);
    q += left;
    out += left;
  }
}

}  // namespace weft::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
