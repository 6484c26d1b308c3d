// The contract between the row exchange and a transport: how connections come about. What they do is in
// link.h. docs/transports.md.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/status.h"
#include "memory/arena.h"
#include "memory/doorbell.h"
#include "transport/link.h"
#include "wire/hello.h"

namespace weft {

// Our side, as a transport sees it.
struct Local {
  Arena* arena;
  const Doorbell* doorbell;  // our own: rung when a transport makes something visible in a mirror
  uint64_t epoch;
  std::string host;          // the address that peers know us by
  Engine* engine = nullptr;  // made by the transport's engine()
};

// What the handshake brought. link() may go on talking to the other end's link() over the socket.
struct Session {
  Fd socket;
  wire::Hello hello;    // the peer's
  std::vector<Fd> fds;  // the peer's, as sent by its descriptors()
  std::vector<Inbound> inbound;
  int64_t deadline = kNever;
  const std::atomic<bool>* stop = nullptr;
};

class Transport {
 public:
  virtual ~Transport() = default;
  virtual std::string_view name() const = 0;
  // Why it can't be used on this machine; empty when it can. Really tries, e.g. makes an arena.
  virtual std::string unavailable() const = 0;
  virtual bool shares_memory() const = 0;
  // Listens, and says under which address peers can dial. `host` matters to network transports only.
  virtual Expected<std::pair<Fd, std::string>> listen(const std::string& host,
                                                      const std::string& key) const = 0;
  virtual Expected<Fd> dial(const std::string& address, int64_t deadline) const = 0;
  // Checks who is at the other end, as far as the kernel can tell.
  virtual Expected<void> check_peer(int socket) const = 0;
  virtual std::vector<int> descriptors(const Local&) const { return {}; }  // to pass to the peer
  // What the links of one endpoint have in common, made before the first; null when they share nothing. Lives
  // as long as they do.
  virtual Expected<std::unique_ptr<Engine>> engine(const Local&, size_t /*links*/) const { return nullptr; }
  virtual Expected<std::unique_ptr<Link>> link(const Local& local, Session session) const = 0;
};

const Transport* find_transport(std::string_view name);
std::span<const Transport* const> all_transports();

}  // namespace weft
