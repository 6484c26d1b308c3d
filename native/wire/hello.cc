#include "wire/hello.h"

#include "wire/crc32c.h"

namespace weft::wire {

namespace {

bool equal_in_constant_time(const Bytes32& a, const Bytes32& b) {
  uint8_t difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<uint8_t>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace

void seal(Hello& hello) { hello.crc = crc32c(&hello, offsetof(Hello, crc)); }

Code validate_shape(const Hello& hello) {
  if (hello.magic != kHelloMagic || hello.version != kVersion) return Code::protocol;
  if (hello.crc != crc32c(&hello, offsetof(Hello, crc))) return Code::protocol;
  return Code::ok;
}

Code validate(const Hello& hello, const HelloExpectation& expected) {
  if (const Code shape = validate_shape(hello); shape != Code::ok) return shape;
  if (hello.kind != expected.kind) return Code::protocol;
  if (hello.from != expected.from || hello.to != expected.to) return Code::protocol;
  if (hello.mesh_id != expected.mesh_id || !equal_in_constant_time(hello.proof, expected.proof))
    return Code::auth;
  // Only who is admitted may learn whether epoch and configuration agree.
  if (hello.epoch != expected.epoch) return Code::protocol;
  if (hello.config_hash != expected.config_hash) return Code::config_mismatch;
  return Code::ok;
}

}  // namespace weft::wire
