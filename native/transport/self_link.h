// A member's link to itself, where it is on both sides of an exchange: its publications are read where they
// are. It needs no transport and no handshake.
#pragma once

#include <memory>
#include <vector>

#include "transport/transport.h"

namespace weft {

// The name of it where others have a transport's.
inline constexpr std::string_view kSelf = "self";

class SelfLink : public Link {
 public:
  SelfLink(const Local& local, std::vector<Inbound> inbound)
      : arena_(*local.arena), bell_(*local.doorbell), inbound_(std::move(inbound)) {}

  const std::byte* inbound(size_t i) const override { return arena_.data() + inbound_[i].offset; }
  const std::shared_ptr<Mapping>& inbound_memory() const override { return arena_.mapping(); }
  bool packs_rows() const override { return false; }
  void publish(const Outgoing&) override { bell_.ring(); }
  void release(size_t, uint64_t) override {}

  // Own memory is written to without a lease.
  Expected<wire::Ticket> lease(std::span<std::byte>, uint16_t) override {
    return fail(Code::invalid_argument, "a member needs no lease in its own memory");
  }
  bool revoke(uint16_t) override { return true; }
  bool quiet(uint16_t) override { return true; }
  Code write(const Writing&, uint64_t&) override { return Code::state; }
  uint64_t written() const override { return 0; }

  void close(int64_t) override { set_state(LinkState::closed); }

 protected:
  void cut(LinkState how) override { set_state(how); }

 private:
  Arena& arena_;
  const Doorbell& bell_;
  std::vector<Inbound> inbound_;
};

}  // namespace weft
