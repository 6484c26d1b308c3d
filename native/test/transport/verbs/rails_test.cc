// Which ports a member uses: a decision by data alone, so it is tested without devices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/verbs/device.h"

namespace weft::verbs {
namespace {

Port port(uint8_t number, const std::string& state, std::vector<PortAddress> addresses,
          const std::string& layer = "Ethernet") {
  Port port;
  port.number = number;
  port.state = state;
  port.link_layer = layer;
  port.addresses = std::move(addresses);
  return port;
}
PortAddress address(uint32_t index, const std::string& type, const std::string& text) {
  return {index, {}, type, text};
}
Device device(const std::string& name, std::vector<Port> ports) {
  Device device;
  device.name = name;
  device.ports = std::move(ports);
  return device;
}

// As a card with an unplugged first port and one with an address looks.
std::vector<Device> two_cards() {
  const auto addresses = [](const std::string& ip) {
    return std::vector{address(0, "IB/RoCE v1", "fe80::1"), address(1, "RoCE v2", "fe80::1"),
                       address(2, "IB/RoCE v1", std::string("::ffff:").append(ip)),
                       address(3, "RoCE v2", std::string("::ffff:").append(ip))};
  };
  return {device("a", {port(1, "DOWN", addresses("10.0.0.1")), port(2, "ACTIVE", addresses("10.0.0.2"))}),
          device("b", {port(1, "ACTIVE", addresses("10.0.1.2"))})};
}

std::string text_of(const Rail& rail) {
  return std::string(rail.device)
      .append(":")
      .append(std::to_string(rail.port))
      .append(":")
      .append(std::to_string(rail.address.index));
}
std::string choice(const std::vector<Device>& devices, const std::string& host,
                   const char* wanted = nullptr) {
  const auto rails = choose_rails(devices, host, wanted);
  if (!rails) return std::string("error: ").append(rails.error().what);
  std::string text;
  for (const Rail& rail : *rails) text.append(text.empty() ? "" : " ").append(text_of(rail));
  return text;
}

TEST(Rails, ThePortWithTheHostsAddressIsTaken) {
  EXPECT_EQ(choice(two_cards(), "10.0.1.2"), "b:1:3");
  EXPECT_EQ(choice(two_cards(), "10.0.0.2"), "a:2:3");
}

TEST(Rails, OtherwiseTheFirstActivePortWithItsBestAddress) {
  EXPECT_EQ(choice(two_cards(), "127.0.0.1"), "a:2:3");
  EXPECT_EQ(choice(two_cards(), "10.0.0.1"), "a:2:3") << "that one is down";
  const auto plain = std::vector{device("c", {port(1, "ACTIVE", {address(0, "RoCE v2", "fe80::2")})})};
  EXPECT_EQ(choice(plain, ""), "c:1:0");
}

TEST(Rails, InfiniBandUsesItsFirstAddress) {
  const auto fabric = std::vector{device(
      "m", {port(1, "ACTIVE", {address(0, "IB/RoCE v1", "fe80::3"), address(1, "IB/RoCE v1", "fe80::4")},
                 "InfiniBand")})};
  EXPECT_EQ(choice(fabric, "10.0.0.1"), "m:1:0");
}

TEST(Rails, TheUserMayNameSeveral) {
  EXPECT_EQ(choice(two_cards(), "", "b"), "b:1:3");
  EXPECT_EQ(choice(two_cards(), "", "a:2:1,b,b"), "a:2:1 b:1:3 b:1:3");
  EXPECT_EQ(choice(two_cards(), "10.0.1.2", ""), "b:1:3") << "empty is not given";
}

TEST(Rails, WhatCannotBeIsSaid) {
  const auto says = [](const char* wanted, const char* part) {
    EXPECT_THAT(choice(two_cards(), "", wanted),
                testing::AllOf(testing::StartsWith("error: "), testing::HasSubstr(part)))
        << wanted;
  };
  says("c", "is none of a, b");
  says("a:1", "is DOWN");
  says("a:7", "has no such port");
  says("a:2:9", "has no such GID");
  says("a:2:3:4", "is not device[:port[:gid index]]");
  says("a:x", "is not device[:port[:gid index]]");
  says("a:-1", "is not device[:port[:gid index]]");
  says(":1", "is not device[:port[:gid index]]");
  says("b,b,b,b,b", "more than 4");
  EXPECT_THAT(choice({}, ""), testing::HasSubstr("no RDMA device"));
  EXPECT_THAT(choice({device("a", {port(1, "DOWN", {})})}, ""), testing::HasSubstr("no port"));
}

}  // namespace
}  // namespace weft::verbs
