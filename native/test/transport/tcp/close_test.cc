// Closing a tcp link on purpose: what was sent before arrives, and the peer sees that it was on purpose.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "memory/fd_passing.h"
#include "support/scale.h"
#include "support/steps.h"

namespace weft::test {
namespace {

// With bytes unread in a socket, closing it makes the kernel drop what it has not sent yet and reset the
// connection.
TEST(TcpClose, WhatWasRepliedArrivesThoughTheCloserLeavesDataUnread) {
  auto config = plain_config({1, 1}, 1024, 4);
  config.hidden = 1024;
  for (uint32_t i = 0; i < scaled(25); ++i) {
    Steps steps("tcp", config);
    const uint64_t g = steps.dispatch(0, 1024);
    ASSERT_EQ(steps.collect(0), Code::ok);
    steps.compute(0, 0, g, 0, 1024, 1);
    std::jthread more([&] {
      for (int j = 0; j < 3; ++j) steps.dispatch(0, 1024);
    });
    ASSERT_EQ(steps.ffn(0).reply(0, g, 1024, 1024), Code::ok);
    std::this_thread::sleep_for(std::chrono::microseconds(i * 50));
    steps.ffn_endpoint(0).close();
    more.join();
    ASSERT_EQ(steps.combine(0, g), Code::ok) << "run " << i;
    EXPECT_EQ(steps.result(9), 11);
    ASSERT_EQ(steps.combine(0, g + 1), Code::peer_closed) << "run " << i;
  }
}

TEST(TcpClose, APeerThatDoesNotReadHoldsItUpOnlyForABoundedTime) {
  auto config = plain_config({1, 1}, 1024, 8);
  config.hidden = 2048;
  const MeshPlan plan("tcp", config);
  std::vector<std::string> addresses(2);
  // The ffn rank is a socket that shakes hands and then reads nothing.
  auto listening = find_transport("tcp")->listen("127.0.0.1", "");
  ASSERT_TRUE(listening);
  addresses[1] = listening->second;
  Fd connection;
  std::jthread silent([&] {
    for (int tries = 0; tries < 1000 && !connection; ++tries) {
      if (auto accepted = accept(listening->first.get(), nullptr, nullptr); accepted >= 0)
        connection = Fd(accepted);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    wire::Hello hello;
    std::vector<Fd> fds;
    const auto bytes = std::as_writable_bytes(std::span(&hello, 1));
    ASSERT_TRUE(recv_with_fds(connection.get(), bytes, fds, deadline_after_ms(5000)));
    std::swap(hello.from, hello.to);
    hello.kind = wire::HelloKind::accept;
    hello.proof = MeshPlan::proof(1, 0);
    seal(hello);
    ASSERT_TRUE(send_with_fds(connection.get(), bytes, {}, deadline_after_ms(5000)));
    ASSERT_TRUE(recv_with_fds(connection.get(), bytes, fds, deadline_after_ms(5000)));
  });
  std::string unused;
  auto rank = Rank::listen(plan, 0, unused);
  ASSERT_TRUE(rank);
  ASSERT_TRUE(rank->connect(plan, 0, addresses, deadline_after_ms(5000)));
  for (uint64_t g = 1; g <= 8; ++g) {
    uint64_t claimed;
    ASSERT_EQ(rank->attention->claim(claimed), Code::ok);
    const int64_t start = now_ns();
    ASSERT_EQ(rank->attention->publish(claimed, 1024, 1024, 0, 0), Code::ok);
    EXPECT_LT(now_ns() - start, 500'000'000) << "publish() never blocks";
  }
  EXPECT_TRUE(rank->endpoint->link(0).sending());
  Combine& combine = rank->attention->combine(1);
  std::vector<std::byte> out(1024 * 2048 * 2);
  combine.aim(out.data(), false);
  combine.rearm(deadline_after_ms(20));
  EXPECT_EQ(rank->endpoint->wait(combine), Code::deadline);
  const int64_t start = now_ns();
  rank->endpoint->close();
  EXPECT_LT(now_ns() - start, 1'500'000'000);
}

}  // namespace
}  // namespace weft::test
