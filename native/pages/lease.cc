#include "pages/lease.h"

#include <string>

namespace weft {

namespace {

// Ends when nothing writes into the memory any more.
class Quiet : public Operation {
 public:
  Quiet(Link& link, uint16_t lease) : link_(link), lease_(lease) {}
  Code step() override { return link_.quiet(lease_) ? Code::ok : Code::again; }
  int64_t wake_ns() const override { return std::min(deadline(), now_ns() + kLookNs); }

 private:
  static constexpr int64_t kLookNs = 1'000'000;  // not every end of an access rings
  Link& link_;
  uint16_t lease_;
};

}  // namespace

Expected<std::unique_ptr<Lease>> Lease::open(Endpoint& endpoint, size_t peer, std::span<std::byte> memory,
                                             uint16_t counters) {
  const Arena& arena = endpoint.arena();
  const bool inside = memory.data() >= arena.data() + kArenaHeaderBytes &&
                      memory.data() + memory.size() <= arena.data() + arena.size();
  if (memory.empty() || !inside)
    return fail(Code::invalid_argument, "memory: " + std::to_string(memory.size()) +
                                            " bytes that are not in the arena; at least 1, all in the arena, "
                                            "are allowed");
  if (counters == 0 || counters > wire::kMaxCounters)
    return fail(Code::invalid_argument,
                "counters: " + std::to_string(counters) + " given; 1 to 4096 are allowed");
  if (const Code state = endpoint.peer_state(peer); state != Code::ok)
    return std::unexpected(Error{
        state, {}, static_cast<int32_t>(endpoint.member(peer)), 0, "no lease for a peer that is not there"});
  auto ticket = endpoint.link(peer).lease(memory, counters);
  if (!ticket) return std::unexpected(ticket.error());
  ticket->epoch = static_cast<uint32_t>(endpoint.options().epoch);
  ticket->from = endpoint.options().member;
  ticket->to = endpoint.member(peer);
  seal(*ticket);
  endpoint.nudge();
  return std::unique_ptr<Lease>(new Lease(endpoint, peer, *ticket));
}

Code Lease::end(int64_t deadline) {
  if (quiet_) return Code::ok;
  Link& link = endpoint_.link(peer_);
  if (!std::exchange(ended_, true)) {
    quiet_ = link.revoke(ticket_.lease);
    if (link.sending()) endpoint_.keep_sending();
  }
  if (quiet_) return Code::ok;
  Quiet quiet(link, ticket_.lease);
  quiet.rearm(deadline);
  quiet_ = endpoint_.wait(quiet) == Code::ok;
  if (!quiet_) {
    endpoint_.drop(peer_);
    quiet_ = link.quiet(ticket_.lease);
  }
  return quiet_ ? Code::ok : Code::deadline;
}

Code Filled::step() {
  if (lease_.arrived(counter_) >= bytes_) return Code::ok;
  const Code state = lease_.endpoint().peer_state(lease_.peer());
  if (state == Code::ok) return Code::again;
  if (lease_.arrived(counter_) >= bytes_) return Code::ok;  // the last of it came before the end
  blamed = static_cast<int32_t>(lease_.endpoint().member(lease_.peer()));
  return state;
}

}  // namespace weft
