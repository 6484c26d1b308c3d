#include "bench/workload.h"

#include <algorithm>
#include <cstring>

#include "kernels/quantise.h"
#include "kernels/reduce.h"

namespace weft::bench {

void fill(const Workload& work, uint64_t seed, std::byte* payload, float* scales) {
  // FP8 codes without NaN, bf16 values from 1 to 2, or any bytes.
  const uint64_t keep = work.opaque ? ~uint64_t{0} : work.fp8 ? 0x7777777777777777 : 0x007F007F007F007F;
  const uint64_t set = work.opaque || work.fp8 ? 0 : 0x3F803F803F803F80;
  const size_t bytes = work.payload_bytes();
  const auto word_at = [&](size_t i) {
    const uint64_t mixed = (seed + i) * 0x9E3779B97F4A7C15;
    return ((mixed ^ (mixed >> 29)) & keep) | set;
  };
  for (size_t i = 0; i < bytes / 8; ++i) {
    const uint64_t word = word_at(i);
    std::memcpy(payload + i * 8, &word, 8);
  }
  if (const size_t rest = bytes % 8; rest > 0) {
    const uint64_t word = word_at(bytes / 8);
    std::memcpy(payload + bytes - rest, &word, rest);
  }
  for (size_t i = 0; i < work.scale_bytes() / sizeof(float); ++i)
    scales[i] = 0.5f + static_cast<float>((seed + i) % 16) / 16.0f;
}

void consume(const Workload& work, const std::byte* payload, const float* scales, uint32_t from, uint32_t to,
             std::byte* output) {
  const size_t at = size_t{from} * work.hidden, elements = size_t{to - from} * work.hidden;
  if (work.opaque) {
    std::memcpy(output + at, payload + at, elements);
  } else if (work.fp8) {
    kernels::dequantise_rows(reinterpret_cast<const uint8_t*>(payload) + at,
                             scales + size_t{from} * work.groups(), to - from, work.hidden,
                             reinterpret_cast<uint16_t*>(output) + at);
  } else {
    std::memcpy(output + at * 2, payload + at * 2, elements * 2);
  }
}

void reduce(const Workload& work, const std::byte* const* replies, std::byte* result) {
  if (work.opaque) {
    std::memcpy(result, replies[0], work.reply_bytes());
    return;
  }
  const uint16_t* inputs[256];
  for (uint32_t f = 0; f < work.ffn; ++f) inputs[f] = reinterpret_cast<const uint16_t*>(replies[f]);
  kernels::sum_rows(inputs, work.ffn, size_t{work.tokens} * work.hidden, reinterpret_cast<uint16_t*>(result));
}

uint64_t count_wrong(const Workload& work, const std::byte* payload, const float* scales,
                     const std::byte* result, std::vector<std::byte>& scratch) {
  scratch.resize(2 * work.reply_bytes());
  std::byte* one = scratch.data();
  std::byte* want = one + work.reply_bytes();
  consume(work, payload, scales, 0, work.tokens, one);
  const std::vector<const std::byte*> replies(work.ffn, one);
  reduce(work, replies.data(), want);
  if (std::memcmp(want, result, work.reply_bytes()) == 0) return 0;
  uint64_t wrong = 0;
  for (size_t i = 0; i < work.reply_bytes(); ++i) wrong += want[i] != result[i];
  return wrong;
}

}  // namespace weft::bench
