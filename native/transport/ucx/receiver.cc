#include "transport/ucx/receiver.h"

#if WEFT_HAVE_UCX

#include <algorithm>
#include <cstring>
#include <utility>

namespace weft {

namespace {
// Messages that may come before their turn; honest peers stay far below.
constexpr size_t kMostHeld = 4096;
constexpr size_t kHeldAtFirst = 64;
}  // namespace

UcxReceiver::UcxReceiver(UcxEngine& engine, uint32_t epoch, std::vector<Inbound> inbound,
                         std::shared_ptr<Mapping> memory, Leases& leases)
    : engine_(engine),
      mirrors_(epoch, std::move(inbound), std::move(memory)),
      leases_(leases),
      held_(kHeldAtFirst),
      body_(mirrors_.most_pieces()) {
  for (Open& open : open_) open.receiver = this;
  memory_ = engine_.worker().register_memory({mirrors_.memory()->data(), mirrors_.memory()->size()});
}

UcxReceiver::~UcxReceiver() { forget_memory(); }

void UcxReceiver::forget_memory() {
  if (memory_ != nullptr) engine_.worker().forget_memory(std::exchange(memory_, nullptr));
}

ucs_status_t UcxReceiver::take(const UcxArrival& arrival) {
  if (stopped_) return UCS_OK;
  const uint64_t early = arrival.message.sequence - next_;
  if (early >= kMostHeld) {
    nonsense();
    return UCS_OK;
  }
  if (early > 0 || must_wait(arrival)) return hold(arrival);
  const bool goes_on = start(arrival);
  ++next_;
  start_held();
  return goes_on ? UCS_INPROGRESS : UCS_OK;
}

// Only frames of different slots are put together at the same time: whether a frame is in order can be said
// when the one before it in its slot has been applied.
bool UcxReceiver::must_wait(const UcxArrival& arrival) {
  if (!arrival.begins || open_count_ == 0) return false;
  if (open_count_ == kMostOpen || arrival.message.frame.kind == wire::FrameKind::goodbye) return true;
  for (size_t i = 0; i < open_count_; ++i) {
    const wire::Frame& other = open(i).frame;
    if (other.kind != wire::FrameKind::rows || arrival.message.frame.kind != wire::FrameKind::rows) continue;
    const uint32_t depth = mirrors_.inbound(open(i).inbound).layout->shape().depth;
    if (other.publication == arrival.message.frame.publication &&
        other.generation % depth == arrival.message.frame.generation % depth)
      return true;
  }
  return false;
}

bool UcxReceiver::start(const UcxArrival& arrival) {
  const bool all_brought = open_count_ == 0 || open(open_count_ - 1).to_come == 0;
  if (arrival.begins != all_brought || (arrival.begins && !begin(arrival.message.frame))) {
    nonsense();
    return false;
  }
  if (arrival.begins && !brings_data(arrival.message.frame)) return false;
  const bool goes_on = put(arrival);
  apply();
  return goes_on;
}

bool UcxReceiver::begin(const wire::Frame& frame) {
  size_t inbound = 0;
  if (mirrors_.accept(frame, inbound) != Code::ok) return false;
  if (frame.kind == wire::FrameKind::goodbye) {
    saw_goodbye_ = stopped_ = true;
    engine_.attend();
    return true;
  }
  if (frame.kind == wire::FrameKind::revoke) {
    revokes_.push_back(as_lease_frame(frame));
    engine_.attend();
    return true;
  }
  std::byte* to = nullptr;
  if (!brings_data(frame) ||
      (frame.kind == wire::FrameKind::write && leases_.accept(as_lease_frame(frame), to) != Code::ok))
    return false;
  Open& open = this->open(open_count_++);
  open.frame = frame;
  open.inbound = inbound;
  open.to_come = frame.body_bytes;
  open.under_way = 0;
  if (frame.kind == wire::FrameKind::rows) {
    mirrors_.body_of(frame, inbound, body_);
  } else {
    body_.clear();
    body_.add(to, frame.body_bytes);
  }
  return true;
}

void UcxReceiver::forget(uint16_t lease) {
  if (open_count_ > 0 && is_of(open(open_count_ - 1), lease)) body_.forget();
}

bool UcxReceiver::writes_into(uint16_t lease) const {
  for (size_t i = 0; i < open_count_; ++i) {
    const Open& open = open_[(first_open_ + i) % kMostOpen];
    if (open.under_way > 0 && is_of(open, lease)) return true;
  }
  return false;
}

// Puts a payload where the body goes on; true when UCX does so, and goes on with it.
bool UcxReceiver::put(const UcxArrival& arrival) {
  Open& open = this->open(open_count_ - 1);
  // An empty message brings nothing but a frame that has no body.
  if (arrival.bytes > open.to_come || (arrival.bytes == 0 && open.to_come > 0 && !arrival.begins)) {
    nonsense();
    return false;
  }
  open.to_come -= arrival.bytes;
  if (!arrival.rendezvous()) {
    body_.put(static_cast<const std::byte*>(arrival.data), arrival.bytes);
    return false;
  }
  if (arrival.bytes == 0 || arrival.bytes > body_.rest().front().bytes) {
    nonsense();  // a rendezvous brings bytes of one column
    return false;
  }
  const ucs_status_ptr_t request = receive(arrival, open);
  body_.step(arrival.bytes);
  if (UCS_PTR_IS_ERR(request)) {
    failure_ = UCS_PTR_STATUS(request);
    stopped_ = true;
    engine_.attend();
  } else if (request != nullptr) {
    ++open.under_way;
    ++under_way_;
  }
  return true;
}

// The bytes of a rendezvous.
ucs_status_ptr_t UcxReceiver::receive(const UcxArrival& arrival, Open& open) {
  std::byte* to = body_.rest().front().data;
  const bool in_mirror = open.frame.kind == wire::FrameKind::rows;
  ucp_mem_h memory = in_mirror ? memory_ : engine_.arena_memory();
  if (to == nullptr) {
    nowhere_.resize(wire::kMaxWriteBytes);
    to = nowhere_.data();
    memory = nullptr;
  }
  ucp_request_param_t param{};
  param.op_attr_mask =
      UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FIELD_MEMORY_TYPE;
  param.cb.recv_am = done;
  param.user_data = &open;
  param.memory_type = UCS_MEMORY_TYPE_HOST;
  if (memory != nullptr) {
    param.op_attr_mask |= UCP_OP_ATTR_FIELD_MEMH;
    param.memh = memory;
  }
  return engine_.ucx().ucp_am_recv_data_nbx(engine_.worker().handle(), arrival.data, to, arrival.bytes,
                                            &param);
}

// Frames become visible in the order in which they were sent.
void UcxReceiver::apply() {
  while (!stopped_ && open_count_ > 0 && open(0).to_come == 0 && open(0).under_way == 0) {
    const Open& first = open(0);
    if (first.frame.kind == wire::FrameKind::write)
      leases_.count(as_lease_frame(first.frame));
    else if (mirrors_.apply(first.frame, first.inbound) != Code::ok)
      return nonsense();
    arrivals_.add(1);
    engine_.ring();
    first_open_ = (first_open_ + 1) % kMostOpen;
    --open_count_;
  }
}

void UcxReceiver::done(void* request, ucs_status_t status, size_t, void* user) {
  Open& open = *static_cast<Open*>(user);
  UcxReceiver& receiver = *open.receiver;
  receiver.engine_.ucx().ucp_request_free(request);
  --open.under_way;
  --receiver.under_way_;
  if (receiver.stopped_) return;
  if (status != UCS_OK) {
    receiver.failure_ = status;
    receiver.stopped_ = true;
    receiver.engine_.attend();
    return;
  }
  receiver.apply();
  receiver.start_held();
}

void UcxReceiver::start_held() {
  while (!stopped_ && held(next_).taken) {
    Held& held = this->held(next_);
    if (must_wait(held.arrival)) return;
    const bool by_ucx = held.kept_by_ucx;
    held.taken = false;
    const bool goes_on = start(held.arrival);
    if (by_ucx && !goes_on) engine_.ucx().ucp_am_data_release(engine_.worker().handle(), held.arrival.data);
    ++next_;
  }
}

ucs_status_t UcxReceiver::hold(const UcxArrival& arrival) {
  while (arrival.message.sequence - next_ >= held_.size()) {
    std::vector<Held> more(2 * held_.size());
    for (Held& held : held_)
      if (held.taken) more[held.arrival.message.sequence % more.size()] = std::move(held);
    held_ = std::move(more);
  }
  Held& held = this->held(arrival.message.sequence);
  if (held.taken) {
    nonsense();
    return UCS_OK;
  }
  held.taken = true;
  held.arrival = arrival;
  held.kept_by_ucx = (arrival.attributes & (UCP_AM_RECV_ATTR_FLAG_RNDV | UCP_AM_RECV_ATTR_FLAG_DATA)) != 0;
  if (held.kept_by_ucx) return UCS_INPROGRESS;
  const auto* data = static_cast<const std::byte*>(arrival.data);
  held.copy.assign(data, data + arrival.bytes);
  held.arrival.data = held.copy.data();
  return UCS_OK;
}

void UcxReceiver::nonsense() {
  saw_nonsense_ = true;
  stopped_ = true;
  engine_.attend();
}

void UcxReceiver::stop() {
  stopped_ = true;
  for (Held& held : held_) {
    if (held.taken && held.kept_by_ucx)
      engine_.ucx().ucp_am_data_release(engine_.worker().handle(), held.arrival.data);
    held.taken = false;
  }
}

}  // namespace weft

#endif  // WEFT_HAVE_UCX
