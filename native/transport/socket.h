// Stream sockets, as the handshakes and the tcp transport need them. All are close-on-exec and non-blocking.
#pragma once

#include <sys/socket.h>

#include "core/status.h"
#include "memory/fd.h"

namespace weft {

Expected<Fd> listen_on(const sockaddr* address, socklen_t size);
// Tries until the deadline: a peer that is not listening yet is a peer that has not started yet.
Expected<Fd> dial_until(const sockaddr* address, socklen_t size, int64_t deadline);
Expected<Fd> accept_one(int listener);
// Small messages go at once, and a host that vanished is noticed within about 11 s.
void tune_tcp(int socket);

}  // namespace weft
