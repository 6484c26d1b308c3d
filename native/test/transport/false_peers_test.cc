// Peers that prove who they are, or are dialled, and then do not do what the protocol says.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <thread>

#include "support/configs.h"
#include "support/transports.h"
#include "support/visitor.h"

namespace weft::test {
namespace {

// Plays the acceptor for an attention rank that dials it.
class FalseAcceptor : public OnTransports {
 protected:
  FalseAcceptor() : plan(GetParam(), config_of(kKinds[0], {1, 1}, 8, 4, 2)), addresses(2) {
    auto listening = find_transport(GetParam())->listen("127.0.0.1", plan.listen_key(1));
    EXPECT_TRUE(listening);
    listener = std::move(listening->first);
    addresses[1] = listening->second;
  }
  // The outcome for the dialler when `answer` plays the acceptor's part.
  Expected<void> dialled(const std::function<void(Visitor&)>& answer) {
    std::jthread acceptor([&] {
      Expected<Fd> socket = accept_soon();
      if (!socket) return;
      Visitor visitor(plan, std::move(*socket));
      EXPECT_TRUE(visitor.hear());
      answer(visitor);
      // Until the dialler has gone: a connection that ends says something by itself.
      visitor.is_closed(3000);
    });
    std::string unused;
    auto rank = Rank::listen(plan, 0, unused);
    return rank->connect(plan, 0, addresses, deadline_after_ms(2000));
  }

  MeshPlan plan;
  std::vector<std::string> addresses;
  Fd listener;

 private:
  Expected<Fd> accept_soon() {
    pollfd p{listener.get(), POLLIN, 0};
    poll(&p, 1, 5000);
    const int fd = accept(listener.get(), nullptr, nullptr);
    if (fd < 0) return fail(Code::system, "accept", errno);
    return Fd(fd);
  }
};

TEST_P(FalseAcceptor, ARejectionKeepsToTheReasonsThatThereAre) {
  const auto with_reason = [&](uint32_t reason) {
    return dialled([&](Visitor& visitor) {
      wire::Hello reject;
      reject.kind = wire::HelloKind::reject;
      reject.reason = reason;
      visitor.say(reject);
    });
  };
  for (const Code code : {Code::auth, Code::config_mismatch, Code::state, Code::protocol}) {
    const auto outcome = with_reason(static_cast<uint32_t>(code));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, code);
    EXPECT_EQ(outcome.error().peer, 1);
  }
  for (const uint32_t reason : {0u, 1u, 200u, 256u, UINT32_MAX}) {
    const auto outcome = with_reason(reason);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Code::protocol) << "reason " << reason;
  }
}

TEST_P(FalseAcceptor, AnAnswerWithoutTheProofIsRefused) {
  const auto outcome = dialled([&](Visitor& visitor) {
    wire::Hello accept = visitor.honest(1, 0, wire::HelloKind::accept);
    accept.proof = MeshPlan::proof(0, 1);  // the dialler's own, sent back
    visitor.say(accept);
  });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::auth);
  EXPECT_EQ(outcome.error().peer, 1);
}

TEST_P(FalseAcceptor, OneThatHangsUpIsLost) {
  const auto outcome = dialled([&](Visitor& visitor) { visitor.leave(); });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::peer_lost);
  EXPECT_EQ(outcome.error().peer, 1);
}

TEST_P(FalseAcceptor, GarbageInsteadOfAnAnswerIsAProtocolError) {
  const auto outcome = dialled([&](Visitor& visitor) {
    const std::vector<std::byte> garbage(128, std::byte{0x55});
    visitor.say(garbage.data(), garbage.size());
  });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::protocol);
}

WEFT_OVER(process_transports(), FalseAcceptor);

// Plays a dialler that proves itself and then passes descriptors that are not what they should be.
class FalseMemory : public testing::Test {
 protected:
  FalseMemory() : plan("shm", config_of(kKinds[0], {1, 1}, 8, 4, 2)), addresses(2) {}

