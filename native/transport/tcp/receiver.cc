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
    : mirrors_(epoch, std::move(inbound), std::move(memory)), staging_(kStagingBytes) {
  size_t columns = 0;
  for (size_t i = 0; i < mirrors_.count(); ++i)
    columns = std::max(columns, mirrors_.inbound(i).layout->shape().column_bytes.size());
  body_.reserve(columns + 2);
}

Code TcpReceiver::accept() {
  body_.clear();
  body_at_ = 0;
  const Code gate = mirrors_.accept(frame_, inbound_of_frame_);
  if (gate == Code::ok && frame_.kind == wire::FrameKind::rows)
    mirrors_.body_of(frame_, inbound_of_frame_, body_);
  return gate;
}

Code TcpReceiver::apply() {
  if (frame_.kind == wire::FrameKind::goodbye) {
    saw_goodbye_ = true;
    return Code::ok;
  }
  saw_round_ = true;
  return mirrors_.apply(frame_, inbound_of_frame_);
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
