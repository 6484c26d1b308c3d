#include "transport/ucx/card.h"

#include <algorithm>
#include <cstring>

#include "wire/crc32c.h"

namespace weft {

namespace {
struct Head {
  uint64_t link;
  uint64_t network_namespace;
  uint32_t address_bytes;
  uint32_t crc;  // CRC-32C of the address
};
static_assert(sizeof(Head) == 24);
}  // namespace

std::vector<std::byte> encode(const UcxCard& card) {
  const Head head{card.link, card.network_namespace, static_cast<uint32_t>(card.address.size()),
                  wire::crc32c(card.address.data(), card.address.size())};
  std::vector<std::byte> all(sizeof head + card.address.size());
  std::memcpy(all.data(), &head, sizeof head);
  std::copy(card.address.begin(), card.address.end(), all.begin() + sizeof head);
  return all;
}

Code decode(std::span<const std::byte> bytes, UcxCard& card) {
  Head head;
  if (bytes.size() <= sizeof head) return Code::protocol;
  std::memcpy(&head, bytes.data(), sizeof head);
  card = {head.link, head.network_namespace, bytes.subspan(sizeof head)};
  const bool whole = head.address_bytes == card.address.size() &&
                     head.crc == wire::crc32c(card.address.data(), card.address.size());
  return whole ? Code::ok : Code::protocol;
}

}  // namespace weft
