#include "transport/verbs/verbs_link.h"

#if WEFT_HAVE_VERBS

#include <arpa/inet.h>
#include <sched.h>

#include <algorithm>
#include <cstring>

#include "core/clock.h"
#include "transport/socket.h"
#include "transport/trade.h"

namespace weft::verbs {

Expected<std::unique_ptr<Link>> VerbsLink::create(const Local& local, Session session) {
  std::unique_ptr<VerbsLink> link(new VerbsLink(local));
  if (auto done = link->set_up(local, std::move(session)); !done) return std::unexpected(done.error());
  return link;
}

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

Traffic VerbsLink::traffic() const {
  return sender_ ? sender_->counts().beside(arrivals_.read()) : Traffic{0, 0, 0, arrivals_.read()};
}

void VerbsLink::publish(const Outgoing& rows) {
  // The peer knows already, and a watermark is told only once.
  if (!rows.begin && rows.from == rows.to) return;
  std::unique_lock hold(send_lock_);
  if (state() != LinkState::up) return;
  // A full queue: the peer replies to what it has not taken in, so away with it.
  if (sender_->enqueue(rows) && sender_->flush()) return;
  hold.unlock();
  drop();
  doorbell_->ring();
}

Expected<wire::Ticket> VerbsLink::lease(std::span<std::byte> memory, uint16_t counters) {
  std::lock_guard use(use_);
  if (closed_) return fail(Code::closed, "the link is closed");
  std::vector<Region> own;
  uint32_t keys[wire::kMaxTicketKeys] = {};
  const auto take_keys = [&](const std::vector<Region>& regions) {
    for (size_t rail = 0; rail < engine_->rails(); ++rail) keys[rail] = engine_->of_rail(regions, rail).rkey;
  };
  // Registering takes its time, for which nobody else waits.
  if (!engine_->prepared(memory, take_keys)) {
    auto exposed = engine_->expose(memory.data(), memory.size(), true);
    if (!exposed) return std::unexpected(exposed.error());
    own = std::move(*exposed);
    take_keys(own);
  }
  const auto nobody_handles = engine_->hold();
  auto ticket = leases_.open(memory, counters);
  if (!ticket) return ticket;
  ticket->address = reinterpret_cast<uint64_t>(memory.data());
  std::ranges::copy(keys, ticket->keys);
  leased_[ticket->lease].regions = std::move(own);
  return ticket;
}

bool VerbsLink::revoke(uint16_t lease) {
  std::vector<Region> unused;
  std::lock_guard use(use_);
  const auto nobody_handles = closed_ ? std::unique_lock<std::mutex>() : engine_->hold();
  const wire::LeaseFrame note = leases_.close(lease);
  if (state() != LinkState::up) {
    if (!closed_) stop();
    unused = forget(lease);
    return true;
  }
  leased_[lease].unanswered = (1u << engine_->rails()) - 1;
  std::lock_guard hold(send_lock_);
  sender_->outbox().enqueue(note);
  (void)flush();  // a failure is told by its completion
  return false;
}

// What the peer's device was told to write before its answers is there, for they are behind it. A peer that
// does not answer is given up: the reset of the queue pairs is the fence then.
bool VerbsLink::quiet(uint16_t lease) {
  std::vector<Region> unused;
  std::lock_guard use(use_);
  const auto nobody_handles = closed_ ? std::unique_lock<std::mutex>() : engine_->hold();
  if (state() == LinkState::up && leased_[lease].unanswered != 0) return false;
  if (state() != LinkState::up && !closed_) stop();
  unused = forget(lease);
  return true;
}

std::vector<Region> VerbsLink::forget(uint16_t lease) {
  leases_.forget(lease);
  auto node = leased_.extract(lease);
  return node.empty() ? std::vector<Region>() : std::move(node.mapped().regions);
}

Code VerbsLink::write(const Writing& write, uint64_t& number) {
  std::unique_lock hold(send_lock_);
  if (state() != LinkState::up) return Code::again;
  const Code queued = sender_->outbox().enqueue(write, number);
  if (queued != Code::ok || flush()) return queued;
  hold.unlock();
  drop();
  doorbell_->ring();
  return Code::again;
}

bool VerbsLink::flush() {
  const uint64_t before = written();
  const bool sound = sender_->flush();
  if (written() != before) doorbell_->ring();
  return sound;
}

Arrived VerbsLink::notes_arrived(size_t rail, const Immediate& immediate) {
  if (immediate.slot == kNotesTaken) {
    std::lock_guard hold(send_lock_);
    if (!sender_->their_notes_taken(rail, immediate.final_rows)) return Arrived::nonsense;
    (void)flush();
    return Arrived::part;
  }
  wire::Frame note;
  if (immediate.slot != kANote || notes_->take(rail, immediate.final_rows, note) != Code::ok)
    return Arrived::nonsense;
  const Arrived outcome = take_note(rail, note);
  if (outcome == Arrived::nonsense) return outcome;
  std::lock_guard hold(send_lock_);
  sender_->our_notes_taken(rail, notes_->taken(rail));
  (void)flush();
  return outcome;
}

Arrived VerbsLink::take_note(size_t rail, const wire::Frame& note) {
  if (!of_lease(note) || validate(note, {engine_->epoch(), 0, 0, nullptr}) != Code::ok)
    return Arrived::nonsense;
  const wire::LeaseFrame frame = as_lease_frame(note);
  if (frame.lease >= Leases::kMost) return Arrived::nonsense;
  if (frame.kind == wire::FrameKind::write) {
    std::byte* to = nullptr;
    if (leases_.accept(frame, to) != Code::ok) return Arrived::nonsense;
    leases_.count(frame);
    arrivals_.add(1);
    return Arrived::rows;
  }
  if (frame.kind == wire::FrameKind::revoke) {
    wire::LeaseFrame answer = frame;
    answer.kind = wire::FrameKind::revoked;
    std::lock_guard hold(send_lock_);
    sender_->outbox().drop_writes(frame.lease, frame.generation);
    sender_->outbox().enqueue(answer);
    return Arrived::rows;  // what was dropped is done with
  }
  const auto leased = leased_.find(frame.lease);
  const uint32_t bit = 1u << rail;
  if (leased == leased_.end() || (leased->second.unanswered & bit) == 0 ||
      frame.generation != leases_.generation(frame.lease))
    return Arrived::nonsense;
  leased->second.unanswered &= ~bit;
  return Arrived::rows;
}

void VerbsLink::arrived(size_t rail, uint32_t bits) {
  if (state() != LinkState::up) return;
  const Immediate immediate = decode(bits);
  if (immediate.tells != Tells::notes) arrivals_.add(1);
  switch (immediate.tells == Tells::notes ? notes_arrived(rail, immediate) : receiver_->arrived(rail, bits)) {
    case Arrived::part:
      return;
    case Arrived::rows:
      break;
    case Arrived::goodbye:
      set_state(LinkState::closed);
      break;
    case Arrived::nonsense:
      return end(LinkState::broken);
  }
  doorbell_->ring();  // SYNC POINT doorbell: a thread of ours may sleep on what just became visible
}

void VerbsLink::retired(size_t rail, uint64_t request) {
  sender_->lanes()[rail].pair->retire(request);
  if (!sender_->pending() && !sender_->unwritten()) return;  // SYNC POINT room
  std::unique_lock hold(send_lock_);
  if (state() != LinkState::up || flush()) return;
  hold.unlock();
  end(LinkState::lost);
}

bool VerbsLink::note_failure(const char* why) {
  const char* none = nullptr;
  return state() == LinkState::up && failure_.compare_exchange_strong(none, why);
}

void VerbsLink::end(LinkState how) {
  stop();
  set_state(how, failure_);
  doorbell_->ring();
}

void VerbsLink::stop() {
  std::lock_guard hold(send_lock_);
  life_line_.cut();
  if (!sender_) return;
  for (const Lane& lane : sender_->lanes()) lane.pair->reset();
  sender_->discard();
}

void VerbsLink::cut(LinkState how) {
  std::lock_guard use(use_);
  if (closed_) return;
  const auto nobody_handles = engine_->hold();
  stop();
  set_state(how, failure_);
}

bool VerbsLink::notice() {
  if (state() != LinkState::up) return false;
  const LinkState now = life_line_.look();
  if (now == LinkState::up) return false;
  // What the peer sent before its end counts, and a goodbye comes with the data.
  engine_->drain();
  cut(now == LinkState::lost ? now : LinkState::broken);
  return true;
}

void VerbsLink::close(int64_t deadline) {
  std::lock_guard use(use_);
  if (closed_) return;
  closed_ = true;
  if (sender_ && state() == LinkState::up) {
    {
      std::lock_guard hold(send_lock_);
      sender_->outbox().enqueue_goodbye();
      (void)sender_->flush();
    }
    const auto gone = [&] {
      std::lock_guard hold(send_lock_);
      return sender_->idle();
    };
    while (state() == LinkState::up && !gone() && now_ns() < deadline)
      if (!engine_->progress()) sched_yield();
  }
  set_state(LinkState::closed);
  engine_->remove(*this);
  stop();
  sender_.reset();
  leased_.clear();
  regions_.clear();
  life_line_.close();
}

}  // namespace weft::verbs

#endif
