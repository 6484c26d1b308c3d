#include "transport/shm/shm_link.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "core/clock.h"

namespace weft {

namespace {
// To ring is to write: into a pipe it could raise SIGPIPE, into a file it would leave bytes behind.
bool is_eventfd(const Fd& fd) {
  char target[64];
  const ssize_t n = readlink(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), target, sizeof target);
  return n > 0 && std::string_view(target, static_cast<size_t>(n)) == "anon_inode:[eventfd]";
}
}  // namespace

Expected<std::unique_ptr<Link>> ShmLink::create(const Local& local, Session session) {
  if (session.fds.size() != 1 + kBays)
    return fail(Code::protocol, "the peer did not pass its arena and doorbells");
  size_t needed = kArenaHeaderBytes;
  for (const Inbound& in : session.inbound) needed = std::max(needed, in.offset + in.layout->bytes());
  if (session.hello.arena_bytes < needed) return fail(Code::protocol, "the peer's arena is too small");
  auto mapping = Mapping::of_file(session.fds[0].get(), session.hello.arena_bytes, false);
  if (!mapping) return std::unexpected(mapping.error());
  const auto* header = reinterpret_cast<const ArenaHeader*>((*mapping)->data());
  if (header->magic != kArenaMagic || header->version != kArenaVersion ||
      header->member != session.hello.from || header->epoch != session.hello.epoch ||
      header->bytes != session.hello.arena_bytes)
    return fail(Code::protocol, "what the peer passed is not its arena of this epoch");
  const uint32_t us = local.arena->header().member;
  if (std::max(us, session.hello.from) >= kLanes)
    return fail(Code::unavailable, "shared memory has lanes for the members 0 to 1023");
  const size_t lane_at = Arena::lane_at(session.hello.arena_bytes, us);
  auto lane = Mapping::of_file(session.fds[0].get(), kLaneBytes, false, lane_at);
  if (!lane) return std::unexpected(lane.error());

  std::array<Fd, kBays> bells;
  for (size_t i = 0; i < kBays; ++i) {
    bells[i] = std::move(session.fds[1 + i]);
    if (!is_eventfd(bells[i])) return fail(Code::protocol, "what the peer passed as its doorbell is none");
    // Ringing must never block us, whatever the peer passed.
    fcntl(bells[i].get(), F_SETFL, fcntl(bells[i].get(), F_GETFL) | O_NONBLOCK);
  }
  auto link = std::unique_ptr<ShmLink>(new ShmLink(local, std::move(session.socket)));
  link->peer_ = std::move(*mapping);
  link->peer_lane_ = std::move(*lane);
  link->arena_ = local.arena->mapping();
  link->doorbell_ = Doorbell(&header->parked, std::move(bells));
  link->inbound_ = std::move(session.inbound);
  auto& ours = *reinterpret_cast<Lane*>(local.arena->lane(session.hello.from));
  const auto& theirs = *reinterpret_cast<const Lane*>(link->peer_lane_->data());
  const auto epoch = static_cast<uint32_t>(local.epoch);
  link->sender_.emplace(epoch, std::span(link->arena_->data(), link->arena_->size()), ours, theirs);
  link->receiver_.emplace(epoch, std::span(link->peer_->data(), link->peer_->size()), ours, theirs,
                          link->leases_);
  link->engine_->add(*link);
  return link;
}

Expected<wire::Ticket> ShmLink::lease(std::span<std::byte> memory, uint16_t counters) {
  std::lock_guard hold(receive_lock_);
  if (state() != LinkState::up) return fail(Code::closed, "the link is not up");
  engine_->wake();
  return leases_.open(memory, counters);
}

// We copy under this lock, so with it nothing is on its way into the memory.
bool ShmLink::revoke(uint16_t lease) {
  wire::LeaseFrame note;
  {
    std::lock_guard hold(receive_lock_);
    note = leases_.close(lease);
    leases_.forget(lease);
  }
  std::lock_guard hold(send_lock_);
  if (state() != LinkState::up) return true;
  sender_->outbox().enqueue(note);
  send();
  return true;
}

Code ShmLink::write(const Writing& write, uint64_t& number) {
  std::lock_guard hold(send_lock_);
  if (state() != LinkState::up) return Code::again;
  engine_->wake();  // for what the peer has to say of it
  const Code queued = sender_->outbox().enqueue(write, number);
  if (queued == Code::ok) send();
  return queued;
}

bool ShmLink::send() {
  const bool sent = sender_->flush();
  if (sent) doorbell_.ring_for_lane();
  return sent;
}

bool ShmLink::receive() {
  const auto moved = receiver_->take();
  if (!moved && moved.error().code == Code::peer_lost) return false;  // its end is to be noticed yet
  if (!moved) {
    end(LinkState::broken);
    life_line_.cut();  // the peer is to know at once
  }
  if (moved && !*moved) return false;
  const auto revokes = receiver_->take_revokes();
  if (!revokes.empty()) {
    std::lock_guard hold(send_lock_);
    for (const wire::LeaseFrame& note : revokes) sender_->outbox().drop_writes(note.lease, note.generation);
    send();
  }
  doorbell_.ring_for_lane();  // the peer may wait for room
  own_bell_->ring();          // SYNC POINT doorbell: a thread of ours may sleep on what just became visible
  return true;
}

void ShmLink::end(LinkState how) {
  sender_->withdraw();
  set_state(how);
}

bool ShmLink::turn() {
  if (state() != LinkState::up) return false;
  bool moved = false;
  if (sender_->pending() && send_lock_.try_lock()) {
    moved = send();
    send_lock_.unlock();
  }
  if (!receive_lock_.try_lock()) {
    sched_yield();
    return true;  // whoever goes to sleep now is to look once more
  }
  if (state() == LinkState::up) moved |= receive();
  receive_lock_.unlock();
  return moved;
}

bool ShmLink::notice() {
  if (state() != LinkState::up) return false;
  const LinkState now = life_line_.look();
  if (now == LinkState::up) return false;
  // What the peer pushed before its end counts.
  std::lock_guard hold(receive_lock_);
  for (const int64_t until = now_ns() + kDrainNs; state() == LinkState::up && now_ns() < until;)
    if (!receive()) break;
  end(now);
  return true;
}

void ShmLink::cut(LinkState how) {
  std::lock_guard hold(receive_lock_);
  end(how);
  life_line_.cut();
}

void ShmLink::close(int64_t deadline) {
  if (life_line_.fd() < 0) return;
  while (state() == LinkState::up) {
    {
      std::lock_guard hold(send_lock_);
      send();
      if (sender_->idle()) break;
    }
    if (now_ns() >= deadline) break;
    turn();
    sched_yield();
  }
  engine_->remove(*this);
  std::scoped_lock hold(receive_lock_, send_lock_);
  if (state() == LinkState::up) {
    life_line_.say_goodbye();
    end(LinkState::closed);
  }
  life_line_.close();
  doorbell_.close();
}

}  // namespace weft
