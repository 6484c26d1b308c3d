// Where publications lie in the arenas of an exchange, and who reads which. An attention rank has one, of its
// rows; a ffn rank has one for each attention rank, of its replies. A symmetric one has its rows and, behind
// them, its replies to all. The user's heap comes behind the publications.
#pragma once

#include <vector>

#include "exchange/config.h"
#include "memory/arena.h"
#include "transport/link.h"

namespace weft {

class ArenaPlan {
 public:
  explicit ArenaPlan(const ExchangeConfig& config);

  const wire::PublicationLayout& dispatch() const { return dispatch_; }
  const wire::PublicationLayout& reply() const { return reply_; }

  // Offsets in the arena of who publishes.
  size_t dispatch_at() const;
  size_t reply_at(uint32_t attention) const;
  size_t heap_at(bool attention) const;
  // What is used in every round. Symmetric: not all that a rank could be sent, but somewhat more than its
  // share.
  std::vector<ArenaRange> hot(bool attention) const;
  // Of the replies to an attention rank: their publication's number on a link, and its among the
  // destinations.
  uint16_t reply_number(uint32_t attention) const;
  uint16_t reply_destination(uint32_t attention) const;

  // What an attention rank (or, otherwise, a ffn rank) reads of a rank of the other side, on the link to it.
  // Refers to this plan.
  std::vector<Inbound> inbound(bool attention, uint32_t rank) const;
  // Of those, the replies; rows come first.
  size_t replies() const { return symmetric_ ? 1 : 0; }

 private:
  bool symmetric_;
  uint32_t attention_;
  uint32_t expected_rows_;  // of a symmetric reply, when all experts are chosen alike
  wire::PublicationLayout dispatch_, reply_;
};

}  // namespace weft
