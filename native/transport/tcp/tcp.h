// TCP: rows are sent as gather lists straight from the publisher's slot and received straight into a mirror
// of the publication in the reader's process. One connection per peer, both directions.
#pragma once

#include "transport/transport.h"

namespace weft {

class TcpTransport : public Transport {
 public:
  std::string_view name() const override { return "tcp"; }
  std::string unavailable() const override;
  bool shares_memory() const override { return false; }
  Expected<std::pair<Fd, std::string>> listen(const std::string& host, const std::string& key) const override;
  Expected<Fd> dial(const std::string& address, int64_t deadline) const override;
  Expected<void> check_peer(int) const override { return {}; }
  Expected<std::unique_ptr<Link>> link(const Local& local, Session session) const override;

 protected:
  // For what is sent at once, and for peers whose host vanishes.
  static void tune(int socket);
};

}  // namespace weft