  Expected<void> connected_with(const std::vector<int>& fds, uint64_t arena_bytes) {
    auto ffn = Rank::listen(plan, 1, addresses[1]);
    Expected<void> outcome;
    std::jthread connecting([&] { outcome = ffn->connect(plan, 1, addresses, deadline_after_ms(2000)); });
    Visitor visitor(plan, addresses[1]);
    visitor.say(visitor.honest(0, 1));
    EXPECT_TRUE(visitor.hear());
    EXPECT_EQ(visitor.fds.size(), 3u);
    wire::Hello ready = visitor.honest(0, 1, wire::HelloKind::ready);
    ready.arena_bytes = arena_bytes;
    visitor.say(ready, fds);
    connecting.join();
    return outcome;
  }
  void expect_protocol_error(const Expected<void>& outcome) {
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Code::protocol);
    EXPECT_EQ(outcome.error().peer, 0);
  }

  MeshPlan plan;
  std::vector<std::string> addresses;
  std::unique_ptr<Arena> arena = *Arena::create(plan.arena_bytes(0), 0, plan.options(0).epoch);
  Fd bell{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
};

TEST_F(FalseMemory, ARightOneIsTaken) {
  EXPECT_TRUE(connected_with({arena->shared_fd(), bell.get(), bell.get()}, arena->size()));
}

TEST_F(FalseMemory, TooFewOrTooManyDescriptorsAreRefused) {
  expect_protocol_error(connected_with({}, arena->size()));
  expect_protocol_error(connected_with({arena->shared_fd()}, arena->size()));
  expect_protocol_error(
      connected_with({arena->shared_fd(), bell.get(), bell.get(), bell.get()}, arena->size()));
}

TEST_F(FalseMemory, AnArenaThatIsTooSmallIsRefused) {
  expect_protocol_error(connected_with({arena->shared_fd(), bell.get(), bell.get()}, 4096));
  expect_protocol_error(connected_with({arena->shared_fd(), bell.get(), bell.get()}, 0));
  // It says that it is large, and is not.
  const auto small = *Arena::create(8192, 0, plan.options(0).epoch);
  expect_protocol_error(connected_with({small->shared_fd(), bell.get(), bell.get()}, arena->size()));
  expect_protocol_error(connected_with({arena->shared_fd(), bell.get(), bell.get()}, UINT64_MAX));
}

TEST_F(FalseMemory, TheArenaOfAnotherMemberOrEpochIsRefused) {
  const auto member = *Arena::create(plan.arena_bytes(0), 5, plan.options(0).epoch);
  expect_protocol_error(connected_with({member->shared_fd(), bell.get(), bell.get()}, member->size()));
  const auto epoch = *Arena::create(plan.arena_bytes(0), 0, 1);
  expect_protocol_error(connected_with({epoch->shared_fd(), bell.get(), bell.get()}, epoch->size()));
}

TEST_F(FalseMemory, AFileThatItsOwnerCouldShrinkIsRefused) {
  const Fd file(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(file.get(), static_cast<off_t>(arena->size())), 0);
  ASSERT_EQ(pwrite(file.get(), arena->data(), 4096, 0), 4096);
  expect_protocol_error(connected_with({file.get(), bell.get(), bell.get()}, arena->size()));
}

TEST_F(FalseMemory, WhatIsNoEventIsNoDoorbell) {
  int pipes[2];
  ASSERT_EQ(pipe2(pipes, O_CLOEXEC), 0);
  const Fd in(pipes[0]), out(pipes[1]);
  expect_protocol_error(connected_with({arena->shared_fd(), bell.get(), out.get()}, arena->size()));
  expect_protocol_error(connected_with({arena->shared_fd(), arena->shared_fd(), bell.get()}, arena->size()));
}

}  // namespace
}  // namespace weft::test
