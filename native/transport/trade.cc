#include "transport/trade.h"

#include "memory/fd_passing.h"

namespace weft {

Expected<std::vector<std::byte>> trade(const Session& session, std::span<const std::byte> ours, size_t most) {
  const int socket = session.socket.get();
  auto bytes = static_cast<uint32_t>(ours.size());
  const auto head = std::as_writable_bytes(std::span(&bytes, 1));
  for (const auto part : {std::span<const std::byte>(head), ours})
    if (auto sent = send_with_fds(socket, part, {}, session.deadline, session.stop); !sent)
      return std::unexpected(sent.error());
  std::vector<Fd> none;
  if (auto got = recv_with_fds(socket, head, none, session.deadline, session.stop); !got)
    return std::unexpected(got.error());
  if (bytes > most) return fail(Code::protocol, "the peer's half of the handshake is too long");
  std::vector<std::byte> theirs(bytes);
  if (auto got = recv_with_fds(socket, theirs, none, session.deadline, session.stop); !got)
    return std::unexpected(got.error());
  return theirs;
}

}  // namespace weft
