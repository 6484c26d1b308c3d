#include "transport/verbs/card.h"

#include "wire/crc32c.h"

namespace weft::verbs {

void seal(Card& card) { card.crc = wire::crc32c(&card, offsetof(Card, crc)); }

Code validate(const Card& card) {
  if (card.magic != kCardMagic || card.version != kCardVersion) return Code::protocol;
  if (card.crc != wire::crc32c(&card, offsetof(Card, crc))) return Code::protocol;
  if (card.rails == 0 || card.rails > kMaxRails || card.windows > kMaxWindows) return Code::protocol;
  for (size_t i = 0; i < card.rails; ++i) {
    const RailCard& rail = card.rail[i];
    if (rail.queue_pair >= 1u << 24 || rail.first_packet >= 1u << 24) return Code::protocol;
    if (rail.mtu < 1 || rail.mtu > 5 || rail.link_layer < 1 || rail.link_layer > 2) return Code::protocol;
  }
  for (size_t i = 0; i < card.windows; ++i)
    if (const WindowCard& window = card.window[i];
        window.address + window.bytes < window.address || window.records > window.bytes)
      return Code::protocol;
  return Code::ok;
}

}  // namespace weft::verbs
