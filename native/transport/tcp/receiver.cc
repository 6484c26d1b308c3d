#include "transport/tcp/receiver.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace weft {

namespace {
// Headers and small bodies arrive here, several at a time; a large body is received in place, but for what
// came along with its header.
constexpr size_t kStagingBytes = 16 * 1024;
constexpr size_t kMaxPieces = 16;
}  // namespace

TcpReceiver::TcpReceiver(uint32_t epoch, std::vector<Inbound> inbound, std::shared_ptr<Mapping> memory)
    : epoch_(epoch), inbound_(std::move(inbound)), memory_(std::move(memory)), staging_(kStagingBytes) {
  size_t columns = 0;
  for (const Inbound& in : inbound_) {
    slots_.push_back(std::make_unique<Slot[]>(in.layout->shape().depth));
    columns = std::max(columns, in.layout->shape().column_bytes.size());
  }
  body_.reserve(columns + 2);
}

void TcpReceiver::release(size_t inbound, uint64_t generation) {
  slot(inbound, inbound_[inbound].layout->slot_of(generation))
      .released.store(generation, std::memory_order_release);
}

Code TcpReceiver::accept() {
  body_.clear();
  body_at_ = 0;
  const auto match = std::find_if(inbound_.begin(), inbound_.end(), [&](const Inbound& in) {
    return in.publication == frame_.publication && in.destination == frame_.destination;
  });
  const bool known = match != inbound_.end();
  const Inbound& in = known ? *match : inbound_.front();
  const auto& layout = *in.layout;
  if (const Code gate = validate(frame_, {epoch_, in.publication, in.destination, &layout}); gate != Code::ok)
    return gate;
  if (frame_.kind == wire::FrameKind::goodbye) return Code::ok;
  if (!known) return Code::protocol;

  inbound_of_frame_ = static_cast<size_t>(match - inbound_.begin());
  std::byte* base = mirror(inbound_of_frame_);
  const uint32_t slot_number = layout.slot_of(frame_.generation);
  Slot& slot = this->slot(inbound_of_frame_, slot_number);
  const uint64_t state = layout.head_of(base, slot_number).state.load(std::memory_order_relaxed);
  if (frame_.flags & wire::kBegin) {
    // A new round may overwrite its slot only if the reader has released the round before.
    const uint64_t depth = layout.shape().depth;
    const bool free = frame_.generation <= depth ||
                      slot.released.load(std::memory_order_acquire) + depth >= frame_.generation;
    if (frame_.generation <= wire::generation_of(state) || !free || frame_.first != 0) return Code::protocol;
    slot.taken = 0;
    if (frame_.flags & wire::kRoutedFrame) {
      wire::RowList& list = layout.list_of(base, slot_number, in.destination);
      body_.push_back({reinterpret_cast<std::byte*>(list.rows), size_t{frame_.taken} * sizeof(uint32_t)});
    }
    body_.push_back({base + layout.meta(slot_number), frame_.meta_bytes});
  } else {
    const wire::SlotHead& head = layout.head_of(base, slot_number);
    const bool routed = (frame_.flags & wire::kRoutedFrame) != 0;
    if (frame_.generation != wire::generation_of(state) || frame_.first != slot.taken ||
        frame_.final_rows < wire::final_rows_of(state) || frame_.rows != head.rows ||
        routed != ((head.flags & wire::kRouted) != 0) ||
        (routed && frame_.taken != layout.list_of(base, slot_number, in.destination).count))
      return Code::protocol;
  }
  const auto& column_bytes = layout.shape().column_bytes;
  for (uint32_t c = 0; c < column_bytes.size(); ++c) {
    std::byte* column = base + layout.column(slot_number, c);
    body_.push_back(
        {column + size_t{frame_.first} * column_bytes[c], size_t{frame_.count} * column_bytes[c]});
  }
  return Code::ok;
}

