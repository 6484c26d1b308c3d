#include "bench/floor.h"

#include <sched.h>

#include <atomic>

#include "core/clock.h"
#include "core/cpu.h"

namespace weft::bench {

namespace {

struct alignas(kNoSharing) Flag {
  std::atomic<uint64_t> round;
  std::byte inline_rows[48];  // tiny payloads ride in the flag's own line, as an expert would have it
};

struct Memory {
  const Workload& work;
  std::byte* base;

  bool tiny() const {
    return work.payload_bytes() + work.scale_bytes() <= sizeof(Flag::inline_rows) && work.opaque;
  }
  size_t flags() const {
    return align_up((size_t{work.attention} + work.attention * work.ffn) * work.depth * sizeof(Flag), kPage);
  }
  size_t sent() const { return align_up(work.payload_bytes(), kPage) + align_up(work.scale_bytes(), kPage); }
  size_t replied() const { return align_up(work.reply_bytes(), kPage); }
  uint32_t slot(uint64_t round) const { return static_cast<uint32_t>(round % work.depth); }

  Flag& flag(size_t i) const { return reinterpret_cast<Flag*>(base)[i]; }
  Flag& dispatched(uint32_t a, uint64_t round) const { return flag(a * work.depth + slot(round)); }
  Flag& answered(uint32_t f, uint32_t a, uint64_t round) const {
    return flag(size_t{work.attention} * work.depth + (size_t{f} * work.attention + a) * work.depth +
                slot(round));
  }
  std::byte* payload(uint32_t a, uint64_t round) const {
    if (tiny()) return dispatched(a, round).inline_rows;
    return base + flags() + (size_t{a} * work.depth + slot(round)) * sent();
  }
  float* scales(uint32_t a, uint64_t round) const {
    return reinterpret_cast<float*>(payload(a, round) + align_up(work.payload_bytes(), kPage));
  }
  std::byte* reply(uint32_t f, uint32_t a, uint64_t round) const {
    if (tiny()) return answered(f, a, round).inline_rows;
    return base + flags() + size_t{work.attention} * work.depth * sent() +
           ((size_t{f} * work.attention + a) * work.depth + slot(round)) * replied();
  }
  size_t bytes() const {
    return flags() + size_t{work.attention} * work.depth * (sent() + size_t{work.ffn} * replied());
  }
};

void idle(bool yield) {
  if (yield)
    sched_yield();
  else
    cpu_pause();
}

}  // namespace

size_t floor_bytes(const Workload& work) { return Memory{work, nullptr}.bytes(); }

uint64_t floor_attention(const Workload& work, std::byte* base, uint32_t rank, uint64_t before,
                         std::span<double> samples, bool yield) {
  const Memory memory{work, base};
  std::vector<std::byte> result(work.reply_bytes()), scratch;
  std::vector<const std::byte*> replies(work.ffn);
  std::vector<int64_t> started(work.depth);
  uint64_t wrong = 0;
  const uint64_t last = before + samples.size();
  for (uint64_t send = before + 1, finish = before + 1; finish <= last;) {
    if (send <= last && send < finish + work.depth) {
      fill(work, seed_of(rank, send), memory.payload(rank, send), memory.scales(rank, send));
      started[memory.slot(send)] = now_ns();
      memory.dispatched(rank, send).round.store(send, std::memory_order_release);
      ++send;
      continue;
    }
    for (uint32_t f = 0; f < work.ffn; ++f) {
      while (memory.answered(f, rank, finish).round.load(std::memory_order_acquire) != finish) idle(yield);
      replies[f] = memory.reply(f, rank, finish);
    }
    reduce(work, replies.data(), result.data());
    samples[finish - before - 1] = static_cast<double>(now_ns() - started[memory.slot(finish)]);
    wrong +=
        count_wrong(work, memory.payload(rank, finish), memory.scales(rank, finish), result.data(), scratch);
    ++finish;
  }
  return wrong;
}

void floor_ffn(const Workload& work, std::byte* base, uint32_t rank, uint64_t before, uint64_t rounds,
               bool yield) {
  const Memory memory{work, base};
  std::vector<uint64_t> next(work.attention, before + 1);
  uint64_t left = rounds * work.attention;
  while (left > 0) {
    bool any = false;
    for (uint32_t a = 0; a < work.attention; ++a) {
      const uint64_t round = next[a];
      if (round > before + rounds ||
          memory.dispatched(a, round).round.load(std::memory_order_acquire) != round)
        continue;
      consume(work, memory.payload(a, round), memory.scales(a, round), 0, work.tokens,
              memory.reply(rank, a, round));
      memory.answered(rank, a, round).round.store(round, std::memory_order_release);
      ++next[a];
      --left;
      any = true;
    }
    if (!any) idle(yield);
  }
}

}  // namespace weft::bench
