#include "transport/loopback/loopback.h"

#include <unistd.h>

#include "memory/fd_passing.h"

namespace weft {

Expected<void> LoopbackTransport::check_peer(int socket) const {
  const auto peer = peer_credentials(socket);
  if (!peer) return std::unexpected(peer.error());
  if (peer->pid != getpid())
    return fail(Code::unavailable, "loopback connects ends of one process, and the peer is process " +
                                       std::to_string(peer->pid) + "; use shm");
  return {};
}

}  // namespace weft
