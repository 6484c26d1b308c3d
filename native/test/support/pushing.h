// A mesh for page push: every member has a heap, whose bytes tell where they are and whose they are.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "pages/lease.h"
#include "pages/push.h"
#include "support/configs.h"
#include "support/random.h"
#include "support/test_mesh.h"

namespace weft::test {

constexpr size_t kHeap = size_t{4} << 20;

inline MeshPlan push_plan(const std::string& transport, Shape shape = {1, 1}) {
  MeshPlan plan(transport, config_of(kKinds[0], shape, 64, 8, 2), {});
  plan.wait = with_pollers({}, plan.config);
  plan.heap_bytes = kHeap;
  return plan;
}

inline std::span<std::byte> heap_of(const MeshPlan& plan, Rank& rank, uint32_t member) {
  return {rank.endpoint->arena().data() + plan.heap_at(member), plan.heap_bytes};
}

// What the byte at a place of a heap is, when `who` filled it.
constexpr std::byte pattern(uint64_t who, size_t at) {
  return static_cast<std::byte>(mix(who, at / 8) >> (8 * (at % 8)));
}
inline void fill(std::span<std::byte> heap, uint64_t who) {
  for (size_t i = 0; i < heap.size(); ++i) heap[i] = pattern(who, i);
}

// Queues a write, helping the endpoint along while the queue is full.
inline Code push_all(Push& push, uint16_t counter, uint64_t at, std::span<const std::byte> from,
                     int64_t deadline = deadline_after_ms(20'000)) {
  for (;;) {
    const Code code = push.write(counter, at, from);
    if (code != Code::again) return code;
    Done done(push);
    done.rearm(std::min(deadline, deadline_after_ms(1)));
    (void)push.endpoint().wait(done);
    if (now_ns() >= deadline) return Code::deadline;
  }
}
inline Code finish(const Push& push, double within_ms = 20'000) {
  Done done(push);
  done.rearm(deadline_after_ms(within_ms));
  return push.endpoint().wait(done);
}
inline Code arrive(const Lease& lease, uint16_t counter, uint64_t bytes, double within_ms = 20'000) {
  Filled filled(lease, counter, bytes);
  filled.rearm(deadline_after_ms(within_ms));
  return lease.endpoint().wait(filled);
}

}  // namespace weft::test
