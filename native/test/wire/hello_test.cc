#include "wire/hello.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

namespace weft::test {
namespace {

using wire::Hello;
using wire::HelloKind;

wire::HelloExpectation expectation() {
  wire::HelloExpectation expected{HelloKind::hello, {}, 0x0102030405060708, 3, 9, {}, {}};
  expected.mesh_id.fill(0x11);
  expected.config_hash.fill(0x22);
  expected.proof.fill(0x33);
  return expected;
}

Hello good_hello() {
  const auto expected = expectation();
  Hello hello;
  hello.mesh_id = expected.mesh_id;
  hello.epoch = expected.epoch;
  hello.from = expected.from;
  hello.to = expected.to;
  hello.config_hash = expected.config_hash;
  hello.proof = expected.proof;
  hello.arena_bytes = 1 << 20;
  seal(hello);
  return hello;
}

Code after(const std::function<void(Hello&)>& change, bool sealed = true) {
  Hello hello = good_hello();
  change(hello);
  if (sealed) seal(hello);
  return validate(hello, expectation());
}

TEST(Hello, LiesInMemoryAsTheProtocolSays) {
  Hello hello = good_hello();
  hello.kind = HelloKind::accept;
  hello.reason = 0x0A0B0C0D;
  const auto* b = reinterpret_cast<const uint8_t*>(&hello);
  EXPECT_EQ(std::memcmp(b, "TWHI", 4), 0);
  EXPECT_EQ(b[4], 1);      // version
  EXPECT_EQ(b[6], 2);      // kind
  EXPECT_EQ(b[8], 0x11);   // mesh id
  EXPECT_EQ(b[24], 0x08);  // epoch, little-endian
  EXPECT_EQ(b[31], 0x01);
  EXPECT_EQ(b[32], 3);          // from
  EXPECT_EQ(b[36], 9);          // to
  EXPECT_EQ(b[40], 0x22);       // configuration hash
  EXPECT_EQ(b[72], 0x33);       // proof
  EXPECT_EQ(b[104 + 2], 0x10);  // arena bytes
  EXPECT_EQ(b[112], 0x0D);      // reason
  EXPECT_EQ(offsetof(Hello, crc), 116u);
}

TEST(Hello, PassesTheGateWhenAllIsAsExpected) {
  EXPECT_EQ(validate(good_hello(), expectation()), Code::ok);
  EXPECT_EQ(validate_shape(good_hello()), Code::ok);
}

TEST(Hello, EveryBitUnderTheChecksumCounts) {
  for (size_t bit = 0; bit < offsetof(Hello, reserved) * 8; ++bit) {
    Hello hello = good_hello();
    reinterpret_cast<uint8_t*>(&hello)[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_EQ(validate(hello, expectation()), Code::protocol) << "bit " << bit;
  }
}

TEST(Hello, AFieldThatDiffersIsRefusedThoughTheChecksumIsRight) {
  EXPECT_EQ(after([](Hello& h) { h.magic ^= 1; }), Code::protocol);
  EXPECT_EQ(after([](Hello& h) { h.version = 2; }), Code::protocol);
  EXPECT_EQ(after([](Hello& h) { h.kind = HelloKind::accept; }), Code::protocol);
  EXPECT_EQ(after([](Hello& h) { h.kind = static_cast<HelloKind>(0); }), Code::protocol);
  EXPECT_EQ(after([](Hello& h) { h.kind = static_cast<HelloKind>(99); }), Code::protocol);
  EXPECT_EQ(after([](Hello& h) { h.from = 4; }), Code::protocol);
  EXPECT_EQ(after([](Hello& h) { h.to = 8; }), Code::protocol);
  EXPECT_EQ(after([](Hello& h) { ++h.epoch; }), Code::protocol);
  EXPECT_EQ(after([](Hello& h) { h.epoch ^= uint64_t{1} << 63; }), Code::protocol);
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(after([&](Hello& h) { h.mesh_id[i] ^= 0x80; }), Code::auth);
  for (size_t i = 0; i < 32; ++i) EXPECT_EQ(after([&](Hello& h) { h.proof[i] ^= 0x01; }), Code::auth);
  for (size_t i = 0; i < 32; ++i)
    EXPECT_EQ(after([&](Hello& h) { h.config_hash[i] ^= 1; }), Code::config_mismatch);
}

TEST(Hello, OnlyWhoIsAdmittedLearnsThatTheConfigurationDiffers) {
  const auto stranger = [](Hello& h) {
    h.proof[0] ^= 1;
    h.config_hash[0] ^= 1;
    ++h.epoch;
  };
  EXPECT_EQ(after(stranger), Code::auth);
  EXPECT_EQ(after([](Hello& h) { ++h.epoch, h.config_hash[0] ^= 1; }), Code::protocol);
}

TEST(Hello, TheShapeGateLooksAtNothingButMagicVersionAndChecksum) {
  Hello hello = good_hello();
  hello.from = 1000;
  hello.proof = {};
  seal(hello);
  EXPECT_EQ(validate_shape(hello), Code::ok);
  hello.from = 1001;
  EXPECT_EQ(validate_shape(hello), Code::protocol);
}

}  // namespace
}  // namespace weft::test
