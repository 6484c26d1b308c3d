// UCX: rows travel by whatever fabric UCX drives on this machine, as active messages that are received into a
// mirror of the publication in the reader's process. The handshake, and the news of a peer's end, go over
// TCP.
#pragma once

#include <string>
#include <vector>

#include "transport/tcp/tcp.h"

namespace weft {

class UcxTransport : public TcpTransport {
 public:
  std::string_view name() const override { return "ucx"; }
  std::string unavailable() const override;
  Expected<std::unique_ptr<Engine>> engine(const Local& local, size_t links) const override;
  Expected<std::unique_ptr<Link>> link(const Local& local, Session session) const override;
};

// What UCX could use here.
struct UcxOffer {
  std::string version;
  std::vector<std::string> resources;  // transport/device, as UCX names them
  bool fabric = false;                 // some of it is neither TCP nor memory of this host
  std::vector<std::string> memory;     // kinds that it could reach: "host", "cuda", "rocm" and so on
};
Expected<UcxOffer> ucx_offer();

}  // namespace weft
