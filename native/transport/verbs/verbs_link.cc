#include "transport/verbs/verbs_link.h"

#if WEFT_HAVE_VERBS

#include <sched.h>

#include <algorithm>
#include <cstring>

#include "core/clock.h"

namespace weft::verbs {

Expected<std::unique_ptr<Link>> VerbsLink::create(const Local& local, Session session) {
  std::unique_ptr<VerbsLink> link(new VerbsLink(local));
  if (auto done = link->set_up(local, std::move(session)); !done) return std::unexpected(done.error());
  return link;
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
