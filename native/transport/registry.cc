// The one list of transports, best first.
#include "transport/loopback/loopback.h"
#include "transport/shm/shm.h"
#include "transport/tcp/tcp.h"
#include "transport/transport.h"
#include "transport/ucx/ucx.h"
#include "transport/verbs/verbs.h"

namespace weft {

std::span<const Transport* const> all_transports() {
  static const LoopbackTransport loopback;
  static const ShmTransport shm;
  static const VerbsTransport verbs;
  static const TcpTransport tcp;
  static const UcxTransport ucx;
  static const Transport* const all[] = {&loopback, &shm, &verbs, &ucx, &tcp};
  return all;
}

const Transport* find_transport(std::string_view name) {
  for (const Transport* transport : all_transports())
    if (transport->name() == name) return transport;
  return nullptr;
}

}  // namespace weft
