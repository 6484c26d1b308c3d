#include "bench/ep/contender.h"

#include <sched.h>

#include <atomic>
#include <cstring>

#include "core/clock.h"
#include "core/cpu.h"

namespace weft::bench::ep {

namespace {
constexpr int64_t kPatienceNs = 20'000'000'000;

void count_away(const Work& work, uint32_t rank, const Tokens& tokens, Outcome& outcome) {
  for (uint32_t t = 0; t < work.tokens; ++t) {
    uint64_t told = uint64_t{1} << rank;
    for (uint32_t k = 0; k < work.top_k; ++k) {
      const uint32_t r = work.rank_of(tokens.experts[size_t{t} * work.top_k + k]);
      outcome.choices_away += r != rank;
      outcome.rows_away += (told >> r & 1) == 0;
      told |= uint64_t{1} << r;
    }
  }
}

}  // namespace

bool Barrier::wait() {
  // [0] those who have come, [1] turns that are over: each in its own pair of lines.
  auto& come = *reinterpret_cast<std::atomic<uint64_t>*>(memory_);
  auto& over = *reinterpret_cast<std::atomic<uint64_t>*>(memory_ + kNoSharing);
  const uint64_t ticket = come.fetch_add(1, std::memory_order_acq_rel);
  const uint64_t turn = ticket / ranks_ + 1;
  if (ticket % ranks_ == ranks_ - 1) {
    over.store(turn, std::memory_order_release);
    return true;
  }
  const int64_t until = now_ns() + kPatienceNs;
  for (uint32_t turns = 0; over.load(std::memory_order_acquire) < turn; ++turns) {
    if (turns % 1024 == 1023 && now_ns() > until) return false;
    if (yields_)
      sched_yield();
    else
      cpu_pause();
  }
  return true;
}

Outcome run(const Work& work, uint32_t rank, uint64_t base, Barrier& barrier, Contender& contender,
            std::span<double> dispatch_ns, std::span<double> combine_ns) {
  Outcome outcome;
  Rounds rounds(work);
  std::vector<Tokens> all(work.ranks, Tokens(work));
  std::vector<Place> places;
  for (size_t i = 0; i < dispatch_ns.size(); ++i) {
    const uint64_t round = base + i + 1;
    for (uint32_t r = 0; r < work.ranks; ++r) rounds.make(r, round, all[r]);
    due(work, all, rank, places);
    count_away(work, rank, all[rank], outcome);
    if ((outcome.code = contender.prepare(round, all[rank])) != Code::ok) return outcome;

    if (!barrier.wait()) return outcome.code = Code::deadline, outcome;
    int64_t start = now_ns();
    outcome.code = contender.dispatch();
    dispatch_ns[i] = static_cast<double>(now_ns() - start);
    if (outcome.code != Code::ok) return outcome;

    if (contender.rows() != places.size()) outcome.wrong += work.row_bytes();
    const size_t n = std::min(places.size(), contender.rows());
    for (size_t p = 0; p < n; ++p) {
      const Place& place = places[p];
      const Tokens& from = all[place.source];
      const std::byte* row = from.rows.data() + place.token * work.row_bytes();
      if (std::memcmp(contender.row(p), row, work.row_bytes()) != 0) outcome.wrong += work.row_bytes();
      const auto* scales =
          reinterpret_cast<const std::byte*>(from.scales.data()) + place.token * work.scale_bytes();
      if (work.fp8 && std::memcmp(contender.scales(p), scales, work.scale_bytes()) != 0)
        outcome.wrong += work.scale_bytes();
      rounds.answer(from, place.token, place.expert, contender.output(p));
    }

    if (!barrier.wait()) return outcome.code = Code::deadline, outcome;
    start = now_ns();
    outcome.code = contender.combine();
    combine_ns[i] = static_cast<double>(now_ns() - start);
    if (outcome.code != Code::ok) return outcome;
    outcome.wrong += rounds.count_wrong(all[rank], contender.result());
  }
  return outcome;
}

}  // namespace weft::bench::ep
