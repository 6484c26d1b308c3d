#include "memory/fd_passing.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <thread>

#include "core/clock.h"
#include "support/stream.h"

namespace weft::test {
namespace {

std::span<const std::byte> bytes_of(const std::vector<uint64_t>& words) {
  return std::as_bytes(std::span(words));
}

TEST(FdPassing, BytesAndDescriptorsArriveTogether) {
  const SocketPair pair;
  const Fd a(eventfd(5, EFD_NONBLOCK)), b(eventfd(6, EFD_NONBLOCK));
  const std::vector<uint64_t> sent{1, 2, 3};
  const std::vector<int> passed{a.get(), b.get()};
  ASSERT_TRUE(send_with_fds(pair.near.get(), bytes_of(sent), passed, deadline_after_ms(1000)));
  std::vector<uint64_t> got(3);
  std::vector<Fd> fds;
  ASSERT_TRUE(
      recv_with_fds(pair.far.get(), std::as_writable_bytes(std::span(got)), fds, deadline_after_ms(1000)));
  EXPECT_EQ(got, sent);
  ASSERT_EQ(fds.size(), 2u);
  uint64_t value = 0;
  ASSERT_EQ(read(fds[1].get(), &value, 8), 8);
  EXPECT_EQ(value, 6u);  // the same eventfd, in the same order
  EXPECT_NE(fds[0].get(), a.get());
  EXPECT_NE(fcntl(fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(FdPassing, AMessageInPiecesIsPutTogether) {
  const SocketPair pair;
  const std::vector<uint64_t> sent{7, 8, 9};
  std::jthread sender([&] {
    for (const std::byte& b : bytes_of(sent)) {
      (void)send_with_fds(pair.near.get(), {&b, 1}, {}, deadline_after_ms(1000));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  std::vector<uint64_t> got(3);
  std::vector<Fd> fds;
  ASSERT_TRUE(
      recv_with_fds(pair.far.get(), std::as_writable_bytes(std::span(got)), fds, deadline_after_ms(5000)));
  EXPECT_EQ(got, sent);
  EXPECT_TRUE(fds.empty());
}

TEST(FdPassing, ASilentPeerMeetsTheDeadline) {
  const SocketPair pair;
  std::byte buffer[8];
  std::vector<Fd> fds;
  const int64_t start = now_ns();
  const auto got = recv_with_fds(pair.far.get(), buffer, fds, deadline_after_ms(30));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::deadline);
  EXPECT_GE(now_ns() - start, 29'000'000);
  EXPECT_LT(now_ns() - start, 1'000'000'000);
}

TEST(FdPassing, APeerThatDoesNotReadMeetsTheDeadline) {
  const SocketPair pair(4096);
  const std::vector<uint64_t> large(1 << 17);
  const auto sent = send_with_fds(pair.near.get(), bytes_of(large), {}, deadline_after_ms(30));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Code::deadline);
}

TEST(FdPassing, APeerThatClosesIsLost) {
  SocketPair pair;
  pair.near.reset();
  std::byte buffer[8];
  std::vector<Fd> fds;
  const auto got = recv_with_fds(pair.far.get(), buffer, fds, deadline_after_ms(1000));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::peer_lost);
  const auto sent = send_with_fds(pair.far.get(), buffer, {}, deadline_after_ms(1000));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Code::peer_lost);
}

TEST(FdPassing, AFloodOfDescriptorsIsRefused) {
  const SocketPair pair;
  const Fd any(eventfd(0, EFD_NONBLOCK));
  const std::vector<int> passed(kMaxPassedFds, any.get());
  std::byte byte{1};
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(send_with_fds(pair.near.get(), {&byte, 1}, passed, deadline_after_ms(100)));
  std::byte buffer[20];
  std::vector<Fd> fds;
  const auto got = recv_with_fds(pair.far.get(), buffer, fds, deadline_after_ms(100));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::protocol);
  EXPECT_LE(fds.size(), 2 * kMaxPassedFds);
}

TEST(FdPassing, TheKernelSaysWhoThePeerIs) {
  const SocketPair pair;
  const auto peer = peer_credentials(pair.near.get());
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->pid, getpid());
  EXPECT_EQ(peer->uid, geteuid());
}

}  // namespace
}  // namespace weft::test
