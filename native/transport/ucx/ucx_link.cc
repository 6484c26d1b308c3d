#include "transport/ucx/ucx_link.h"

#if WEFT_HAVE_UCX

#include <sched.h>

#include <algorithm>

#include "core/clock.h"

namespace weft {

namespace {
// What is under way to or from a peer ends at once when its endpoint is closed by force, as far as UCX is
// sound. This is for when it is not.
constexpr int64_t kQuiesceNs = 1'000'000'000;
// A goodbye on the life line may overtake the frame.
constexpr int64_t kGoodbyeFrameNs = 200'000'000;
}  // namespace

UcxLink::UcxLink(UcxEngine& engine, const Local& local, Session& session, std::shared_ptr<Mapping> memory)
    : engine_(&engine), mirrors_(std::move(memory)), inbound_(session.inbound), life_line_(Fd()) {
  const auto epoch = static_cast<uint32_t>(local.epoch);
  const auto hold = engine.enter();
  sender_ = std::make_shared<UcxSender>(engine, epoch, session.inbound);
  receiver_ = std::make_shared<UcxReceiver>(engine, epoch, std::move(session.inbound), mirrors_, leases_);
  number_ = engine.enroll(*this);
}

UcxLink::~UcxLink() {
  if (engine_ == nullptr) return;
  const auto hold = engine_->enter();
  leave();
}

void UcxLink::publish(const Outgoing& rows) {
  std::lock_guard use(use_);
  if (engine_ == nullptr) return;
  const auto hold = engine_->enter();
  if (state() != LinkState::up || peer_ == nullptr) return;
  if (!sender_->enqueue(rows)) {
    // The peer replies to what it has not taken in: away with it.
    set_state(LinkState::lost);
    engine_->ring();
    engine_->attend();
    engine_->turn();
    return;
  }
  sender_->pump(peer_);
}

Expected<wire::Ticket> UcxLink::lease(std::span<std::byte> memory, uint16_t counters) {
  std::lock_guard use(use_);
  if (engine_ == nullptr) return fail(Code::closed, "the link is closed");
  const auto hold = engine_->enter();
  return leases_.open(memory, counters);
}

bool UcxLink::revoke(uint16_t lease) {
  std::lock_guard use(use_);
  const auto hold = engine_ == nullptr ? std::unique_lock<std::mutex>() : engine_->enter();
  const wire::LeaseFrame note = leases_.close(lease);
  if (engine_ != nullptr && state() == LinkState::up && peer_ != nullptr) {
    receiver_->forget(lease);
    sender_->outbox().enqueue(note);
    sender_->pump(peer_);
  }
  return forget(lease);
}

bool UcxLink::quiet(uint16_t lease) {
  std::lock_guard use(use_);
  const auto hold = engine_ == nullptr ? std::unique_lock<std::mutex>() : engine_->enter();
  return forget(lease);
}

bool UcxLink::forget(uint16_t lease) {
  if (unsound_ || receiver_->writes_into(lease)) return false;
  leases_.forget(lease);
  return true;
}

Code UcxLink::write(const Writing& write, uint64_t& number) {
  std::lock_guard use(use_);
  if (engine_ == nullptr) return Code::again;
  const auto hold = engine_->enter();
  if (state() != LinkState::up || peer_ == nullptr) return Code::again;
  const Code queued = sender_->outbox().enqueue(write, number);
  if (queued == Code::ok) sender_->pump(peer_);
  return queued;
}

ucs_status_t UcxLink::take(const UcxArrival& arrival) {
  return state() == LinkState::up ? receiver_->take(arrival) : UCS_OK;
}

void UcxLink::failed(void* self, ucp_ep_h, ucs_status_t status) {
  auto& link = *static_cast<UcxLink*>(self);
  if (link.peer_failure_ == UCS_OK) link.peer_failure_ = status;
  link.engine_->attend();
}

ucs_status_t UcxLink::failure() const {
  if (peer_failure_ != UCS_OK) return peer_failure_;
  return sender_->failure() != UCS_OK ? sender_->failure() : receiver_->failure();
}

void UcxLink::attend(bool quiet) {
  const bool was_up = state() == LinkState::up;
  if (was_up && peer_ == nullptr) return;  // being cut
  if (was_up) {
    if (receiver_->saw_goodbye()) {
      set_state(LinkState::closed);
      life_line_.say_goodbye();  // the peer waits for it
    } else if (receiver_->saw_nonsense()) {
      set_state(LinkState::broken);
    } else if (failure() == UCS_OK) {
      for (const wire::LeaseFrame& note : receiver_->take_revokes())
        sender_->outbox().drop_writes(note.lease, note.generation);
      return sender_->pump(peer_);
    } else if (quiet) {
      set_state(LinkState::lost, why());
    } else {
      return engine_->attend();  // what the peer sent before counts: first all of it
    }
    engine_->ring();
  }
  if (state() == LinkState::closed && peer_failure_ == UCS_OK)
    return;  // it may want answers to its last data
  hang_up();
  life_line_.cut();  // the peer is to know at once
}

bool UcxLink::notice() {
  std::lock_guard use(use_);
  if (state() != LinkState::up || engine_ == nullptr) return false;
  const auto hold = engine_->enter();
  LinkState now = life_line_.look();
  if (now == LinkState::up) return false;
  if (now == LinkState::closed) {
    said_goodbye_ = true;
    now = life_line_.look();
  }
  engine_->drain();
  if (state() != LinkState::up) return true;
  if (said_goodbye_ && now != LinkState::broken) {
    if (give_up_ns_ == 0) give_up_ns_ = now_ns() + kGoodbyeFrameNs;
    if (now_ns() < give_up_ns_) return false;
    now = LinkState::closed;
  }
  set_state(now, why());
  hang_up();
  quiesce();
  return true;
}

void UcxLink::hang_up() {
  sender_->stop();
  receiver_->stop();
  if (peer_ == nullptr) return;
  description_ = devices();
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
  param.flags = UCP_EP_CLOSE_FLAG_FORCE;
  const ucs_status_ptr_t request = engine_->ucx().ucp_ep_close_nbx(std::exchange(peer_, nullptr), &param);
  if (UCS_PTR_IS_PTR(request)) hanging_up_ = request;
}

bool UcxLink::quiesce() {
  const int64_t deadline = now_ns() + kQuiesceNs;
  for (;;) {
    if (hanging_up_ != nullptr && engine_->ucx().ucp_request_check_status(hanging_up_) != UCS_INPROGRESS)
      engine_->ucx().ucp_request_free(std::exchange(hanging_up_, nullptr));
    if (hanging_up_ == nullptr && sender_->under_way() == 0 && receiver_->under_way() == 0) return true;
    if (!engine_->turn()) sched_yield();
    if (now_ns() >= deadline) return false;
  }
}

void UcxLink::cut(LinkState how) {
  std::lock_guard use(use_);
  if (engine_ == nullptr) return;
  const auto hold = engine_->enter();
  hang_up();
  quiesce();
  set_state(how, why());
  life_line_.cut();
}

// The goodbye is behind all that was sent, and the peer answers it on the life line. Only then may our end of
// the connections go: with something unread in one of them, the kernel would drop what it has not sent.
void UcxLink::say_goodbye(int64_t deadline) {
  sender_->outbox().enqueue_goodbye();
  while (peer_ != nullptr && failure() == UCS_OK) {
    sender_->pump(peer_);
    if (!engine_->turn()) sched_yield();
    if (life_line_.look() != LinkState::up || now_ns() >= deadline) return;
  }
}

void UcxLink::close(int64_t deadline) {
  std::lock_guard use(use_);
  if (engine_ == nullptr) return;
  const auto hold = engine_->enter();
  if (state() == LinkState::up) say_goodbye(deadline);
  set_state(LinkState::closed);
  leave();
  life_line_.say_goodbye();
  life_line_.close();
}

void UcxLink::leave() {
  hang_up();
  const bool quiet = quiesce();
  if (hanging_up_ != nullptr) engine_->ucx().ucp_request_free(std::exchange(hanging_up_, nullptr));
  engine_->dismiss(number_);
  if (quiet)
    receiver_->forget_memory();
  else
    engine_->keep(sender_, receiver_), unsound_ = true;
  engine_ = nullptr;
}

const char* UcxLink::why() const {
  return failure() == UCS_OK ? nullptr : engine_->ucx().ucs_status_string(failure());
}

std::string UcxLink::describe() const {
  std::lock_guard use(use_);
  if (engine_ == nullptr) return description_;
  const auto hold = engine_->enter();
  return devices();
}

std::string UcxLink::devices() const {
  if (peer_ == nullptr) return description_;
  const std::string text =
      ucx_printed([&](FILE* stream) { engine_->ucx().ucp_ep_print_info(peer_, stream); });
  // "#                 lane[0]:  1:tcp/lo.0 md[1] -> ...": "tcp/lo", once for each device.
  std::string devices;
  for (size_t at = text.find("lane["); at != std::string::npos; at = text.find("lane[", at + 1)) {
    const size_t name = text.find(':', text.find("]:", at) + 2) + 1;
    const size_t end = text.find(' ', name);
    std::string device = text.substr(name, end - name);
    device.resize(std::min(device.size(), device.rfind('.')));  // the path of the device
    if ((", " + devices + ",").find(", " + device + ",") != std::string::npos) continue;
    devices += (devices.empty() ? "" : ", ") + device;
  }
  return devices;
}

}  // namespace weft

#endif  // WEFT_HAVE_UCX
