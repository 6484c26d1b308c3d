// Loopback: both ends live in one process. It is shm with one more check (the peer is this very process): the
// same handshake, arena, doorbell and state words, so what passes here is what runs between processes.
#pragma once

#include "transport/shm/shm.h"

namespace weft {

class LoopbackTransport : public ShmTransport {
 public:
  std::string_view name() const override { return "loopback"; }
  std::string unavailable() const override { return ""; }
  Expected<void> check_peer(int socket) const override;
};

}  // namespace weft
