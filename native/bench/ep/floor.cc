#include "bench/ep/floor.h"

#include <sched.h>

#include <atomic>
#include <cstring>
#include <span>

#include "bench/ep/packed.h"
#include "core/cpu.h"
#include "kernels/reduce.h"

namespace weft::bench::ep {

namespace {

struct alignas(kNoSharing) Flag {
  std::atomic<uint64_t> round;
};

// One rank's share of the mapping, for one slot.
struct Slot {
  Flag* sent;
  Flag* answered;
  std::byte* rows;
  float* scales;
  int32_t* experts;
  uint32_t* places;   // [ranks, tokens * top_k] where the output for a choice is
  uint16_t* outputs;  // [most_rows, hidden]
};

struct Memory {
  const Work& work;
  std::byte* base;

  size_t rows() const { return align_up(work.tokens * work.row_bytes(), kPage); }
  size_t scales() const { return align_up(work.tokens * work.scale_bytes(), kPage); }
  size_t experts() const { return align_up(work.choices() * sizeof(int32_t), kPage); }
  size_t places() const { return align_up(work.ranks * work.choices() * sizeof(uint32_t), kPage); }
  size_t outputs() const { return align_up(work.most_rows() * work.output_bytes(), kPage); }
  size_t slot_bytes() const { return kPage + rows() + scales() + experts() + places() + outputs(); }

  Slot slot(uint32_t rank, uint64_t round) const {
    std::byte* at = base + (size_t{rank} * work.depth + round % work.depth) * slot_bytes();
    Slot slot{};
    slot.sent = reinterpret_cast<Flag*>(at);
    slot.answered = slot.sent + 1;
    slot.rows = at + kPage;
    slot.scales = reinterpret_cast<float*>(slot.rows + rows());
    slot.experts = reinterpret_cast<int32_t*>(slot.rows + rows() + scales());
    slot.places = reinterpret_cast<uint32_t*>(slot.rows + rows() + scales() + experts());
    slot.outputs = reinterpret_cast<uint16_t*>(slot.rows + rows() + scales() + experts() + places());
    return slot;
  }
};

class MemoryFloor : public Contender {
 public:
  MemoryFloor(const Work& work, std::byte* memory, uint32_t rank, bool yields, bool streams)
      : work_(work),
        memory_{work_, memory},
        rank_(rank),
        yields_(yields),
        streams_(streams),
        packed_(work, rank),
        result_(*Mapping::anonymous(work.tokens * work.output_bytes())) {}

  Code prepare(uint64_t round, const Tokens& tokens) override {
    round_ = round;
    const Slot slot = memory_.slot(rank_, round);
    std::memcpy(slot.rows, tokens.rows.data(), tokens.rows.size());
    if (work_.fp8) std::memcpy(slot.scales, tokens.scales.data(), tokens.scales.size() * sizeof(float));
    std::memcpy(slot.experts, tokens.experts.data(), tokens.experts.size() * sizeof(int32_t));
    weights_ = tokens.weights.data();
    return Code::ok;
  }

  Code dispatch() override {
    memory_.slot(rank_, round_).sent->round.store(round_, std::memory_order_release);
    for (uint32_t r = 0; r < work_.ranks; ++r) await(memory_.slot(r, round_).sent->round);
    packed_.sort([&](uint32_t r) { return std::span(memory_.slot(r, round_).experts, work_.choices()); },
                 [](uint32_t, uint32_t, uint32_t) {});
    const Slot mine = memory_.slot(rank_, round_);
    const size_t choices = work_.choices();
    for (uint32_t r = 0; r < work_.ranks; ++r) {
      const Slot from = memory_.slot(r, round_);
      const auto* scales = reinterpret_cast<const std::byte*>(from.scales);
      for (size_t i = 0; i < choices; ++i) {
        if (work_.rank_of(from.experts[i]) != rank_) continue;
        const size_t token = i / work_.top_k;
        mine.places[r * choices + i] = packed_.put(from.experts[i], r, from.rows + token * work_.row_bytes(),
                                                   scales + token * work_.scale_bytes(), streams_);
      }
    }
    if (streams_) kernels::streamed();
    return Code::ok;
  }

  const std::byte* row(size_t i) const override { return packed_.row(i); }
  const std::byte* scales(size_t i) const override { return packed_.scales(i); }
  size_t rows() const override { return packed_.rows(); }
  uint16_t* output(size_t i) override { return memory_.slot(rank_, round_).outputs + i * work_.hidden; }

  Code combine() override {
    const Slot mine = memory_.slot(rank_, round_);
    mine.answered->round.store(round_, std::memory_order_release);
    for (uint32_t r = 0; r < work_.ranks; ++r) await(memory_.slot(r, round_).answered->round);
    const uint16_t* inputs[64];
    auto* out = reinterpret_cast<uint16_t*>(result_->data());
    for (uint32_t t = 0; t < work_.tokens; ++t, out += work_.hidden) {
      for (uint32_t k = 0; k < work_.top_k; ++k) {
        const size_t i = size_t{t} * work_.top_k + k;
        const Slot from = memory_.slot(work_.rank_of(mine.experts[i]), round_);
        inputs[k] = from.outputs + size_t{from.places[rank_ * work_.choices() + i]} * work_.hidden;
      }
      kernels::weighted_row(inputs, weights_ + size_t{t} * work_.top_k, work_.top_k, work_.hidden, out);
    }
    return Code::ok;
  }
  const uint16_t* result() const override { return reinterpret_cast<const uint16_t*>(result_->data()); }

 private:
  void await(const std::atomic<uint64_t>& flag) const {
    while (flag.load(std::memory_order_acquire) != round_) {
      if (yields_)
        sched_yield();
      else
        cpu_pause();
    }
  }

  Work work_;
  Memory memory_;
  uint32_t rank_;
  bool yields_;
  bool streams_;
  Packed packed_;
  std::shared_ptr<Mapping> result_;
  uint64_t round_ = 0;
  const float* weights_ = nullptr;
};

}  // namespace

size_t floor_bytes(const Work& work) { return Memory{work, nullptr}.slot_bytes() * work.ranks * work.depth; }

std::unique_ptr<Contender> memory_floor(const Work& work, std::byte* memory, uint32_t rank, bool yields,
                                        bool streams) {
  return std::make_unique<MemoryFloor>(work, memory, rank, yields, streams);
}

}  // namespace weft::bench::ep
