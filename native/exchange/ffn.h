// The ffn side of an exchange: collect rounds from attention ranks, write outputs in place, reply.
#pragma once

#include <atomic>
#include <memory>
#include <numeric>
#include <vector>

#include "exchange/config.h"
#include "exchange/publisher.h"
#include "exchange/routing.h"
#include "exchange/subscriber.h"
#include "exchange/waits.h"

namespace weft {

// One attention rank's round at this rank, from collect to the end of the reply.
struct Part {
  // Rows taken are all rows, one behind the other, unless the mode is 'routed': then open() writes them.
  explicit Part(const ExchangeConfig& config)
      : token_of(config.max_tokens), row_of(config.max_tokens), selections(config) {
    std::iota(token_of.begin(), token_of.end(), 0);
    std::iota(row_of.begin(), row_of.end(), 0);
  }

  // Collected and not yet replied to. The replying thread closes it (release), the collecting one looks
  // (acquire).
  std::atomic<bool> open{false};
  RoundView view;
  std::vector<uint32_t> token_of;  // [taken] row at the source
  std::vector<uint32_t> row_of;    // [taken] row in the column arrays here
  Selections selections;
  bool selected = false;    // selections are made
  uint32_t reply_rows = 0;  // rows the reply has, but for combine 'none'
  uint32_t published = 0;   // reply rows final so far
  bool begun = false;
};

class Arrival;

// What a ffn rank keeps of one attention rank.
struct Source {
  Part& part(uint64_t generation) const { return *parts[rounds.layout().slot_of(generation)]; }

  Subscriber rounds;
  std::unique_ptr<Publisher> replies;              // none when the exchange is symmetric
  std::vector<std::unique_ptr<Part>> parts;        // [depth]
  std::vector<std::unique_ptr<Arrival>> arrivals;  // [depth]
  uint64_t next = 1;                               // generation to collect
  bool told = false;                               // its loss was reported
  Code failure = Code::ok;  // its last round could not be taken, which the next collect tells
  bool ready = false;       // `seen` is its next round, complete enough to open
  RoundView seen;
};

enum class Gather : uint8_t { any = 0, all, at_least };

class FfnSide;
class Arrival;

// Waits until enough attention ranks have a round ready, then opens a part for each that has.
class Collect : public Operation {
 public:
  Collect(FfnSide& side, size_t ranks) : side_(side), waits_(ranks) {}
  // at_least: `count` ranks, or whatever is there (but at least one) `within_ns` after the first was there.
  // streamed: a round counts as ready when it is begun, not when all its rows are final.
  void aim(Gather gather, uint32_t count, int64_t within_ns, bool streamed, bool skip_lost);
  Code step() override;
  int64_t wake_ns() const override;
  // Attention ranks whose parts were opened, ascending from a rotating start, so that none is always first.
  const std::vector<uint32_t>& ranks() const { return ranks_; }
  // Once it has ended without: is this one of those who had nothing ready?
  bool waits_for(uint32_t attention) const;
  const Waits& waits() const { return waits_; }

 private:
  Code look(Source& source) const;
  bool enough(uint32_t ready, uint32_t alive);
  Code open_ready();

  FfnSide& side_;
  Gather gather_ = Gather::any;
  uint32_t count_ = 1;
  int64_t within_ns_ = 0;
  int64_t first_seen_ns_ = 0;
  bool streamed_ = false;
  bool skip_lost_ = false;
  std::vector<uint32_t> ranks_;
  Waits waits_;
};

// Waits until a streamed round has enough rows.
class Arrival : public Operation {
 public:
  Arrival(FfnSide& side, uint32_t attention, uint32_t slot)
      : side_(side), attention_(attention), slot_(slot) {}
  // `rows`: taken rows that must be final.
  void aim(uint64_t generation, uint32_t rows);
  Code step() override;
  uint32_t attention() const { return attention_; }
  uint32_t slot() const { return slot_; }

 private:
  FfnSide& side_;
  uint32_t attention_, slot_;
  uint64_t generation_ = 0;
  uint32_t rows_ = 0;
};

class FfnSide {
 public:
  // attention_peers[r]: the link of attention rank r. `rank` is our own, among the ffn ranks.
  FfnSide(Endpoint& endpoint, const ExchangeConfig& config, uint32_t rank,
          std::vector<size_t> attention_peers);

  const ExchangeConfig& config() const { return config_; }
  Endpoint& endpoint() { return endpoint_; }
  Collect& collect() { return collect_; }

  Part& part(uint32_t attention, uint64_t generation) { return sources_[attention].part(generation); }
  const Part& part(uint32_t attention, uint64_t generation) const {
    return sources_[attention].part(generation);
  }
  // The generation that was collected last from an attention rank.
  uint64_t collected(uint32_t attention) const { return sources_[attention].next - 1; }
  // A part of that round is held here.
  bool holds(uint32_t attention, uint64_t generation) {
    const Part& part = this->part(attention, generation);
    return part.open.load(std::memory_order_relaxed) && part.view.generation == generation;
  }
  const Subscriber& subscriber(uint32_t attention) const { return sources_[attention].rounds; }
  const Publisher& publisher(uint32_t attention) const { return *sources_[attention].replies; }

  // Taken rows that are final by now; grows to part.view.taken.
  uint32_t available(uint32_t attention, uint64_t generation);
  Arrival& arrival(uint32_t attention, uint64_t generation) {
    return *sources_[attention].arrivals[sources_[attention].rounds.layout().slot_of(generation)];
  }
  // Makes part.selections; `again` while rows are missing, unless choices lead.
  Code select(uint32_t attention, uint64_t generation);
  // What a rank has sent turned out to be nonsense: it is not listened to any more, its part is ended, and
  // the next collect tells.
  void refuse(uint32_t attention, uint64_t generation);
  // Ends a part: its slot and its views are the attention rank's again. Before the reply that says so is
  // visible, as the attention rank may publish into the slot at once.
  void close(uint32_t attention, uint64_t generation);
  // Reply rows below `final_rows` are final. `rows` is the reply's size. All rows final ends the part. Not
  // for symmetric exchanges, which reply to all at once (expert.h).
  Code reply(uint32_t attention, uint64_t generation, uint32_t rows, uint32_t final_rows);

 private:
  friend class Collect;
  friend class Arrival;
  Code open(Source& source, uint32_t attention);

  Endpoint& endpoint_;
  ExchangeConfig config_;
  DispatchColumns columns_;
  uint32_t rank_;
  std::vector<Source> sources_;
  uint32_t start_ = 0;  // the rotating start
  Collect collect_;
};

}  // namespace weft
