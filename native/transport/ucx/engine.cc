#include "transport/ucx/engine.h"

#if WEFT_HAVE_UCX

#include <sched.h>
#include <sys/random.h>

#include <algorithm>
#include <cstring>

#include "core/clock.h"
#include "transport/ucx/message.h"
#include "transport/ucx/ucx_link.h"

namespace weft {

namespace {
// The lower bits of a link's number are its seat, the upper ones can't be guessed: a peer knows its own only.
constexpr uint64_t kSeats = 1 << 16;
constexpr int64_t kLightSleepNs = 1'000'000;
}  // namespace

Expected<std::unique_ptr<UcxEngine>> UcxEngine::create(const Local& local, size_t links) {
  auto worker = UcxWorker::create(links);
  if (!worker) return std::unexpected(worker.error());
  std::unique_ptr<UcxEngine> engine(new UcxEngine(local, std::move(*worker)));
  ucp_am_handler_param_t handler{};
  handler.field_mask =
      UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG;
  handler.arg = engine.get();
  const auto ignore = [](void*, const void*, size_t, void*, size_t, const ucp_am_recv_param_t*) {
    return UCS_OK;
  };
  for (const auto& [id, cb] : {std::pair<unsigned, ucp_am_recv_callback_t>(kUcxMessageId, receive),
                               std::pair<unsigned, ucp_am_recv_callback_t>(kUcxPrimerId, ignore)}) {
    handler.id = id;
    handler.cb = cb;
    const ucs_status_t status =
        engine->ucx().ucp_worker_set_am_recv_handler(engine->worker().handle(), &handler);
    if (status != UCS_OK) return ucx_failure(engine->ucx(), "UCX takes no handler for messages", status);
  }
  return engine;
}

UcxEngine::UcxEngine(const Local& local, std::unique_ptr<UcxWorker> worker)
    : doorbell_(local.doorbell), arena_(local.arena->mapping()), worker_(std::move(worker)) {
  arena_memory_ = worker_->register_memory({arena_->data(), arena_->size()});
}

UcxEngine::~UcxEngine() {
  worker_->stop();  // before what it may still touch goes away
  for (const auto& [sender, receiver] : kept_) receiver->forget_memory();
  worker_->forget_memory(arena_memory_);
}

std::unique_lock<std::mutex> UcxEngine::enter() {
  wanted_.fetch_add(1, std::memory_order_relaxed);
  std::unique_lock hold(lock_);
  wanted_.fetch_sub(1, std::memory_order_relaxed);
  return hold;
}

bool UcxEngine::progress() {
  if (wanted_.load(std::memory_order_relaxed) > 0 || !lock_.try_lock()) {
    sched_yield();  // who has the lock may share our core, and spinning would keep it from going on
    return false;
  }
  const bool moved = turn();
  lock_.unlock();
  return moved;
}

bool UcxEngine::turn() {
  const bool moved = ucx().ucp_worker_progress(worker_->handle()) != 0;
  if (attention_) {
    attention_ = false;
    for (size_t i = 0; i < seats_.size(); ++i)
      if (seats_[i].link != nullptr) seats_[i].link->attend(!moved);
  }
  if (news_) {
    news_ = false;
    doorbell_->ring();  // SYNC POINT doorbell: a thread of ours may sleep on what just became visible
  }
  return moved;
}

void UcxEngine::drain() {
  const int64_t until = now_ns() + kDrainNs;
  while (turn() && now_ns() < until) {
  }
}

bool UcxEngine::arm() {
  const auto hold = enter();
  if (attention_ || news_ || ucx().ucp_worker_arm(worker_->handle()) != UCS_OK) return false;
  // Some devices tell of nothing that came between the last turn and the arming.
  return !turn();
}

bool UcxEngine::in_arena(const std::byte* data, size_t bytes) const {
  return data >= arena_->data() && data + bytes <= arena_->data() + arena_->size();
}

void UcxEngine::sleep_lightly() { longest_sleep_ns_.store(kLightSleepNs, std::memory_order_relaxed); }

uint64_t UcxEngine::enroll(UcxLink& link) {
  auto free =
      std::find_if(seats_.begin(), seats_.end(), [](const Seat& seat) { return seat.link == nullptr; });
  if (free == seats_.end()) free = seats_.insert(free, Seat{});
  uint64_t secret = 0;
  // Without it a hostile peer may pass for another; there is nothing better to do then.
  (void)!getrandom(&secret, sizeof secret, 0);
  *free = {secret / kSeats * kSeats + static_cast<uint64_t>(free - seats_.begin()), &link};
  return free->number;
}

void UcxEngine::dismiss(uint64_t number) { seats_[number % kSeats].link = nullptr; }

void UcxEngine::keep(std::shared_ptr<UcxSender> sender, std::shared_ptr<UcxReceiver> receiver) {
  kept_.emplace_back(std::move(sender), std::move(receiver));
}

ucs_status_t UcxEngine::receive(void* self, const void* header, size_t header_bytes, void* data, size_t bytes,
                                const ucp_am_recv_param_t* param) {
  auto& engine = *static_cast<UcxEngine*>(self);
  UcxMessage message;
  if (header_bytes != sizeof message && header_bytes != kUcxGoesOn) return UCS_OK;
  std::memcpy(&message, header, header_bytes);
  const uint64_t seat = message.link % kSeats;
  if (seat >= engine.seats_.size() || engine.seats_[seat].number != message.link) return UCS_OK;
  UcxLink* link = engine.seats_[seat].link;
  if (link == nullptr) return UCS_OK;
  return link->take({message, header_bytes == sizeof message, data, bytes, param->recv_attr});
}

}  // namespace weft

#endif  // WEFT_HAVE_UCX
