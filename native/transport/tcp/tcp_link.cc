#include "transport/tcp/tcp_link.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>

#include "core/clock.h"

namespace weft {

namespace {
// When a socket is closed with bytes unread, the kernel resets the connection and drops what it has not sent
// yet. So they are read away until all of ours is on its way. (Until it is acknowledged would be safer where
// packets get lost, but acknowledgements are delayed by 40 ms.)
void see_off(int socket, int64_t deadline) {
  constexpr size_t kMuch = 1 << 20;
  for (int turns = 16;
       turns > 0 && now_ns() < deadline;) {  // a peer that never stops sending holds nobody up
    int left = 0;
    if (ioctl(socket, SIOCOUTQNSD, &left) != 0) return;
    if (left == 0) --turns;
    const ssize_t n = recv(socket, nullptr, kMuch, MSG_TRUNC | MSG_DONTWAIT);
    if (n > 0 || (n < 0 && errno == EINTR)) continue;
    if (n == 0 || errno != EAGAIN || left == 0) return;
    pollfd p{socket, POLLIN, 0};
    poll(&p, 1, 1);
  }
}
}  // namespace

Expected<std::unique_ptr<Link>> TcpLink::create(const Local& local, Session session) {
  const size_t bytes = place_mirrors(session.inbound);
  auto memory = Mapping::anonymous(bytes);
  if (!memory) return std::unexpected(memory.error());
  return std::unique_ptr<Link>(new TcpLink(local, std::move(session), std::move(*memory)));
}

TcpLink::TcpLink(const Local& local, Session session, std::shared_ptr<Mapping> memory)
    : socket_(std::move(session.socket)),
      sender_(static_cast<uint32_t>(local.epoch), session.inbound),
      receiver_(static_cast<uint32_t>(local.epoch), std::move(session.inbound), std::move(memory), leases_),
      doorbell_(local.doorbell) {}

void TcpLink::publish(const Outgoing& rows) {
  std::lock_guard hold(send_lock_);
  if (state() != LinkState::up) return;
  if (sender_.enqueue(rows))
    sender_.flush(socket_.get(), 0);
  else
    shutdown(socket_.get(), SHUT_RDWR);  // the peer replies to what it has not taken in: away with it
}

Expected<wire::Ticket> TcpLink::lease(std::span<std::byte> memory, uint16_t counters) {
  std::lock_guard hold(receive_lock_);
  return leases_.open(memory, counters);
}

// Whoever receives has this lock, so with it nothing is on its way into the memory.
bool TcpLink::revoke(uint16_t lease) {
  wire::LeaseFrame note;
  {
    std::lock_guard hold(receive_lock_);
    note = leases_.close(lease);
    receiver_.forget(lease);
    leases_.forget(lease);
  }
  std::lock_guard hold(send_lock_);
  if (state() != LinkState::up) return true;
  sender_.outbox().enqueue(note);
  sender_.flush(socket_.get(), 0);
  return true;
}

// That the peer wants no more spares us to send it; it would not take it anyway.
void TcpLink::heed_revokes() {
  const auto revokes = receiver_.take_revokes();
  if (revokes.empty()) return;
  std::lock_guard hold(send_lock_);
  for (const wire::LeaseFrame& note : revokes) sender_.outbox().drop_writes(note.lease, note.generation);
  doorbell_->ring();  // what was dropped is done with
}

bool TcpLink::flush() {
  const uint64_t before = written();
  const bool moved = sender_.flush(socket_.get());
  if (written() != before) doorbell_->ring();
  return moved;
}

Code TcpLink::write(const Writing& write, uint64_t& number) {
  std::lock_guard hold(send_lock_);
  if (state() != LinkState::up) return Code::again;
  const Code queued = sender_.outbox().enqueue(write, number);
  if (queued == Code::ok) flush();
  return queued;
}

// The receiving half applies what comes, so that nothing is written any more when its lock can be had.
void TcpLink::cut(LinkState how) {
  set_state(how);
  std::scoped_lock hold(send_lock_, receive_lock_);
  if (socket_) shutdown(socket_.get(), SHUT_RDWR);
}

bool TcpLink::progress() {
  if (state() != LinkState::up) return false;
  bool moved = false;
  if (sender_.pending() && send_lock_.try_lock()) {
    if (state() == LinkState::up) moved |= flush();
    send_lock_.unlock();
  }
  if (!receive_lock_.try_lock()) {
    sched_yield();  // the holder may share our core, and spinning would keep it from going on
    return moved;
  }
  if (state() == LinkState::up) {
    switch (receiver_.receive(socket_.get())) {
      case Received::nothing:
        break;
      case Received::bytes:
        moved = true;
        break;
      case Received::round:
        moved = true;
        doorbell_->ring();  // SYNC POINT doorbell: a thread of ours may sleep on what just became visible
        break;
      case Received::goodbye:
        moved = true;
        set_state(LinkState::closed);
        break;
      case Received::end:
        moved = true;
        set_state(LinkState::lost);
        break;
      case Received::nonsense:
        moved = true;
        set_state(LinkState::broken);
        shutdown(socket_.get(), SHUT_RDWR);  // the peer is to know at once
        break;
    }
    if (state() == LinkState::up)
      heed_revokes();
    else
      doorbell_->ring();
  }
  receive_lock_.unlock();
  return moved;
}

void TcpLink::close(int64_t deadline) {
  std::scoped_lock hold(send_lock_, receive_lock_);
  if (!socket_) return;
  if (state() == LinkState::up) {
    sender_.outbox().enqueue_goodbye();
    while (!sender_.outbox().empty() && now_ns() < deadline) {
      if (sender_.flush(socket_.get())) continue;
      pollfd p{socket_.get(), POLLOUT, 0};
      poll(&p, 1, 10);
    }
    if (!sender_.failed()) see_off(socket_.get(), deadline);
    set_state(LinkState::closed);
  }
  socket_.reset();
}

}  // namespace weft
