#include "pages/push.h"

namespace weft {

Expected<Push> Push::open(Endpoint& endpoint, size_t peer, const wire::Ticket& ticket) {
  const auto epoch = static_cast<uint32_t>(endpoint.options().epoch);
  if (validate(ticket, epoch, endpoint.member(peer), endpoint.options().member) != Code::ok)
    return fail(Code::protocol, "the ticket is damaged, or not for this member from this peer in this epoch");
  return Push(endpoint, peer, ticket);
}

Code Push::write(uint16_t counter, uint64_t at, std::span<const std::byte> from) {
  const Arena& arena = endpoint_->arena();
  const bool inside = from.data() >= arena.data() && from.data() + from.size() <= arena.data() + arena.size();
  const bool fits = at <= ticket_.bytes && from.size() <= ticket_.bytes - at;
  if (from.empty() || !inside || !fits || counter >= ticket_.counters) return Code::invalid_argument;
  if (const Code state = endpoint_->peer_state(peer_); state != Code::ok) return state;
  Link& link = endpoint_->link(peer_);
  const bool first = last_ == 0;
  const Code written = link.write({ticket_, counter, at, from.data(), from.size()}, last_);
  if (first) endpoint_->nudge();  // the engine may have been at rest
  if (link.sending()) endpoint_->keep_sending();
  return written;
}

bool Push::done(uint64_t write) const {
  const Link& link = endpoint_->link(peer_);
  return link.state() != LinkState::up || link.written() >= write;
}

}  // namespace weft
