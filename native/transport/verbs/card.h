// What the ends of a link tell each other to connect their queue pairs: 512 bytes, little-endian.
// docs/protocol.md "Verbs".
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/status.h"
#include "transport/verbs/device.h"

namespace weft::verbs {

constexpr uint32_t kCardMagic = 0x43525754;  // "TWRC"
constexpr uint16_t kCardVersion = 1;
constexpr size_t kMaxWindows = 4;

struct RailCard {
  Gid gid{};
  uint32_t queue_pair = 0;
  uint32_t first_packet = 0;  // 24 bits
  uint16_t lid = 0;           // InfiniBand
  uint8_t mtu = 0;            // enum ibv_mtu
  uint8_t link_layer = 0;     // 1 InfiniBand, 2 Ethernet
  uint32_t reserved = 0;
};
static_assert(sizeof(RailCard) == 32);

// Memory that the peer may write into: the bodies of a mirror, and behind them the records of its rounds.
struct WindowCard {
  uint64_t address = 0;
  uint64_t bytes = 0;
  uint32_t keys[kMaxRails] = {};  // on each rail's device
  uint16_t publication = 0;
  uint16_t destination = 0;
  uint32_t records = 0;  // of the bytes, those of the records at the end
};
static_assert(sizeof(WindowCard) == 40);

// The rings for notes, all behind each other.
struct NotesCard {
  uint64_t address = 0;
  uint32_t keys[kMaxRails] = {};
};
static_assert(sizeof(NotesCard) == 24);

struct Card {
  uint32_t magic = kCardMagic;
  uint16_t version = kCardVersion;
  uint8_t rails = 0;
  uint8_t windows = 0;
  RailCard rail[kMaxRails];
  WindowCard window[kMaxWindows];
  NotesCard notes;
  uint8_t reserved[188] = {};
  uint32_t crc = 0;  // CRC-32C of the bytes before it
};
static_assert(sizeof(Card) == 512 && offsetof(Card, crc) == 508 && std::is_trivially_copyable_v<Card>);

void seal(Card& card);
// The gate: magic, version, checksum, numbers in range, windows that don't wrap around.
Code validate(const Card& card);

}  // namespace weft::verbs
