// The attention side of an exchange: claim a slot, publish rows, combine what comes back.
//
// A slot's life:  free -> claimed -> begun -> (combined) -> free
//                                         \-> failed or abandoned -> (quiesced) -> free
// Quiesced: all rows are out, and every rank that may still read them has replied or is gone.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "exchange/config.h"
#include "exchange/publisher.h"
#include "exchange/routing.h"
#include "exchange/subscriber.h"
#include "exchange/waits.h"

namespace weft {

enum class SlotPhase : uint8_t { free, claimed, begun, failed, abandoned };

class AttentionSide;

// What combining does about a rank that is gone before it replied.
enum class OnLoss : uint8_t {
  error = 0,
  skip,         // its contributions are zero
  renormalise,  // and the weights of the others are scaled, so that a token's sum to what they did
};

// Waits for one round's replies and reduces them into the output, row by row as they become final.
class Combine : public Operation {
 public:
  Combine(AttentionSide& side, uint32_t slot);

  Code step() override;
  bool moved() override { return std::exchange(moved_, false); }

  // Where the result goes: [rows, hidden] of bf16 or fp32; unused for combine 'none'.
  void aim(void* out, bool out_is_f32, OnLoss on_loss = OnLoss::error);
  uint64_t generation() const;
  uint32_t done_rows() const { return done_; }
  bool complete(uint32_t rank) const { return replies_[rank].complete(); }
  uint32_t reply_rows(uint32_t rank) const { return missing_[rank] ? 0 : replies_[rank].rows; }
  // The rank was gone before its reply was complete, and the result is without it.
  bool missing(uint32_t rank) const { return missing_[rank]; }
  // Of the last round of the slot that was waited for.
  const Waits& waits() const { return waits_; }
  uint64_t waited_for() const { return waited_for_; }

 private:
  struct Reply {
    bool seen = false;
    uint32_t rows = 0;
    uint32_t final_rows = 0;
    const std::byte* data = nullptr;
    // Symmetric: where our rows are among those of its reply, and in `data`.
    std::vector<uint32_t> place;
    bool packed = false;
    bool complete() const { return seen && final_rows == rows; }
  };

  Code look(uint32_t rank);
  Code give_up(uint32_t rank, Code why);
  Code refuse(uint32_t rank);
  Code still_there();
  void reduce_blocks(uint32_t until);
  void reduce_token(uint32_t token);
  bool term_ready(const Term& term) const;
  bool token_ready(uint32_t token) const;
  const uint16_t* row_of(const Term& term) const;
  float scale_of(uint32_t token) const;
  void write_sum(const uint16_t* const* inputs, size_t n, size_t elements, size_t at);

  AttentionSide& side_;
  uint32_t slot_;
  void* out_ = nullptr;
  bool out_is_f32_ = false;
  OnLoss on_loss_ = OnLoss::error;
  bool any_missing_ = false;
  bool moved_ = false;
  uint32_t done_ = 0;  // tokens reduced so far
  std::vector<Reply> replies_;
  std::vector<bool> missing_;
  Waits waits_;
  uint64_t waited_for_ = 0;
  std::vector<const uint16_t*> inputs_;
  std::vector<float> weights_;
};

class AttentionSide {
 public:
  // ffn_peers[r]: the link of ffn rank r. `rank` is our own, among the attention ranks.
  AttentionSide(Endpoint& endpoint, const ExchangeConfig& config, uint32_t rank,
                std::vector<size_t> ffn_peers);

  const ExchangeConfig& config() const { return config_; }
  const Publisher& publisher() const { return publisher_; }
  Endpoint& endpoint() { return endpoint_; }

  // The next generation, whose slot is ours to fill until publish(). `slot_busy`: depth rounds are in flight;
  // combine (or abandon) the oldest first.
  Code claim(uint64_t& generation);
  // Makes a claimed slot free again; nothing was published.
  Code unclaim(uint64_t generation);
  // Publishes the claimed slot: rows below `final_rows` are final. Called again with more rows for a streamed
  // round; `state` when it has other rows, or fewer final ones, than before. `reroute`: choices whose replica
  // is on a rank that is gone go to another, where there is one.
  Code publish(uint64_t generation, uint32_t rows, uint32_t final_rows, uint32_t tag, uint16_t meta_bytes,
               bool reroute = false);
  uint32_t bad_token(uint64_t generation) const { return plan(generation).bad_token; }

  // Lets a round that has failed be combined once more, say without the rank that was lost. False: it is
  // gone.
  bool reopen(uint64_t generation);
  // Combine 'weighted', before a combine and not while one is under way: the round is combined with these
  // weights, [rows, top_k], instead of those that it was published with. `count`: their number.
  Code reweigh(uint64_t generation, const float* weights, size_t count);
  // Before a combine and not while one is under way: these rows, [rows, hidden] of bf16, `second` may be
  // null, are added up in front of the replies. They are read until the combine has ended.
  Code bias(uint64_t generation, const uint16_t* first, const uint16_t* second);
  // The operation to wait for; its step() ends with ok when the result is complete. Then call finish().
  Combine& combine(uint64_t generation) { return *rounds_[layout().slot_of(generation)].combine; }
  // The reply of a rank, in place; its rows are final when the combine says so.
  const std::byte* reply_column(uint32_t rank, uint64_t generation) const {
    return replies_[rank].column(generation, 0);
  }
  // After the combine ended: the slot is free (ok), or failed until it is quiesced.
  void finish(uint64_t generation, Code outcome);
  // The round's results are not wanted (any more); its slot comes back by itself when it is quiesced. Ffn
  // ranks collect rounds in order, so what they wait for is completed: rows that were not published yet have
  // any content, and a slot that others were claimed after is published without rows.
  Code abandon(uint64_t generation);

  bool holds(uint64_t generation) const;
  uint32_t rows(uint64_t generation) const { return rounds_[layout().slot_of(generation)].rows; }
  SlotPhase phase(uint64_t generation) const { return rounds_[layout().slot_of(generation)].phase; }
  const CombinePlan& plan(uint64_t generation) const { return rounds_[layout().slot_of(generation)].plan; }

 private:
  friend class Combine;
  struct Round {
    explicit Round(const ExchangeConfig& config) : plan(config) {}
    SlotPhase phase = SlotPhase::free;
    uint64_t generation = 0;
    uint32_t rows = 0;
    uint32_t published = 0;  // rows final so far
    bool terms = false;      // results are put together by plan.terms, not rank by rank
    const uint16_t* bias[2] = {};
    CombinePlan plan;
    std::unique_ptr<Combine> combine;
  };

  const wire::PublicationLayout& layout() const { return publisher_.layout(); }
  bool goes_out(const Round& round) const;
  bool quiesced(const Round& round) const;
  Code plan(Round& round, uint32_t rows, bool reroute);

  Endpoint& endpoint_;
  ExchangeConfig config_;
  uint32_t rank_;
  DispatchColumns columns_;
  Publisher publisher_;
  std::vector<Subscriber> replies_;  // [ffn]
  std::vector<Round> rounds_;        // [depth]
  std::vector<uint32_t*> lists_;     // [ffn], scratch
  std::vector<bool> gone_;           // [ffn], scratch
  uint64_t last_ = 0;
};

}  // namespace weft
