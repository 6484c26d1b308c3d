// How the two ends of a verbs link come together, over the socket of the handshake.
#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "transport/socket.h"
#include "transport/trade.h"
#include "transport/verbs/verbs_link.h"

#if WEFT_HAVE_VERBS

namespace weft::verbs {

// Queue pairs are made and told of, connected, and only when both ends say that theirs are does either send.
Expected<void> VerbsLink::set_up(const Local& local, Session session) {
  Card ours;
  ours.rails = static_cast<uint8_t>(engine_->rails());
  std::vector<Lane> lanes;
  for (size_t rail = 0; rail < engine_->rails(); ++rail) {
    auto pair = QueuePair::create(engine_->adapter(rail));
    if (!pair) return std::unexpected(pair.error());
    ours.rail[rail] = (*pair)->card();
    lanes.push_back({std::move(*pair), engine_->arena_key(rail), 0});
  }
  size_t slots = 0;
  for (const Inbound& in : session.inbound) slots += in.layout->shape().depth;
  if (session.inbound.size() > kMaxWindows || slots > kMaxSlots)
    return fail(Code::unavailable, "verbs has room for 4 publications and 1024 slots of a peer");
  const size_t bytes = place_windows(session.inbound);
  auto memory = Mapping::anonymous(bytes);
  if (!memory) return std::unexpected(memory.error());
  receiver_ = std::make_unique<Receiver>(static_cast<uint32_t>(local.epoch), session.inbound,
                                         std::move(*memory), engine_->rails());
  for (const Inbound& in : session.inbound) {
    const auto window = receiver_->window(ours.windows);
    auto regions = engine_->expose(window.data(), window.size(), true);
    if (!regions) return std::unexpected(regions.error());
    WindowCard& card = ours.window[ours.windows++];
    card.address = reinterpret_cast<uint64_t>(window.data());
    card.bytes = window.size();
    card.publication = in.publication;
    card.destination = in.destination;
    card.records = static_cast<uint32_t>(Records(*in.layout).bytes());
    for (size_t rail = 0; rail < engine_->rails(); ++rail)
      card.keys[rail] = engine_->of_rail(*regions, rail).rkey;
    regions_.push_back(std::move(*regions));
  }
  auto rings = Mapping::anonymous(std::max<size_t>(notes_bytes(engine_->rails()), 4096));
  if (!rings) return std::unexpected(rings.error());
  rings_ = std::move(*rings);
  notes_.emplace(rings_->data());
  auto ring_regions = engine_->expose(rings_->data(), rings_->size(), true);
  if (!ring_regions) return std::unexpected(ring_regions.error());
  ours.notes.address = reinterpret_cast<uint64_t>(rings_->data());
  for (size_t rail = 0; rail < engine_->rails(); ++rail)
    ours.notes.keys[rail] = engine_->of_rail(*ring_regions, rail).rkey;
  regions_.push_back(std::move(*ring_regions));
  seal(ours);

  auto answer = trade(session, std::as_bytes(std::span(&ours, 1)), sizeof(Card));
  if (!answer) return std::unexpected(answer.error());
  Card theirs;
  if (answer->size() != sizeof theirs) return fail(Code::protocol, "the peer told no queue pairs");
  std::memcpy(&theirs, answer->data(), sizeof theirs);
  if (validate(theirs) != Code::ok)
    return fail(Code::protocol, "what the peer told of its queue pairs is not valid");
  if (theirs.rails != ours.rails)
    return fail(Code::config_mismatch, "the peer has " + std::to_string(theirs.rails) +
                                           " rails, this member " + std::to_string(ours.rails) +
                                           " (WEFT_VERBS_DEVICES)");
  size_t record_bytes = 0;
  for (size_t i = 0; i < theirs.windows; ++i) record_bytes += theirs.window[i].records;
  constexpr size_t kMuch = size_t{64} << 20;
  if (record_bytes > kMuch) return fail(Code::protocol, "the peer asks for too large records");
  auto records = Mapping::anonymous(std::max<size_t>(record_bytes + notes_bytes(engine_->rails()), 4096));
  if (!records) return std::unexpected(records.error());
  records_ = std::move(*records);
  auto regions = engine_->expose(records_->data(), records_->size(), false);
  if (!regions) return std::unexpected(regions.error());
  for (size_t rail = 0; rail < lanes.size(); ++rail) {
    lanes[rail].records_key = engine_->of_rail(*regions, rail).lkey;
    if (auto done = lanes[rail].pair->connect(theirs.rail[rail]); !done) return done;
  }
  regions_.push_back(std::move(*regions));
  describe(lanes, theirs);
  std::vector<uint32_t> numbers;
  for (const Lane& lane : lanes) numbers.push_back(lane.pair->number());
  sender_ = std::make_unique<Sender>(static_cast<uint32_t>(local.epoch), session.inbound, std::move(lanes),
                                     theirs, records_->data());
  for (size_t rail = 0; rail < numbers.size(); ++rail) engine_->add(*this, rail, numbers[rail]);
  if (auto both = trade(session, {}, 0); !both) return std::unexpected(both.error());
  tune_tcp(session.socket.get());
  life_line_ = LifeLine(std::move(session.socket));
  return {};
}

// "rxe0 port 1, GID 1 ::ffff:10.0.0.1 (RoCE v2; it has the address 10.0.0.1) to ::ffff:10.0.0.2, packets of
// 4096 bytes", one after another for each rail.
void VerbsLink::describe(const std::vector<Lane>& lanes, const Card& theirs) {
  for (size_t i = 0; i < lanes.size(); ++i) {
    const Rail& rail = engine_->adapter(i).rail();
    char peer[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, theirs.rail[i].gid.data(), peer, sizeof peer);
    const int mtu = 128 << std::min(lanes[i].pair->card().mtu, theirs.rail[i].mtu);
    description_ += (i > 0 ? "; " : "") + rail.device + " port " + std::to_string(rail.port) + ", GID " +
                    std::to_string(rail.address.index) + " " + rail.address.text + " (" + rail.address.type +
                    "; " + rail.why + ") to " + peer + ", packets of " + std::to_string(mtu) +
                    " bytes, inline up to " + std::to_string(lanes[i].pair->inline_bytes());
  }
}

}  // namespace weft::verbs

#endif