Code TcpReceiver::apply() {
  if (frame_.kind == wire::FrameKind::goodbye) {
    saw_goodbye_ = true;
    return Code::ok;
  }
  const auto& layout = *inbound_[inbound_of_frame_].layout;
  std::byte* base = mirror(inbound_of_frame_);
  const uint32_t slot_number = layout.slot_of(frame_.generation);
  wire::SlotHead& head = layout.head_of(base, slot_number);
  if (frame_.flags & wire::kBegin) {
    head.rows = frame_.rows;
    head.tag = frame_.tag;
    head.meta_bytes = frame_.meta_bytes;
    head.flags = frame_.flags & wire::kRoutedFrame ? wire::kRouted : 0;
    if (frame_.flags & wire::kRoutedFrame) {
      wire::RowList& list = layout.list_of(base, slot_number, frame_.destination);
      list.count = frame_.taken;
      if (const Code gate = wire::validate_list(list.rows, list.count, frame_.rows); gate != Code::ok)
        return gate;
    }
  }
  if (frame_.flags & wire::kRoutedFrame) {
    // The watermark tells of exactly the rows that have come, or readers would read others.
    const wire::RowList& list = layout.list_of(base, slot_number, frame_.destination);
    const uint32_t come = frame_.first + frame_.count;
    if ((come < list.count && list.rows[come] < frame_.final_rows) ||
        (come > 0 && list.rows[come - 1] >= frame_.final_rows))
      return Code::protocol;
  }
  slot(inbound_of_frame_, slot_number).taken = frame_.first + frame_.count;
  // SYNC POINT publish, the writer's half, in the name of the peer.
  head.state.store(wire::state_word(frame_.generation, frame_.final_rows), std::memory_order_release);
  saw_round_ = true;
  return Code::ok;
}

void TcpReceiver::advance(size_t n) {
  while (body_at_ < body_.size()) {
    Piece& piece = body_[body_at_];
    const size_t step = std::min(n, piece.bytes);
    piece.data += step;
    piece.bytes -= step;
    n -= step;
    if (piece.bytes > 0) return;
    ++body_at_;
  }
}

bool TcpReceiver::take_staged() {
  for (;;) {
    if (!in_body_) {
      if (staged_to_ - staged_from_ < sizeof frame_) break;
      std::memcpy(&frame_, staging_.data() + staged_from_, sizeof frame_);
      staged_from_ += sizeof frame_;
      if (accept() != Code::ok) return false;
      in_body_ = true;
      advance(0);
    }
    while (body_at_ < body_.size() && staged_from_ < staged_to_) {
      const size_t step = std::min(body_[body_at_].bytes, staged_to_ - staged_from_);
      std::memcpy(body_[body_at_].data, staging_.data() + staged_from_, step);
      staged_from_ += step;
      advance(step);
    }
    if (body_at_ < body_.size()) break;
    if (apply() != Code::ok) return false;
    in_body_ = false;
  }
  // What is left is less than a header, or nothing: move it to the front.
  std::memmove(staging_.data(), staging_.data() + staged_from_, staged_to_ - staged_from_);
  staged_to_ -= staged_from_;
  staged_from_ = 0;
  return true;
}

Received TcpReceiver::receive(int socket) {
  std::array<iovec, kMaxPieces> pieces;
  size_t count = 0;
  size_t body_bytes = 0;
  if (in_body_) {
    for (size_t i = body_at_; i < body_.size() && count < kMaxPieces - 1; ++i) {
      pieces[count++] = {body_[i].data, body_[i].bytes};
      body_bytes += body_[i].bytes;
    }
  }
  const bool whole_body = !in_body_ || body_at_ + count == body_.size();
  if (whole_body) pieces[count++] = {staging_.data() + staged_to_, staging_.size() - staged_to_};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = count;
  const ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT);
  if (n == 0) return Received::end;
  if (n < 0) return errno == EAGAIN || errno == EINTR ? Received::nothing : Received::end;

  const size_t into_body = std::min(static_cast<size_t>(n), body_bytes);
  if (into_body > 0) advance(into_body);
  staged_to_ += static_cast<size_t>(n) - into_body;
  saw_round_ = false;
  if (in_body_ && body_at_ == body_.size()) {
    if (apply() != Code::ok) return Received::nonsense;
    in_body_ = false;
  }
  if (!in_body_ && !take_staged()) return Received::nonsense;
  if (saw_goodbye_) return Received::goodbye;
  return saw_round_ ? Received::round : Received::bytes;
}

}  // namespace weft
