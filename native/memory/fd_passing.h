#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <span>
#include <vector>

#include "core/status.h"
#include "memory/fd.h"

namespace weft {

constexpr size_t kMaxPassedFds = 8;

// Sends `bytes` with `fds` attached on a connected unix socket. `stop` (may be null) ends the wait with
// `aborted`.
Expected<void> send_with_fds(int socket, std::span<const std::byte> bytes, std::span<const int> fds,
                             int64_t deadline, const std::atomic<bool>* stop = nullptr);

// Receives exactly `bytes.size()` bytes; descriptors that came along are appended to `fds` (close-on-exec).
// More of them than kMaxPassedFds are an error.
Expected<void> recv_with_fds(int socket, std::span<std::byte> bytes, std::vector<Fd>& fds, int64_t deadline,
                             const std::atomic<bool>* stop = nullptr);

struct PeerCredentials {
  pid_t pid;
  uid_t uid;
};
// What the kernel says of the process at the other end.
Expected<PeerCredentials> peer_credentials(int socket);

}  // namespace weft
