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
constexpr size_t kMaxPiecesTaken = 16;
constexpr size_t kNowhereBytes = 64 * 1024;
}  // namespace

TcpReceiver::TcpReceiver(uint32_t epoch, std::vector<Inbound> inbound, std::shared_ptr<Mapping> memory,
                         Leases& leases)
    : mirrors_(epoch, std::move(inbound), std::move(memory)),
      leases_(leases),
      body_(mirrors_.most_pieces()),
      staging_(kStagingBytes) {}

Code TcpReceiver::accept() {
  body_.clear();
  const Code gate = mirrors_.accept(frame_, inbound_of_frame_);
  if (gate != Code::ok) return gate;
  if (frame_.kind == wire::FrameKind::rows) mirrors_.body_of(frame_, inbound_of_frame_, body_);
  if (frame_.kind != wire::FrameKind::write) return gate;
  std::byte* to = nullptr;
  const Code known = leases_.accept(as_lease_frame(frame_), to);
  body_.add(to, frame_.body_bytes);
  return known;
}

Code TcpReceiver::apply() {
  switch (frame_.kind) {
    case wire::FrameKind::goodbye:
      saw_goodbye_ = true;
      return Code::ok;
    case wire::FrameKind::revoke:
      revokes_.push_back(as_lease_frame(frame_));
      return Code::ok;
    case wire::FrameKind::write:
      leases_.count(as_lease_frame(frame_));
      break;
    case wire::FrameKind::rows:
      if (const Code applied = mirrors_.apply(frame_, inbound_of_frame_); applied != Code::ok) return applied;
      break;
    default:
      return Code::protocol;
  }
  saw_round_ = true;
  arrivals_.add(1);
  return Code::ok;
}

void TcpReceiver::forget(uint16_t lease) {
  if (in_body_ && frame_.kind == wire::FrameKind::write && as_lease_frame(frame_).lease == lease)
    body_.forget();
}

// The rest of the body, as much of it as goes into one call.
size_t TcpReceiver::gather(std::span<iovec> out, size_t& body_bytes) {
  size_t count = 0;
  for (const Body::Piece& piece : body_.rest().first(std::min(body_.rest().size(), out.size()))) {
    if (piece.data == nullptr) {
      nowhere_.resize(kNowhereBytes);
      out[count++] = {nowhere_.data(), std::min(piece.bytes, nowhere_.size())};
    } else {
      out[count++] = {piece.data, piece.bytes};
    }
    body_bytes += out[count - 1].iov_len;
    if (out[count - 1].iov_len < piece.bytes) break;
  }
  return count;
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
  std::array<iovec, kMaxPiecesTaken> pieces;
  size_t count = 0;
  size_t body_bytes = 0;
  bool whole_body = true;
  if (in_body_) {
    count = gather(std::span(pieces).first(kMaxPiecesTaken - 1), body_bytes);
    whole_body = count == body_.rest().size() && pieces[count - 1].iov_len == body_.rest().back().bytes;
  }
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
