#include "bench/rounds.h"

#include "bench/serve.h"

namespace weft::bench {

Code exchange_attention(const Workload& work, AttentionSide& side, uint32_t rank, std::byte* out,
                        std::span<double> samples, uint64_t& wrong) {
  Endpoint& endpoint = side.endpoint();
  std::vector<std::byte> scratch, copy(work.opaque ? work.reply_bytes() : 0);
  std::vector<int64_t> started(work.depth);
  std::vector<uint64_t> generations(work.depth);
  const auto payload = [&](uint64_t g) { return side.publisher().column(g, 0); };
  const auto scales = [&](uint64_t g) {
    return work.fp8 ? reinterpret_cast<float*>(side.publisher().column(g, 1)) : nullptr;
  };
  for (size_t send = 0, finish = 0; finish < samples.size();) {
    if (send < samples.size() && send < finish + work.depth) {
      uint64_t& g = generations[send % work.depth];
      if (const Code code = side.claim(g); code != Code::ok) return code;
      fill(work, seed_of(rank, g), payload(g), scales(g));
      started[send % work.depth] = now_ns();
      if (const Code code = side.publish(g, work.tokens, work.tokens, 0, 0); code != Code::ok) return code;
      ++send;
      continue;
    }
    const uint64_t g = generations[finish % work.depth];
    Combine& combine = side.combine(g);
    combine.aim(out, false);
    combine.rearm(deadline_after_ms(kDeadlineMs));
    const Code code = endpoint.wait(combine);
    if (code == Code::ok && work.opaque) {
      const std::byte* reply = side.reply_column(0, g);
      reduce(work, &reply, copy.data());
    }
    samples[finish] = static_cast<double>(now_ns() - started[finish % work.depth]);
    side.finish(g, code);
    if (code != Code::ok) return code;
    wrong += count_wrong(work, payload(g), scales(g), work.opaque ? copy.data() : out, scratch);
    ++finish;
  }
  return Code::ok;
}

Code exchange_ffn(const Workload& work, FfnSide& side, uint64_t rounds) {
  return serve(work, side, rounds, kDeadlineMs, [&](uint32_t a, uint64_t g) {
    const std::byte* payload = side.subscriber(a).column(g, 0);
    const auto* scales = work.fp8 ? reinterpret_cast<const float*>(side.subscriber(a).column(g, 1)) : nullptr;
    std::byte* output = side.publisher(a).column(g, 0);
    for (uint32_t block = 0; block < work.blocks; ++block) {
      const auto from = static_cast<uint32_t>(uint64_t{work.tokens} * block / work.blocks);
      const auto to = static_cast<uint32_t>(uint64_t{work.tokens} * (block + 1) / work.blocks);
      consume(work, payload, scales, from, to, output);
      if (const Code code = side.reply(a, g, work.tokens, to); code != Code::ok) return code;
    }
    return Code::ok;
  });
}

}  // namespace weft::bench
