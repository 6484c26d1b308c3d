// The handshake message: 128 bytes, little-endian, the same on every transport. docs/protocol.md "Handshake".
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/status.h"

namespace weft::wire {

static_assert(std::endian::native == std::endian::little, "frames are copied to and from memory as they are");

constexpr uint32_t kHelloMagic = 0x49485754;  // "TWHI"
constexpr uint16_t kVersion = 1;

enum class HelloKind : uint16_t {
  hello = 1,   // initiator -> acceptor
  accept = 2,  // acceptor -> initiator; on shm the acceptor's descriptors ride along
  ready = 3,   // initiator -> acceptor; on shm the initiator's descriptors ride along
  reject = 4,  // acceptor -> initiator, then it closes; `reason` says why
};

using Bytes16 = std::array<uint8_t, 16>;
using Bytes32 = std::array<uint8_t, 32>;

struct Hello {
  uint32_t magic = kHelloMagic;
  uint16_t version = kVersion;
  HelloKind kind = HelloKind::hello;
  Bytes16 mesh_id{};
  uint64_t epoch = 0;
  uint32_t from = 0;  // member ids
  uint32_t to = 0;
  Bytes32 config_hash{};
  Bytes32 proof{};           // HMAC over both nonces of the pair, see "Handshake"; zero in a reject
  uint64_t arena_bytes = 0;  // of the sender; 0 on transports that don't share memory
  uint32_t reason = 0;       // Code, in a reject
  uint32_t crc = 0;          // CRC-32C of the bytes before it
  uint64_t reserved = 0;
};
static_assert(sizeof(Hello) == 128 && std::is_trivially_copyable_v<Hello>);
static_assert(offsetof(Hello, mesh_id) == 8 && offsetof(Hello, epoch) == 24 && offsetof(Hello, from) == 32);
static_assert(offsetof(Hello, config_hash) == 40 && offsetof(Hello, proof) == 72 &&
              offsetof(Hello, crc) == 116);

void seal(Hello& hello);

// What a receiver expects of a hello; see validate().
struct HelloExpectation {
  HelloKind kind;
  Bytes16 mesh_id;
  uint64_t epoch;
  uint32_t from;
  uint32_t to;
  Bytes32 config_hash;
  Bytes32 proof;
};

// Only whether the bytes are a hello of this version at all: enough to read `from`, `kind` and `reason`.
Code validate_shape(const Hello& hello);
// The gate: nothing of a hello is acted upon before this says ok. Compares proofs in constant time.
Code validate(const Hello& hello, const HelloExpectation& expected);

}  // namespace weft::wire
