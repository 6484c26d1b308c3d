// One side of a handshake played by hand: a stranger, a peer that misbehaves, or one that does all right.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <optional>

#include "memory/fd_passing.h"
#include "support/test_mesh.h"

namespace weft::test {

class Visitor {
 public:
  // Knocks at a member's listener.
  Visitor(const MeshPlan& plan, const std::string& address) : plan_(plan) {
    auto socket = find_transport(plan.transport)->dial(address, deadline_after_ms(5000));
    EXPECT_TRUE(socket) << socket.error().what;
    if (socket) socket_ = std::move(*socket);
  }
  // Takes a place of its own: the connection was accepted elsewhere.
  Visitor(const MeshPlan& plan, Fd socket) : plan_(plan), socket_(std::move(socket)) {}

  // What an honest member `from` says to `to`.
  wire::Hello honest(uint32_t from, uint32_t to, wire::HelloKind kind = wire::HelloKind::hello) const {
    const EndpointOptions options = plan_.options(from);
    wire::Hello hello;
    hello.kind = kind;
    hello.mesh_id = options.mesh_id;
    hello.epoch = options.epoch;
    hello.from = from;
    hello.to = to;
    hello.config_hash = options.config_hash;
    hello.proof = MeshPlan::proof(from, to);
    hello.arena_bytes =
        find_transport(plan_.transport)->shares_memory() ? align_up(plan_.arena_bytes(from), 4096) : 0;
    seal(hello);
    return hello;
  }

  void say(const void* data, size_t bytes) {
    // A peer that closes on us in the middle is fine.
    (void)!send(socket_.get(), data, bytes, MSG_NOSIGNAL);
  }
  void say(wire::Hello hello, const std::vector<int>& fds = {}) {
    seal(hello);
    (void)send_with_fds(socket_.get(), std::as_bytes(std::span(&hello, 1)), fds, deadline_after_ms(1000));
  }
  // Waits for room, as long as the peer is there.
  void say_all(const void* data, size_t bytes) {
    (void)send_with_fds(socket_.get(), {static_cast<const std::byte*>(data), bytes}, {},
                        deadline_after_ms(5000));
  }
  // Nothing: the peer closed without an answer, or did not answer in time.
  std::optional<wire::Hello> hear(double within_ms = 5000) {
    wire::Hello hello;
    if (!recv_with_fds(socket_.get(), std::as_writable_bytes(std::span(&hello, 1)), fds,
                       deadline_after_ms(within_ms)))
      return std::nullopt;
    return hello;
  }
  // The reason of the reject that is heard; ok when it is something else.
  Code reject() {
    const auto hello = hear();
    if (!hello || hello->kind != wire::HelloKind::reject) return Code::ok;
    return static_cast<Code>(hello->reason);
  }
  bool is_closed(int within_ms = 5000) {
    if (!socket_) return true;
    pollfd p{socket_.get(), POLLIN, 0};
    char byte;
    return poll(&p, 1, within_ms) > 0 && recv(socket_.get(), &byte, 1, MSG_DONTWAIT) <= 0;
  }
  void leave() { socket_.reset(); }

  std::vector<Fd> fds;  // that came along with what was heard

 private:
  const MeshPlan& plan_;
  Fd socket_;
};

}  // namespace weft::test
