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
    : mirrors_(epoch, std::move(inbound), std::move(memory)),
      body_(mirrors_.most_pieces()),
      staging_(kStagingBytes) {}

Code TcpReceiver::accept() {
  body_.clear();
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
  arrivals_.add(1);
  return mirrors_.apply(frame_, inbound_of_frame_);
}

bool TcpReceiver::take_staged() {
  for (;;) {
    if (!in_body_) {
      if (staged_to_ - staged_from_ < sizeof frame_) break;
      std::memcpy(&frame_, staging_.data() + staged_from_, sizeof frame_);
      staged_from_ += sizeof frame_;
      if (accept() != Code::ok) return false;
      in_body_ = true;
    }
    staged_from_ += body_.put(staging_.data() + staged_from_, staged_to_ - staged_from_);
    if (!body_.rest().empty()) break;
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
    for (const Body::Piece& piece : body_.rest().first(std::min(body_.rest().size(), kMaxPieces - 1))) {
      pieces[count++] = {piece.data, piece.bytes};
      body_bytes += piece.bytes;
    }
  }
  const bool whole_body = !in_body_ || count == body_.rest().size();
  if (whole_body) pieces[count++] = {staging_.data() + staged_to_, staging_.size() - staged_to_};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = count;
  const ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT);
  if (n == 0) return Received::end;
  if (n < 0) return errno == EAGAIN || errno == EINTR ? Received::nothing : Received::end;

  const size_t into_body = std::min(static_cast<size_t>(n), body_bytes);
  if (into_body > 0) body_.step(into_body);
  staged_to_ += static_cast<size_t>(n) - into_body;
  saw_round_ = false;
  if (in_body_ && body_.rest().empty()) {
    if (apply() != Code::ok) return Received::nonsense;
    in_body_ = false;
  }
  if (!in_body_ && !take_staged()) return Received::nonsense;
  if (saw_goodbye_) return Received::goodbye;
  return saw_round_ ? Received::round : Received::bytes;
}

}  // namespace weft
