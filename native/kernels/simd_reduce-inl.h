// Per-target conversion, sum and weighted sum. Contracts as in table.h.
#if defined(WEFT_KERNELS_SIMD_REDUCE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WEFT_KERNELS_SIMD_REDUCE_INL_H_
#undef WEFT_KERNELS_SIMD_REDUCE_INL_H_
#else
#define WEFT_KERNELS_SIMD_REDUCE_INL_H_
#endif

#include "kernels/simd_pairs-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft::kernels::HWY_NAMESPACE {

inline void widen(const uint16_t* source, float* destination, size_t count) {
  size_t i = 0;
  for (; i + kLanes32 <= count; i += kLanes32) hn::StoreU(load_f32(source + i), df, destination + i);
  scalar::widen(source + i, destination + i, count - i);
}

inline void narrow(const float* source, uint16_t* destination, size_t count) {
  const auto to_bf16 = [](const float* at) HWY_ATTR {
    const V32 bits = hn::BitCast(d32, hn::LoadU(df, at));
    const auto nan = hn::Gt(hn::And(bits, hn::Set(d32, 0x7FFFFFFF)), hn::Set(d32, 0x7F800000));
    const V32 quiet = hn::Or(bits, hn::Set(d32, 0x00400000));
    return hn::BitCast(d16, hn::IfThenElse(nan, quiet, round_bf16(hn::BitCast(df, bits))));
  };
  size_t i = 0;
  for (; i + kLanes16 <= count; i += kLanes16) {
    const V16 low = to_bf16(source + i);
    const V16 high = to_bf16(source + i + kLanes32);
    hn::StoreU(hn::ConcatOdd(d16, high, low), d16, destination + i);
  }
  scalar::narrow(source + i, destination + i, count - i);
}

// The summands: an input as it is, or times its weight.
struct Plain {
  HWY_INLINE VF operator()(size_t, VF y) const { return y; }
  HWY_INLINE float operator()(size_t, float y) const { return y; }
};

struct Weighted {
  const float* weights;
  HWY_INLINE VF operator()(size_t j, VF y) const { return hn::Mul(hn::Set(df, weights[j]), y); }
  HWY_INLINE float operator()(size_t j, float y) const { return weights[j] * y; }
};

// kElements elements as two vectors: the even and the odd ones on the way to bf16, the first and the second
// half in memory order on the way to fp32.
template <class Out>
struct Lanes;

template <>
struct Lanes<uint16_t> {
  static constexpr size_t kElements = kLanes16;
  VF a, b;
  static HWY_INLINE Lanes load(const uint16_t* source) {
    const V16 v = hn::LoadU(d16, source);
    return {even_f32(v), odd_f32(v)};
  }
  HWY_INLINE void store(uint16_t* out) const { hn::StoreU(results_to_bf16(a, b), d16, out); }
  static HWY_INLINE void store_one(float value, uint16_t* out) { *out = result_to_bf16(value); }
};

template <>
struct Lanes<float> {
  static constexpr size_t kElements = 2 * kLanes32;
  VF a, b;
  static HWY_INLINE Lanes load(const uint16_t* source) {
    return {load_f32(source), load_f32(source + kLanes32)};
  }
  HWY_INLINE void store(float* out) const {
    hn::StoreU(result_f32(a), df, out);
    hn::StoreU(result_f32(b), df, out + kLanes32);
  }
  static HWY_INLINE void store_one(float value, float* out) { *out = result_to_f32(value); }
};

// Sums kBlock * kElements elements from `at` on. The accumulators stay in registers over all inputs, so each
// input is read once and the output written once.
template <size_t kBlock, class Out, class Term>
HWY_INLINE void fold_block(const uint16_t* const* inputs, size_t n, Term term, size_t at, Out* out) {
  using L = Lanes<Out>;
  L sum[kBlock];
  for (size_t u = 0; u < kBlock; ++u) {
    const L y = L::load(inputs[0] + at + u * L::kElements);
    sum[u] = {term(0, y.a), term(0, y.b)};
  }
  for (size_t j = 1; j < n; ++j) {
    for (size_t u = 0; u < kBlock; ++u) {
      const L y = L::load(inputs[j] + at + u * L::kElements);
      sum[u].a = hn::Add(sum[u].a, term(j, y.a));
      sum[u].b = hn::Add(sum[u].b, term(j, y.b));
    }
  }
  for (size_t u = 0; u < kBlock; ++u) sum[u].store(out + at + u * L::kElements);
}

template <class Out, class Term>
HWY_INLINE void fold(const uint16_t* const* inputs, size_t n, Term term, size_t elements, Out* out) {
  using L = Lanes<Out>;
  constexpr size_t kBlock = 4;
  size_t at = 0;
  for (; at + kBlock * L::kElements <= elements; at += kBlock * L::kElements)
    fold_block<kBlock>(inputs, n, term, at, out);
  for (; at + L::kElements <= elements; at += L::kElements) fold_block<1>(inputs, n, term, at, out);
  for (; at < elements; ++at) {
    float sum = term(0, bf16_to_f32(inputs[0][at]));
    for (size_t j = 1; j < n; ++j) sum = sum + term(j, bf16_to_f32(inputs[j][at]));
    L::store_one(sum, out + at);
  }
}

// The usual counts get code of their own: with a constant n the loop over the inputs unrolls, and the
// pointers are kept in registers because the copy of them can't be what the stores write to.
template <size_t kInputs, class Out>
HWY_INLINE void sum_of(const uint16_t* const* inputs, size_t elements, Out* out) {
  const uint16_t* own[kInputs];
  for (size_t j = 0; j < kInputs; ++j) own[j] = inputs[j];
  fold(own, kInputs, Plain{}, elements, out);
}

template <class Out>
HWY_INLINE void sum(const uint16_t* const* inputs, size_t n, size_t elements, Out* out) {
  if (n == 2) return sum_of<2>(inputs, elements, out);
  if (n == 3) return sum_of<3>(inputs, elements, out);
  if (n == 4) return sum_of<4>(inputs, elements, out);
  fold(inputs, n, Plain{}, elements, out);
}

inline void sum_bf16(const uint16_t* const* inputs, size_t n, size_t elements, uint16_t* out) {
  sum(inputs, n, elements, out);
}

inline void sum_f32(const uint16_t* const* inputs, size_t n, size_t elements, float* out) {
  sum(inputs, n, elements, out);
}

inline void weighted_bf16(const uint16_t* const* rows, const float* weights, size_t k, size_t hidden,
                          uint16_t* out) {
  fold(rows, k, Weighted{weights}, hidden, out);
}

inline void weighted_f32(const uint16_t* const* rows, const float* weights, size_t k, size_t hidden,
                         float* out) {
  fold(rows, k, Weighted{weights}, hidden, out);
}

}  // namespace weft::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
