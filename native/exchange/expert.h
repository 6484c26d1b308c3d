// The receiving side of a symmetric exchange: what a rank is sent for its experts in a round, and its reply
// to all ranks at once.
//
// A round's life here:  (collected from every rank that is there) -> grouped -> blocks complete -> replied
// Its rows, of all ranks, may be read until the reply is complete.
#pragma once

#include <memory>
#include <vector>

#include "exchange/blocks.h"
#include "exchange/ffn.h"
#include "exchange/grouping.h"

namespace weft {

class ExpertSide {
 public:
  // peers[r]: the link of rank r; of our own, that to ourselves.
  ExpertSide(Endpoint& endpoint, const ExchangeConfig& config, uint32_t rank, std::vector<size_t> peers);

  const ExchangeConfig& config() const { return config_; }
  Endpoint& endpoint() { return rounds_.endpoint(); }
  // The rows of a rank, where they are.
  const Subscriber& from(uint32_t rank) const { return rounds_.subscriber(rank); }
  // Rounds are collected by this, with Gather::all. Choices lead, so that a round can be grouped when all
  // ranks have begun it.
  FfnSide& rounds() { return rounds_; }

  // After a collect: groups what was collected. A rank that sent what there is no place for is left out, and
  // not listened to any more; the next collect tells. `state`: not all parts are of one round.
  Code group(uint64_t& generation);
  const Grouping& grouping(uint64_t generation) const { return *round(generation).grouping; }
  // Whether the round has been grouped and not replied to.
  bool holds(uint64_t generation) const { return round(generation).generation == generation; }
  bool sent_by(uint64_t generation, uint32_t source) const {
    return round(generation).parts[source] != nullptr;
  }

  // Looks at what has come of a round's rows: `ok` when all have, `again` while not, otherwise why `lost`
  // will send no more. Rows of ranks whose loss was told, or is to be skipped, count as come; what is replied
  // after that is not for them, who may only be slow. One thread at a time, as by BlockArrival.
  Code look(uint64_t generation, bool skip_lost, uint32_t& lost);
  void tell(uint64_t generation, uint32_t lost) { round(generation).told[lost] = true; }
  // Of the last look: rows of this rank are missing.
  bool waits_for(uint64_t generation, uint32_t source) const;
  const Blocks& blocks(uint64_t generation) const { return round(generation).blocks; }
  BlockArrival& arrival(uint64_t generation) { return *arrivals_[replies_.layout().slot_of(generation)]; }
  // Whether all rows have come that will; what follows wants them all, but for leading columns. As look(),
  // but for the thread that replies.
  bool complete(uint64_t generation);

  // Copies a column's rows to their places: `out` has a row of `stride` bytes for each. Places that no row
  // has are not written. `out` must not overlap the exchange's memory.
  void expand(uint64_t generation, uint32_t column, std::byte* out, size_t stride) const;
  // The same for one expert, whose first row goes to `out`.
  void expand_block(uint64_t generation, uint32_t expert, uint32_t column, std::byte* out,
                    size_t stride) const;
  // Copies the rows that were sent, each once: by source, then by token.
  void gather(uint64_t generation, uint32_t column, std::byte* out) const;
  // Rows that were sent, each counted once: those of a reply with combine 'sum'.
  uint32_t taken(uint64_t generation) const { return round(generation).taken; }

  const Publisher& replies() const { return replies_; }
  // Rows that the reply has: the places for combine 'weighted', otherwise the taken rows in order of source
  // and token.
  uint32_t reply_rows(uint64_t generation) const;
  // Combine 'sum': makes the reply's rows of the outputs of experts ([places, hidden] bf16): for each taken
  // row the sum of its selections' outputs with their weights, in k order, in fp32, rounded once.
  void reduce(uint64_t generation, const uint16_t* outputs);
  // Reply rows below `final_rows` are final; all of them end the round here. `again`: it releases the rows,
  // of which some have not come.
  Code reply(uint64_t generation, uint32_t final_rows);

 private:
  struct Round {
    Round(const ExchangeConfig& config, uint32_t rank);
    uint64_t generation = 0;  // while it is held
    uint32_t taken = 0;
    uint32_t published = 0;
    std::unique_ptr<Grouping> grouping;
    Blocks blocks;
    std::vector<SourcePart> sent;          // [ranks]
    std::vector<const SourcePart*> parts;  // [ranks]
    std::vector<bool> told;                // [ranks] its loss, while rows of it were missing
    // [ranks] Its rows count as come without having come: not yet for the reply, or already. Set by whoever
    // looks, read by who replies.
    enum class Short : uint8_t { no, found, withheld };
    std::unique_ptr<std::atomic<Short>[]> short_of;
  };
  Round& round(uint64_t generation) { return rounds_held_[replies_.layout().slot_of(generation)]; }
  const Round& round(uint64_t generation) const {
    return rounds_held_[replies_.layout().slot_of(generation)];
  }
  void begin(Round& round);
  // Rows at a source below which all lie that are for our experts.
  uint32_t needed(uint32_t source, uint64_t generation) const;

  ExchangeConfig config_;
  DispatchColumns columns_;
  FfnSide rounds_;
  Publisher replies_;
  std::vector<Round> rounds_held_;                       // [depth]
  std::vector<std::unique_ptr<BlockArrival>> arrivals_;  // [depth]
  std::vector<const uint16_t*> inputs_;
  std::vector<float> weights_;
};

}  // namespace weft
