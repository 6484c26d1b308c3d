#include "bench/stream.h"

#include <cstring>

#include "bench/serve.h"

namespace weft::bench {

namespace {

constexpr double kStreamDeadlineMs = 60'000;

// f(at, stamp) for each page of a round.
template <class F>
void for_each_stamp(const Workload& work, uint32_t rank, uint64_t generation, F&& f) {
  const size_t bytes = work.payload_bytes();
  for (size_t at = 0; at + sizeof(uint64_t) <= bytes; at += kPage)
    f(at, (seed_of(rank, generation) + at) * 0x9E3779B97F4A7C15);
}

Code finish(AttentionSide& side, uint64_t generation) {
  Combine& combine = side.combine(generation);
  combine.aim(nullptr, false);
  combine.rearm(deadline_after_ms(kStreamDeadlineMs));
  const Code code = side.endpoint().wait(combine);
  side.finish(generation, code);
  return code;
}

}  // namespace

Code stream_attention(const Workload& work, AttentionSide& side, uint32_t rank, std::span<double> samples) {
  std::vector<uint64_t> generations(work.depth);
  int64_t last = now_ns();
  for (size_t send = 0, done = 0; done < samples.size();) {
    if (send < samples.size() && send < done + work.depth) {
      uint64_t& g = generations[send++ % work.depth];
      if (const Code code = side.claim(g); code != Code::ok) return code;
      std::byte* payload = side.publisher().column(g, 0);
      for_each_stamp(work, rank, g,
                     [&](size_t at, uint64_t stamp) { std::memcpy(payload + at, &stamp, sizeof stamp); });
      if (const Code code = side.publish(g, work.tokens, work.tokens, 0, 0); code != Code::ok) return code;
      continue;
    }
    if (const Code code = finish(side, generations[done % work.depth]); code != Code::ok) return code;
    const int64_t now = now_ns();
    samples[done++] = static_cast<double>(now - last);
    last = now;
  }
  return Code::ok;
}

Code stream_ffn(const Workload& work, FfnSide& side, uint64_t rounds, uint64_t& wrong) {
  return serve(work, side, rounds, kStreamDeadlineMs, [&](uint32_t a, uint64_t g) {
    const std::byte* payload = side.subscriber(a).column(g, 0);
    for_each_stamp(work, a, g, [&](size_t at, uint64_t stamp) {
      wrong += std::memcmp(payload + at, &stamp, sizeof stamp) != 0;
    });
    return side.reply(a, g, 0, 0);
  });
}

}  // namespace weft::bench
