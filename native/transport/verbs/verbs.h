// RDMA by rdma-core: rows are written by the device straight from the publisher's slot into a mirror of the
// publication in the reader's process, and the last write of a round tells the reader. The handshake goes
// over TCP, and its socket lives on to tell of the peer's death.
#pragma once

#include "transport/tcp/tcp.h"

namespace weft {

class VerbsTransport : public TcpTransport {
 public:
  std::string_view name() const override { return "verbs"; }
  std::string unavailable() const override;
  // "host port" and, for people, "device:port:gid" of every rail.
  Expected<std::pair<Fd, std::string>> listen(const std::string& host, const std::string& key) const override;
  Expected<std::unique_ptr<Engine>> engine(const Local& local, size_t links) const override;
  Expected<std::unique_ptr<Link>> link(const Local& local, Session session) const override;
};

}  // namespace weft
