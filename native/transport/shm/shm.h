// Shared memory: the peer's arena is mapped read-only and its publications are read in place. A unix socket
// (in the abstract namespace, so no file is left behind) carries the handshake and then lives on only to tell
// of the peer's death: the kernel closes it at once, whatever kills the peer.
#pragma once

#include "transport/transport.h"

namespace weft {

class ShmTransport : public Transport {
 public:
  std::string_view name() const override { return "shm"; }
  std::string unavailable() const override;
  bool shares_memory() const override { return true; }
  Expected<std::pair<Fd, std::string>> listen(const std::string& host, const std::string& key) const override;
  Expected<Fd> dial(const std::string& address, int64_t deadline) const override;
  Expected<void> check_peer(int socket) const override;
  Expected<std::unique_ptr<Engine>> engine(const Local& local, size_t links) const override;
  std::vector<int> descriptors(const Local& local) const override;
  Expected<std::unique_ptr<Link>> link(const Local& local, Session session) const override;
};

}  // namespace weft
