#include "transport/ucx/sender.h"

#if WEFT_HAVE_UCX

#include <algorithm>
#include <cstring>

namespace weft {

namespace {
// Frames are not cut: over most transports UCX moves a long message in pieces of its own, and faster.
constexpr size_t kWholeFrame = SIZE_MAX;
// Runs are gathered into a message of at most so many bytes, one fragment of every transport that UCX has.
// Longer runs have a message each. UCX receives a long gathered message by copying it twice, or hangs (1.13,
// rendezvous on tcp).
constexpr size_t kGatheredBytes = 8000;
// Rows find room in UCX's queues beside page push.
constexpr size_t kMostWritesUnderWay = 4;
}  // namespace

UcxSender::UcxSender(UcxEngine& engine, uint32_t epoch, std::span<const Inbound> inbound)
    : engine_(engine), outbox_(epoch, inbound) {}

UcxSender::Place* UcxSender::free_place() {
  for (auto& place : places_) {
    if (!place) {
      place = std::make_unique<Place>();
      place->sender = this;
    }
    if (!place->taken) return place.get();
  }
  return nullptr;
}

void UcxSender::open_frame() {
  outbox_.seal(kWholeFrame);
  runs_.clear();
  sent_ = 0;
  opened_ = false;
  outbox_.for_each_piece([&](const std::byte* data, size_t bytes) {
    for (; bytes > most_bytes_; data += most_bytes_, bytes -= most_bytes_)
      runs_.push_back({data, most_bytes_});
    if (bytes > 0) runs_.push_back({data, bytes});
    return true;
  });
}

void UcxSender::pump(ucp_ep_h peer) {
  while (!outbox_.empty() && failure_ == UCS_OK) {
    Place* place = free_place();
    if (place == nullptr || (outbox_.next_is_write() && under_way_ >= kMostWritesUnderWay)) break;
    if (!outbox_.sealed()) open_frame();
    if (!send_next(peer, *place)) break;
    if (sent_ < runs_.size()) continue;
    if (brings_data(outbox_.frame())) counts_.messages.add(1);
    outbox_.sent();
  }
  note_written();
  const bool left = !outbox_.empty() || under_way_ > 0;
  busy_.store(left || failure_ != UCS_OK, std::memory_order_relaxed);  // a failure is to be noticed soon
}

bool UcxSender::send_next(ucp_ep_h peer, Place& place) {
  size_t count = 0, bytes = 0;
  while (sent_ + count < runs_.size() && count < kMostRuns &&
         (count == 0 || bytes + runs_[sent_ + count].bytes <= kGatheredBytes))
    bytes += runs_[sent_ + count++].bytes;

  place.message.link = their_link_;
  place.message.sequence = sequence_;
  const size_t header_bytes = opened_ ? kUcxGoesOn : sizeof place.message;
  if (!opened_) place.message.frame = outbox_.frame();

  ucp_request_param_t param{};
  param.op_attr_mask =
      UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FIELD_MEMORY_TYPE;
  param.cb.send = done;
  param.user_data = &place;
  param.memory_type = UCS_MEMORY_TYPE_HOST;
  const void* payload = count > 0 ? runs_[sent_].data : nullptr;
  size_t length = bytes;
  if (count > 1 || most_bytes_ != SIZE_MAX) {
    // The receiver takes a rendezvous of one run only.
    param.op_attr_mask |= UCP_OP_ATTR_FIELD_FLAGS;
    param.flags = UCP_AM_SEND_FLAG_EAGER;
  }
  if (count > 1 && bytes <= kPackedBytes) {
    // UCX sends a short message within the call, if it is in one piece.
    std::byte* to = place.packed.data();
    payload = to;
    for (size_t i = 0; i < count; ++i) {
      std::memcpy(to, runs_[sent_ + i].data, runs_[sent_ + i].bytes);
      to += runs_[sent_ + i].bytes;
    }
  } else if (count > 1) {
    for (size_t i = 0; i < count; ++i)
      place.runs[i] = {const_cast<std::byte*>(runs_[sent_ + i].data), runs_[sent_ + i].bytes};
    param.op_attr_mask |= UCP_OP_ATTR_FIELD_DATATYPE;
    param.datatype = UCP_DATATYPE_IOV;
    payload = place.runs.data();
    length = count;
  } else if (count == 1 && engine_.arena_memory() != nullptr && engine_.in_arena(runs_[sent_].data, bytes)) {
    param.op_attr_mask |= UCP_OP_ATTR_FIELD_MEMH;
    param.memh = engine_.arena_memory();
  }
  const ucs_status_ptr_t request = engine_.ucx().ucp_am_send_nbx(peer, kUcxMessageId, &place.message,
                                                                 header_bytes, payload, length, &param);
  if (UCS_PTR_IS_ERR(request)) {
    failure_ = UCS_PTR_STATUS(request);
    outbox_.clear();
    engine_.attend();
    return false;
  }
  if (request != nullptr) {
    place.taken = true;
    place.written = outbox_.written();
    ++under_way_;
  }
  ++sequence_;
  counts_.requests.add(1);
  counts_.bytes.add(header_bytes + bytes);
  sent_ += count;
  opened_ = true;
  return true;
}

// What a message under way belongs to is not done with, nor what comes after that.
void UcxSender::note_written() {
  uint64_t written = outbox_.written();
  const uint64_t before = written_.load(std::memory_order_relaxed);
  if (written == before) return;
  for (const auto& place : places_)
    if (place && place->taken) written = std::min(written, place->written);
  if (written == before) return;
  written_.store(written, std::memory_order_release);
  engine_.ring();
}

void UcxSender::done(void* request, ucs_status_t status, void* user) {
  Place& place = *static_cast<Place*>(user);
  UcxSender& sender = *place.sender;
  sender.engine_.ucx().ucp_request_free(request);
  place.taken = false;
  --sender.under_way_;
  sender.note_written();
  if (status != UCS_OK && sender.failure_ == UCS_OK) sender.failure_ = status;
  sender.engine_.attend();
}

}  // namespace weft

#endif  // WEFT_HAVE_UCX
