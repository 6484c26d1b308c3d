// The writing half of a row exchange: publish rows once, describe who takes which.
#pragma once

#include <vector>

#include "transport/endpoint.h"
#include "wire/publication.h"

namespace weft {

class Publisher {
 public:
  // `destinations[d]` is the link (by number) of destination d.
  Publisher(Endpoint& endpoint, wire::PublicationLayout layout, uint16_t number, size_t offset,
            std::vector<size_t> destinations);

  const wire::PublicationLayout& layout() const { return layout_; }
  std::byte* column(uint64_t generation, uint32_t c) const {
    return base_ + layout_.column(layout_.slot_of(generation), c);
  }
  wire::RowList& list(uint64_t generation, uint32_t destination) const {
    return layout_.list_of(base_, layout_.slot_of(generation), destination);
  }

  // Describes the round; nothing is visible before the first advance(). The caller has seen every destination
  // release generation - depth.
  void begin(uint64_t generation, uint32_t rows, uint32_t tag, uint16_t meta_bytes, bool routed);
  // Begun, with no row final, for those who read in place; the others hear of it by advance(). From here on
  // who still reads what was in the slot before finds that out.
  void occupy(uint64_t generation);
  // What is published of the round from here on is not for this destination, which learns that.
  void withhold(uint64_t generation, uint32_t destination) {
    __atomic_store_n(&list(generation, destination).count, wire::kVoidList, __ATOMIC_RELEASE);
  }
  // Rows below `final_rows` are final: makes them visible to every destination. Zero is allowed, and
  // announces a streamed round; `final_rows` == rows completes it.
  void advance(uint64_t generation, uint32_t final_rows);

 private:
  Endpoint& endpoint_;
  wire::PublicationLayout layout_;
  uint16_t number_;
  std::byte* base_;
  std::vector<size_t> destinations_;
  std::vector<uint64_t> told_;  // [depth] the generation that destinations were told of last
};

}  // namespace weft
