// Which experts of a grouped round have all their rows here: each expert's places are a block, and a block is
// complete when the rows of every source have come that far.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "exchange/grouping.h"
#include "exchange/subscriber.h"
#include "transport/operation.h"

namespace weft {

class ExpertSide;

class Blocks {
 public:
  Blocks(uint32_t experts, uint32_t ranks) : come_(ranks), order_(experts), complete_(experts) {}

  // Of a new round, of which nothing has been looked at.
  void start();
  // Rows of a source below that number have come. Once more for what has not changed costs nothing.
  void come(uint32_t source, uint32_t final_rows);
  bool has_come(uint32_t source, uint32_t rows) const { return come_[source] >= rows; }
  // Finds what is complete by now.
  void find(const Grouping& grouping);

  // Experts that were sent rows and have them all, by number in the grouping, as they became complete.
  std::span<const uint32_t> ready() const { return std::span(order_).first(count_); }
  const std::vector<uint32_t>& order() const { return order_; }

 private:
  bool complete(const Grouping& grouping, uint32_t expert) const;

  std::vector<uint32_t> come_;   // [ranks]
  std::vector<uint32_t> order_;  // [experts]
  std::vector<bool> complete_;   // [experts]
  uint32_t count_ = 0;
  bool news_ = false;
};

// Waits until more blocks of a round are complete than the caller has seen.
class BlockArrival : public Operation {
 public:
  BlockArrival(ExpertSide& side, uint32_t slot) : side_(side), slot_(slot) {}
  // `skip_lost`: ranks that are lost are not told of. Their rows count as come: nobody reads what is made of
  // them.
  void aim(uint64_t generation, uint32_t seen, bool skip_lost);
  Code step() override;
  uint32_t slot() const { return slot_; }

 private:
  ExpertSide& side_;
  uint32_t slot_;
  uint64_t generation_ = 0;
  uint32_t seen_ = 0;
  bool skip_lost_ = false;
};

}  // namespace weft
