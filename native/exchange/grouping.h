// What a rank of a symmetric exchange was sent in a round, expert by expert.
//
// Every selected row has a place. Places of an expert follow each other: first those of source 0, in the
// order of its tokens (and of k, for a token that chose an expert twice), then those of source 1, and so on;
// the same on every transport. Experts lie in the order of their numbers, with free places between them as
// the configuration says. For combine 'weighted' places are the rows of the reply.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "exchange/routing.h"

namespace weft {

// One source's part of a round.
struct SourcePart {
  const Selections* selections;
  const uint32_t* token_of;  // [taken] the row's number at its source
};

class Grouping {
 public:
  Grouping(const ExchangeConfig& config, uint32_t rank);

  // parts[r]: what rank r sent, null when it is gone. `protocol`: `bad_source` sent an expert more rows than
  // there are places kept for it.
  Code make(std::span<const SourcePart* const> parts, uint32_t& bad_source);

  uint32_t experts() const { return static_cast<uint32_t>(expert.size()); }
  // Row i, in the order of the selections of a source, has this place.
  const uint32_t* place_of(uint32_t source) const { return place_of_.data() + source * per_source_; }
  // Appends the places of a source, ascending.
  uint32_t places_of(uint32_t source, uint32_t* places) const;

  std::vector<int32_t> expert;  // [experts] those of this rank, ascending
  std::vector<uint32_t> count;  // [experts] rows of each
  std::vector<uint32_t> begin;  // [experts] its first place
  // [experts, ranks] of each source
  std::vector<uint32_t> source_begin, source_count;
  uint32_t places = 0;  // up to the last that is used

  // [places], of those used:
  std::vector<uint32_t> source, token, row, k;  // row: in the source's column arrays

 private:
  ExchangeConfig config_;
  size_t per_source_;
  std::vector<uint32_t> index_of_;  // [config.experts] in `expert`
  std::vector<uint32_t> place_of_;  // [ranks, max_tokens * top_k]; at first which expert and source it is of
};

}  // namespace weft
