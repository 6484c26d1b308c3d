// The work of a benchmark round, the same for every contender: what is sent, what a consumer does with it,
// and what must come out. docs/performance.md, "Method".
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weft::bench {

constexpr double kDeadlineMs = 20'000;  // a round that takes longer has hung

struct Workload {
  uint32_t attention = 1, ffn = 1;
  uint32_t tokens = 0;
  uint32_t hidden = 0;
  bool fp8 = false;     // dispatch FP8 with scales, otherwise bf16
  bool opaque = false;  // ping-pong of bytes: the reply is the request, nothing is reduced
  uint32_t depth = 1;   // rounds in flight
  uint32_t blocks = 1;  // the ffn side replies in this many blocks

  uint32_t groups() const { return (hidden + 127) / 128; }
  size_t payload_bytes() const { return size_t{tokens} * hidden * (fp8 || opaque ? 1 : 2); }
  size_t scale_bytes() const { return fp8 ? size_t{tokens} * groups() * sizeof(float) : 0; }
  size_t reply_bytes() const { return size_t{tokens} * hidden * (opaque ? 1 : 2); }
};

// Fills a payload; it differs with every seed and at every position.
void fill(const Workload& work, uint64_t seed, std::byte* payload, float* scales);

// What a ffn rank does with rows [from, to): touches every byte and writes every byte of the output.
void consume(const Workload& work, const std::byte* payload, const float* scales, uint32_t from, uint32_t to,
             std::byte* output);

// What an attention rank does with the replies of all ffn ranks. Opaque replies are read to the last byte.
void reduce(const Workload& work, const std::byte* const* replies, std::byte* result);

// Bytes of the result that are not what they should be. `scratch` holds 2 * reply_bytes.
uint64_t count_wrong(const Workload& work, const std::byte* payload, const float* scales,
                     const std::byte* result, std::vector<std::byte>& scratch);

// The seed of a round, different for all.
constexpr uint64_t seed_of(uint32_t attention, uint64_t round) { return round * 1'000'003 + attention + 1; }

}  // namespace weft::bench
